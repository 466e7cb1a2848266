"""Arrays, tensors and paths as they come from Python."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...metrics.arrays import to_numpy
from ..data.images import GivenSet, given_items, read_set
from ..errors import UserError

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any] | torch.Tensor


def given_array(array: Array, name: str) -> np.ndarray[Any, Any]:
    """Returns a numpy array of numbers.

    Args:
        array: An array, a tensor on any device, or nested lists.
        name: What an error calls it.

    Raises:
        UserError: It is no array of numbers, or a mask says that some of them are none.
    """
    if np.ma.is_masked(array):
        raise UserError(f"'{name}' has masked values; fill them first, as with array.filled(0).")
    try:
        found = to_numpy(array)
    except (ValueError, TypeError) as error:
        raise UserError(f"'{name}' is no array: {error}.") from error
    if found.dtype.kind not in "uifb" or not found.ndim:
        raise UserError(f"'{name}' has type {found.dtype}; expected an array of numbers.")
    return found


def given_set(given: Array | str | Path, name: str) -> GivenSet:
    """Returns images or features from an array, or from a folder or file of them.

    Raises:
        UserError: They cannot be used, or there are fewer than two.
    """
    if isinstance(given, str | Path):
        return read_set(Path(given))
    items = given_items(given_array(given, name), f"'{name}'")
    if len(items) < 2:
        count = "1 image" if len(items) else "0 images"
        raise UserError(f"'{name}' holds {count}; expected at least 2.")
    return GivenSet(Path(name), items)


def whole_number(given: Any, name: str, least: int) -> int:  # noqa: ANN401
    """Returns a whole number, those of numpy included.

    Raises:
        UserError: It is none, or too small.
    """
    try:
        found = operator.index(given)
    except TypeError:
        raise UserError(f"'{name}' is {given!r}; expected a whole number.") from None
    if found < least:
        raise UserError(f"'{name}' is {found}; expected at least {least}.")
    return found


def dictionary(given: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Returns a copy of a dictionary; an empty one of none.

    Raises:
        UserError: It is something else, or has a key that is no text.
    """
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"'{name}' is {given!r}; expected a dictionary.")
    for key in given or ():
        if not isinstance(key, str):
            raise UserError(f"'{name}' has the key {key!r}; expected text.")
    return dict(given or {})

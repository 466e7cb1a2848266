"""Arrays, tensors and paths as they come from Python."""

from __future__ import annotations

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
        UserError: It is no array of numbers.
    """
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
        raise UserError(f"'{name}' holds {len(items)} images; expected at least 2.")
    return GivenSet(Path(name), items)

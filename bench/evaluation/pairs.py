"""Which image of one set belongs to which of the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ..data.images import GivenSet

NAMED = 3  # Most names in an error.
Key = tuple[str | int, ...]


def paired(real: GivenSet, generated: GivenSet) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns the images of both sets pair by pair, and in words how they were paired.

    Files pair by their paths below the folders: extensions do not count, and numbers count as
    numbers, so that ``002.png`` belongs to ``2.jpg``. Rows of arrays pair by their place.

    Returns:
        Real and generated images, uint8 of one shape (N, C, H, W), and the words.

    Raises:
        UserError: The sets are not images of one shape, a file has no partner or several, or
            one set has names and the other has not.
    """
    for items in (real, generated):
        if items.items.ndim != 4:
            raise UserError(f"{items.path} holds features; pairs are made of images.")
    shapes = real.items.shape[1:], generated.items.shape[1:]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{real.path} holds images of {shapes[0]} and {generated.path} of {shapes[1]} "
            "(channels, height, width); pairs need one shape."
        )
    if bool(real.names) != bool(generated.names):
        raise UserError(
            f"Of {real.path} and {generated.path} only one is a folder, whose files have names; "
            "pairs need two folders or two arrays."
        )
    if not real.names:
        counts = len(real.items), len(generated.items)
        if counts[0] != counts[1]:
            raise UserError(
                f"{real.path} holds {counts[0]} images and {generated.path} {counts[1]}; "
                "pairs need as many."
            )
        return real.items, generated.items, f"{counts[0]} by row"
    rows = _by_name(real, generated)
    how = f"{len(real.items)} by name, numbers as numbers, extensions aside"
    return real.items[rows[0]], generated.items[rows[1]], how


def name_key(name: str) -> Key:
    """Returns a file's name without its extension, cut into text and numbers.

    Example:
        >>> name_key("cats/img_007.png") == name_key("cats/img_7.jpeg")
        True
        >>> name_key("2.png") < name_key("10.png")
        True
    """
    # A number behind a point, as in `image.001`, is no extension.
    stem = re.sub(r"\.[A-Za-z][A-Za-z0-9]*$", "", name)
    parts = re.split(r"([0-9]+)", stem)
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def _by_name(real: GivenSet, generated: GivenSet) -> tuple[list[int], list[int]]:
    first, second = _keys(real), _keys(generated)
    for one, other, of, at in (
        (first, second, real, generated),
        (second, first, generated, real),
    ):
        alone = [of.names[one[key]] for key in sorted(one.keys() - other.keys())]
        if alone:
            more = f" and {len(alone) - NAMED} more" if len(alone) > NAMED else ""
            names = ", ".join(alone[:NAMED])
            raise UserError(
                f"No pairs: in {of.path} there is {names}{more} without a partner in {at.path}; "
                "expected the same names, extensions aside."
            )
    keys = sorted(first)
    return [first[key] for key in keys], [second[key] for key in keys]


def _keys(items: GivenSet) -> dict[Key, int]:
    known: dict[Key, int] = {}
    for row, name in enumerate(items.names):
        before = known.setdefault(name_key(name), row)
        if before != row:
            raise UserError(
                f"No pairs: in {items.path} {items.names[before]} and {name} are the same name, "
                "extensions aside and numbers as numbers."
            )
    return known

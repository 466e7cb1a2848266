"""Ranges of values that cannot be right: the one guess, for every way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    import numpy as np

MOST_APART = 8
"""How many times further one set may reach than another of the same kind."""
REACH = 0.99


def check_ranges(sets: Mapping[str, np.ndarray]) -> None:
    """Checks that sets of images, or the parts of a data set, can be of one scale.

    Args:
        sets: By what they are called in an error: uint8 images (N, C, H, W), or vectors in
            floating point.

    Raises:
        UserError: Images are all but black, as binary ones in 0 and 1 are; or one set reaches
            over eight times further than another.
    """
    for name, items in sets.items():
        # As grey levels these would be all but black, and every score would be quietly wrong.
        if items.dtype.kind == "u" and (items.min(), items.max()) == (0, 1):
            raise UserError(
                f"{name} has values 0 and 1 only of 255; these look like binary images, or "
                "images in [0, 1]: multiply them by 255."
            )
    reaches = {name: reach for name, items in sets.items() if (reach := _reach(items)) > 0}
    if not reaches:
        return
    low, high = min(reaches, key=reaches.__getitem__), max(reaches, key=reaches.__getitem__)
    if reaches[high] > MOST_APART * reaches[low]:
        raise UserError(
            f"{low} reaches to {reaches[low]:.4g} and {high} to {reaches[high]:.4g}; these look "
            "like different scales: bring both to the same."
        )


def _reach(items: np.ndarray) -> float:
    """Returns the highest value of images; of vectors, whose tails may be long, a quantile.

    It is 0 where all values are one: a constant has no scale.
    """
    import numpy as np

    if items.min() == items.max():
        return 0.0
    return float(items.max() if items.dtype.kind == "u" else np.quantile(abs(items), REACH))

"""Feature error of denoised images (IFE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arrays import ROWS_PER_BLOCK, BadInput, check_features, to_floats
from .registry import Estimate, register

if TYPE_CHECKING:
    from .arrays import Features


@register("denoising", unit="squared feature units", better="lower")
def denoising(*, clean: Features, denoised: Features) -> dict[str, Estimate]:
    """Averages the squared difference of features of clean and denoised images.

    Row i of both belongs to one image; the mean is over images and features. Called IFE with
    Inception features.

    Args:
        clean: Features of the clean images, shape (N, F).
        denoised: Features of the same images, denoised, shape (N, F).

    Raises:
        BadInput: Wrong or different shapes, or rows that are not finite.

    Example:
        >>> denoising(clean=np.zeros((2, 2)), denoised=np.ones((2, 2)))["ife"].value
        1.0
    """
    first, second = check_features(clean=clean, denoised=denoised)
    if len(first) != len(second):
        raise BadInput(
            f"'denoised' has {len(second)} rows and 'clean' has {len(first)}; expected the same."
        )
    errors = []
    for start in range(0, len(first), ROWS_PER_BLOCK):
        rows = slice(start, start + ROWS_PER_BLOCK)
        errors.append(((to_floats(second[rows]) - to_floats(first[rows])) ** 2).mean(axis=1))
    values = np.concatenate(errors)
    return {"ife": Estimate(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))}

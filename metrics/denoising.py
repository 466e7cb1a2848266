"""Feature error of denoised images (IFE)."""

from __future__ import annotations

import numpy as np

from .arrays import BadInput, Features, blocks, check_features, float64, to_floats
from .registry import Estimate, register


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
    pairs = zip(blocks(first), blocks(second), strict=True)
    errors = [to_floats(((float64(d) - float64(c)) ** 2).mean(1)) for (_, c), (_, d) in pairs]
    return {"ife": Estimate.of_mean(np.concatenate(errors))}

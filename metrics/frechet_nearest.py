"""Fréchet distance of images between each code and its nearest other one (iFD)."""

from __future__ import annotations

from .arrays import Features
from .frechet import frechet
from .registry import Estimate, register


@register("frechet-nearest", unit="squared feature units", better="lower")
def frechet_nearest(*, real: Features, nearest: Features) -> dict[str, float | Estimate]:
    """Scores the Fréchet distance of decoded points between codes and their nearest others.

    Called iFID with Inception features. Low where the space between neighbouring codes decodes
    to images like real ones, as a density fitted to the codes needs it; the authors find that it
    goes with the quality of such samples where the distance of reconstructions does not.

    References:
        iFID (Xu et al., 2026), arXiv:2603.05630.

    Args:
        real: Features of real images, shape (N, F).
        nearest: Features of the decoded points, shape (M, F).

    Raises:
        BadInput: Wrong shapes, too few rows or rows that are not finite.

    Example:
        >>> import numpy as np
        >>> real = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(frechet_nearest(real=real, nearest=real + [3.0, 0.0, 4.0])["ifd"].value, 6)
        25.0
    """
    return {"ifd": frechet(real=real, generated=nearest)["fd"]}

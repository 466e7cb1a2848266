"""Which values a score can have, and intervals that keep to them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...metrics.expressions import WORST

Limits = tuple[float, float]
ANYTHING: Limits = (-math.inf, math.inf)
AT_LEAST_0: Limits = (0.0, math.inf)
SHARE: Limits = (0.0, 1.0)
# Units whose scores cannot be negative; estimates of a squared discrepancy can.
NOT_NEGATIVE = (
    *("squared feature units", "share or ratio", "intensity", "samples", "standard deviation"),
)
# Whatever their units: a count of balls for each image, and an error of predicted scores.
WITHOUT_MOST = ("density", "surrogate_rmse")
CUT_NOTE = "[a, b]: that interval within the values that the score can have."


def limits_of(unit: str, score: str, latent_dim: int) -> Limits:
    """Returns the least and the largest value that a score can have, by its unit in words.

    Args:
        unit: Such as ``share of texts``.
        score: The score's name.
        latent_dim: The size of the latent code; 0 where there is none.

    Example:
        >>> limits_of("share", "recall", 8), limits_of("share", "density", 8)
        ((0.0, 1.0), (0.0, inf))
        >>> limits_of("dimensions", "active_units", 8), limits_of("dB", "psnr", 8)
        ((0.0, 8.0), (-inf, inf))
    """
    if unit.startswith(NOT_NEGATIVE) or score in WITHOUT_MOST:
        return AT_LEAST_0
    if unit == "log(1 + squared error)":
        return 0.0, WORST
    if unit == "dimensions":
        return 0.0, float(latent_dim) if latent_dim > 0 else math.inf
    return SHARE if unit == "share" or unit.startswith("share of ") else ANYTHING


def interval_within(value: float, half: float, limits: Limits) -> tuple[float, float]:
    """Returns the interval of a mean, without the values that its score cannot have.

    A mean lies between the score's limits, so that what is cut off never held it: the interval
    covers the mean exactly as often as the whole one does.

    Args:
        value: The mean.
        half: Half of the interval's width.
        limits: Of the score; ignored where the mean itself is outside, as an unbiased estimate
            of a distance can be.

    Example:
        >>> interval_within(1607.5, 2099.5, (0.0, math.inf)), interval_within(-1.0, 3.0, SHARE)
        ((0.0, 3707.0), (-4.0, 2.0))
    """
    low, high = value - half, value + half
    if not limits[0] <= value <= limits[1]:
        return low, high
    return max(low, limits[0]), min(high, limits[1])


def bar_lengths(
    means: Sequence[float], halves: Sequence[float | None], limits: Limits
) -> tuple[list[float], list[float]]:
    """Returns how far bars reach below and above means; nan where there is no interval.

    Args:
        means: Of the points.
        halves: Half-widths of their intervals; none with one seed.
        limits: Of the score.
    """
    ends = [
        (math.nan, math.nan) if half is None else interval_within(mean, half, limits)
        for mean, half in zip(means, halves, strict=True)
    ]
    below = [mean - low for mean, (low, _) in zip(means, ends, strict=True)]
    return below, [high - mean for mean, (_, high) in zip(means, ends, strict=True)]

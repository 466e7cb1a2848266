"""Clipped coverage: which share of the real rows generated ones reach, on a linear scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arrays import Features
from .registry import Estimate, register

if TYPE_CHECKING:
    from .arrays import Floats

FULL = "as many generated rows lie near real ones as a perfect model has there, or more"


@register("clipped-coverage", unit="share", better="higher")
def score_clipped_coverage(
    *, real: Features, generated: Features, k: int = 5
) -> dict[str, Estimate]:
    """Scores clipped coverage: how far generated images cover the real ones, 1 at best.

    The standard error takes the balls around real rows as given.
    """
    filled, expected = _filled(real, generated, k)
    error = float(filled.std()) / len(filled) ** 0.5
    value = _calibrated(float(filled.mean()), expected)
    # The scale is curved, so the error goes through it at both of its ends.
    ends = [_calibrated(float(filled.mean()) + sign * error, expected) for sign in (-1, 1)]
    reason = FULL if filled.mean() >= expected[-1] else ""
    return {"clipped_coverage": Estimate(value, (ends[1] - ends[0]) / 2, reason)}


def clipped_coverage(*, real: Features, generated: Features, k: int = 5) -> float:
    """Computes clipped coverage.

    A ball around a real row, which reaches to its k-th neighbour, counts as the share of k
    generated rows that it holds, at most 1. The score is the share m/M of the M generated rows
    that would have to be real ones, the others far away, for the expected mean of these shares
    to be that found. It is interpolated between two such m; the authors take the first m that
    reaches the mean, over M + 1.

    References:
        Enhanced Generative Model Evaluation with Clipped Density and Coverage (Salvy, Talbot and
        Thirion, 2025), arXiv:2507.01761.

    Args:
        real: Features of real images, shape (N, F), N above k.
        generated: Features of generated images, shape (M, F), M above k.
        k: Which neighbour in the real set gives the radius.

    Returns:
        The share, in [0, 1]; 1 for a perfect model.

    Raises:
        BadInput: Wrong shapes, fewer than k + 1 rows, equal real rows or rows that are not
            finite.

    Example:
        >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> clipped_coverage(real=real, generated=real + 9.0, k=1)
        0.0
    """
    filled, expected = _filled(real, generated, k)
    return _calibrated(float(filled.mean()), expected)


def expected_filled(n_real: int, n_generated: int, *, k: int = 5) -> Floats:
    """Returns the expected mean of min(J, k) / k for 0, 1, ... M generated rows that are real.

    J, how many of m real draws lie in a ball, is beta-binomial with parameters m, k and N - k.

    Args:
        n_real: N.
        n_generated: M.
        k: Which neighbour gives the radius.

    Returns:
        Shape (M + 1,), rising from 0.

    Example:
        >>> expected_filled(10, 3, k=1).round(3).tolist()
        [0.0, 0.1, 0.182, 0.25]
    """
    count = np.arange(n_generated + 1.0)
    far = n_real - k
    # P(J = 0) for each m, then each P(J = j + 1) from P(J = j).
    steps = np.arange(n_generated, dtype=np.float64)
    chance = np.cumprod(np.concatenate([[1.0], (far + steps) / (n_real + steps)]))
    missed = np.zeros_like(chance)
    for j in range(k):
        missed += (1.0 - j / k) * chance
        left = np.maximum(count - j, 0.0)
        chance = chance * left * (k + j) / ((j + 1) * np.maximum(far + left - 1.0, 1.0))
    expected: Floats = 1.0 - missed
    return expected


def _filled(real: Features, generated: Features, k: int) -> tuple[Floats, Floats]:
    """Returns for each ball the share of k generated rows in it, and what is expected of m."""
    from .neighbours import ball_hits

    hits, _ = ball_hits(real=real, generated=generated, k=k, strict=True, both=False)
    filled = np.minimum(hits.per_ball / k, 1.0)
    return filled, expected_filled(len(hits.per_ball), len(hits.per_point), k=k)


def _calibrated(mean: float, expected: Floats) -> float:
    return float(np.interp(mean, expected, np.linspace(0.0, 1.0, len(expected))))

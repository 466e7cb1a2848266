"""Density and coverage over nearest-neighbour balls of the real set."""

from __future__ import annotations

from .arrays import Features
from .registry import Estimate, Scores, register


@register("density-coverage", unit="share", better="higher")
def score_density_coverage(
    *, real: Features, generated: Features, k: int = 5, strict: bool = True
) -> Scores:
    """Scores how densely generated images lie near real ones, and how many real ones they cover.

    ``coverage_expected`` is the coverage that a perfect model is expected to reach. Standard
    errors take the balls around real rows as given.
    """
    density, coverage, error = _density_coverage(real, generated, k, strict)
    return {
        "density": Estimate(density, error),
        "coverage": Estimate.of_share(coverage, len(real)),
        "coverage_expected": expected_coverage(len(real), len(generated), k=k),
    }


def density_coverage(
    *, real: Features, generated: Features, k: int = 5, strict: bool = True
) -> tuple[float, float]:
    """Computes density and coverage.

    Density is the mean number of real balls around a generated row, over k; coverage is the
    share of real balls with a generated row inside. A perfect model scores a density of 1 and
    the coverage that `expected_coverage` gives, not 1.

    References:
        Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020),
        arXiv:2002.09797.

    Args:
        real: Features of real images, shape (N, F), N above k.
        generated: Features of generated images, shape (M, F), M above k.
        k: Which neighbour in the real set gives the radius.
        strict: Whether a point on the border is outside (as in the published code) or inside.

    Returns:
        Density, at least 0 and possibly above 1, and coverage in [0, 1].

    Raises:
        BadInput: Wrong shapes, fewer than k + 1 rows, equal real rows or rows that are not
            finite.

    Example:
        >>> import numpy as np
        >>> real = np.array([[0.0], [1.0], [9.0], [10.0]])
        >>> density_coverage(real=real, generated=np.array([[0.5], [0.6]]), k=1)
        (2.0, 0.5)
    """
    return _density_coverage(real, generated, k, strict)[:2]


def expected_coverage(n_real: int, n_generated: int, *, k: int = 5) -> float:
    """Returns the expected coverage where both sets come from one distribution.

    References:
        Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020),
        Lemma 1, arXiv:2002.09797.

    Example:
        >>> round(expected_coverage(10_000, 10_000, k=5), 3)
        0.969
    """
    missed = 1.0
    for i in range(1, k + 1):
        missed *= (n_real - i) / (n_real + n_generated - i)
    return 1.0 - missed


def _density_coverage(
    real: Features, generated: Features, k: int, strict: bool
) -> tuple[float, float, float]:
    from .neighbours import ball_hits

    hits, _ = ball_hits(real=real, generated=generated, k=k, strict=strict, both=False)
    # Density is the mean of hits / k over generated rows, so their spread gives its error.
    error = hits.per_point.std() / k / len(hits.per_point) ** 0.5
    density, coverage = hits.per_point.mean() / k, (hits.per_ball > 0).mean()
    return float(density), float(coverage), float(error)

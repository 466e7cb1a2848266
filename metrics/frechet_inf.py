"""Fréchet distance extrapolated to infinitely many images (FD∞)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from .arrays import BadInput, Features, Floats, check_features, take, to_floats
from .frechet import (
    SAME,
    agree,
    distance_of_moments,
    known_moments,
    moment_standard_errors,
    moments,
)
from .registry import Estimate, register

CUSTOMARY_SMALLEST = 5000


class Extrapolation(NamedTuple):
    """A Fréchet distance without its finite-sample bias.

    Attributes:
        value: The intercept at 1/n = 0.
        slope: The bias, times n.
        stderr: The standard error of ``value``, or ``None`` for a set and itself.
    """

    value: float
    slope: float
    stderr: float | None


@register("frechet-inf", unit="squared feature units", better="lower")
def frechet_inf(*, real: Features, generated: Features, seed: int = 0) -> dict[str, Estimate]:
    """Scores FD∞, the Fréchet distance extrapolated to infinitely many generated images.

    The bias from the count of real images stays, and the standard error takes them as given.
    """
    estimate = frechet_distance_infinite(real=real, generated=generated, seed=seed)
    smallest = _smallest(len(generated))
    reason = SAME if estimate.stderr is None else ""
    if smallest <= real.shape[1]:
        reason = f"extrapolated from {smallest} rows, not more than the {real.shape[1]} features"
    return {"fd_inf": Estimate.of_distance(estimate.value, estimate.stderr, reason)}


def frechet_distance_infinite(
    *,
    real: Features,
    generated: Features,
    points: int = 15,
    smallest: int | None = None,
    seed: int = 0,
    debias: Literal["generated", "both"] = "generated",
) -> Extrapolation:
    """Extrapolates the Fréchet distance to infinitely many generated images.

    The distance is taken of a random subset, drawn without replacement, at each of ``points``
    counts n, linearly spaced from ``smallest`` to M. A line in 1/n is fitted by least squares;
    its intercept is the result. The real side's bias of about ``slope / N`` stays: the real set
    is taken as given. With ``debias="both"`` it goes, too: the real set is cut to the same share,
    and the standard error counts both sets as samples. The 1/n law bends where n is not well
    above the number of features.

    The distance of a set to itself is 0: it has no bias to remove.

    References:
        Effectively Unbiased FID and Inception Score (Chong and Forsyth, 2020),
        arXiv:1911.07023.

    Args:
        real: Features of real images, shape (N, F), N above F.
        generated: Features of generated images, shape (M, F), M above F.
        points: How many counts.
        smallest: The smallest count; by default 5,000, or M / 3 where that is less.
        seed: Seed of the subsets.
        debias: Which side's bias is removed.

    Returns:
        Value, slope and standard error. The standard error is first-order: the infinitesimal
        jackknife's for the distance, carried through subsets and line.

    Raises:
        BadInput: Wrong shapes, no more rows than features, or counts that do not fit.

    Example:
        >>> real, generated = np.random.default_rng(0).normal(size=(2, 4000, 2))
        >>> abs(frechet_distance_infinite(real=real, generated=generated).value) < 0.01
        True
    """
    real, generated = check_features(real=real, generated=generated)
    if min(len(real), len(generated)) <= real.shape[1]:
        raise BadInput(
            f"'real' has {len(real)} rows and 'generated' {len(generated)}, of "
            f"{real.shape[1]} features; expected more rows than features to extrapolate."
        )
    counts = _counts(len(generated), points, smallest)  # linear in n, as published
    generator = np.random.default_rng(seed)
    whole, evaluated = known_moments(real), moments(generated)
    if agree(whole, evaluated):
        return Extrapolation(0.0, 0.0, None)
    distances = []
    for count in counts:
        # Sorted, so that blocks are read in the order in which they lie.
        rows = np.sort(generator.permutation(len(generated))[:count])
        if debias == "both":
            share = max(2, round(len(real) * int(count) / len(generated)))
            part = moments(take(real, np.sort(generator.permutation(len(real))[:share])))
        else:
            part = whole
        distances.append(distance_of_moments(part, moments(take(generated, rows))))
    value, slope = extrapolate(counts, np.array(distances))
    errors = moment_standard_errors(real, generated, whole, evaluated)
    if debias == "generated":
        errors = (0.0, errors[1])
    stderr = float(np.hypot(*errors)) * inflation(counts)
    return Extrapolation(value, slope, stderr)


def extrapolate(counts: Features, distances: Features) -> tuple[float, float]:
    """Fits a line of distances against 1/n by least squares.

    Args:
        counts: The numbers of images n, shape (P,), P at least 2.
        distances: The distance at each, shape (P,).

    Returns:
        Intercept, which is the extrapolated distance, and slope.

    Raises:
        BadInput: Shapes differ, or fewer than two different counts.

    Example:
        >>> value, slope = extrapolate([10, 20], [3.0, 2.0])
        >>> round(value, 6), round(slope, 6)
        (1.0, 20.0)
    """
    n, y = to_floats(counts), to_floats(distances)
    if n.ndim != 1 or n.shape != y.shape or len(set(n)) < 2:
        raise BadInput(f"'counts' is {n.tolist()}; expected two or more different counts.")
    weights = _weights(n)
    slope = float((1.0 / n - (1.0 / n).mean()) @ y / ((1.0 / n - (1.0 / n).mean()) ** 2).sum())
    return float(weights @ y), slope


def inflation(counts: Any) -> float:  # noqa: ANN401
    """Returns the standard error of the intercept over that of the distance at all M rows.

    To first order the distance of a subset is a mean over its rows. Independent subsets of sizes
    n_i and n_j have covariance 1/M, a subset with itself 1/n_i; the line weighs them by w.
    """
    n = to_floats(counts)
    largest = n.max()
    weights = _weights(n)
    return float(np.sqrt(1.0 + largest * (weights**2 * (1.0 / n - 1.0 / largest)).sum()))


def _weights(n: Floats) -> Floats:
    """Returns the weights of the distances in the intercept, with sum 1."""
    centred = 1.0 / n - (1.0 / n).mean()
    return np.asarray(1.0 / len(n) - (1.0 / n).mean() * centred / (centred**2).sum())


def _smallest(count: int) -> int:
    return min(CUSTOMARY_SMALLEST, count // 3)


def _counts(largest: int, points: int, smallest: int | None) -> Any:  # noqa: ANN401
    first = _smallest(largest) if smallest is None else smallest
    if points < 2 or not 2 <= first < largest:
        raise BadInput(
            f"'smallest' is {first} and 'points' is {points}; "
            f"expected from 2 to {largest - 1} rows and at least 2 points."
        )
    return np.linspace(first, largest, points).astype(np.int64)

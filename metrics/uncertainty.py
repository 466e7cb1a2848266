"""Standard errors and intervals of sample metrics, from cached features.

The plain bootstrap fails where a metric sees repeated rows: it adds the finite-sample bias of the
Fréchet distance a second time, and shrinks nearest-neighbour radii. For these use the
delete-group jackknife (smooth statistics) or subsamples without replacement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .arrays import BadInput, check_features
from .frechet import Moments, blocks, float64, linalg_of, root_factor
from .prd import curve_from_labels, prd_f_beta

if TYPE_CHECKING:
    from .arrays import Features

Statistic: TypeAlias = Callable[..., float]


@dataclass(frozen=True)
class Interval:
    """A score with an interval.

    Attributes:
        value: The score of all rows.
        stderr: Its standard error.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    stderr: float
    low: float
    high: float


def bootstrap(
    statistic: Statistic,
    *,
    real: Features,
    generated: Features,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimates an interval by resampling rows of both sets with replacement (percentiles).

    Wrong for the Fréchet distance and for nearest-neighbour metrics: see the module.

    Args:
        statistic: Called as ``statistic(real=..., generated=...)``, returns one score.
        real: Features of real images, shape (N, F).
        generated: Features of generated images, shape (M, F).
        resamples: Number of resamples.
        level: Stated coverage of the interval.
        seed: Seed of the resamples.

    Raises:
        BadInput: The features are bad, or ``resamples`` is below 2.

    Example:
        >>> def shift(*, real, generated): return float(generated.mean() - real.mean())
        >>> real, generated = np.random.default_rng(0).normal(size=(2, 100, 1))
        >>> interval = bootstrap(shift, real=real, generated=generated)
        >>> 0.1 < interval.stderr < 0.2
        True
    """
    sets = check_features(real=real, generated=generated)
    if resamples < 2:
        raise BadInput(f"'resamples' is {resamples}; expected at least 2.")
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        first, second = (s[generator.integers(len(s), size=len(s))] for s in sets)
        values.append(statistic(real=first, generated=second))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    value = statistic(real=sets[0], generated=sets[1])
    return Interval(value, float(np.std(values, ddof=1)), float(low), float(high))


def jackknife(
    statistic: Statistic,
    *,
    real: Features,
    generated: Features,
    groups: int = 20,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimates an interval by leaving out one group of one set at a time.

    For smooth statistics. The interval is around the value at these counts, bias included.

    References:
        The Jackknife and Bootstrap (Shao and Tu, 1995), Section 2.3.

    Args:
        statistic: Called as ``statistic(real=..., generated=...)``, returns one score.
        real: Features of real images, shape (N, F).
        generated: Features of generated images, shape (M, F).
        groups: Number of groups in each set.
        level: Stated coverage of the interval.
        seed: Seed of the groups.

    Raises:
        BadInput: The features are bad, or there are fewer rows than twice ``groups``.
    """
    sets = check_features(real=real, generated=generated, minimum=2 * groups)
    value = statistic(real=sets[0], generated=sets[1])
    variance = 0.0
    for side, parts in enumerate(_groups(sets, groups, seed)):
        values = []
        for part in parts:
            kept = list(sets)
            kept[side] = sets[side][np.setdiff1d(np.arange(len(sets[side])), part)]
            values.append(statistic(real=kept[0], generated=kept[1]))
        variance += (groups - 1) * float(np.var(values))
    return student_interval(value, variance**0.5, groups, level)


def subsample(
    statistic: Statistic,
    *,
    real: Features,
    generated: Features,
    groups: int = 20,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimates an interval from the spread over disjoint subsamples of both sets.

    The spread shrinks with the root of the number of rows. For statistics that are not smooth,
    such as nearest-neighbour shares, or that draw random subsets themselves. The interval is
    around the value of all rows, not around the mean of the subsamples, whose bias is larger.

    References:
        Large Sample Confidence Regions Based on Subsamples (Politis and Romano, 1994).

    Args:
        statistic: Called as ``statistic(real=..., generated=...)``, returns one score.
        real: Features of real images, shape (N, F).
        generated: Features of generated images, shape (M, F).
        groups: Number of subsamples.
        level: Stated coverage of the interval.
        seed: Seed of the subsamples.

    Raises:
        BadInput: The features are bad, or there are fewer rows than twice ``groups``.
    """
    sets = check_features(real=real, generated=generated, minimum=2 * groups)
    pairs = zip(*_groups(sets, groups, seed), strict=True)
    values = [statistic(real=sets[0][i], generated=sets[1][j]) for i, j in pairs]
    stderr = float(np.std(values, ddof=1)) / groups**0.5
    return student_interval(statistic(real=sets[0], generated=sets[1]), stderr, groups, level)


def student_interval(
    value: float, stderr: float, groups: int = 20, level: float = 0.95
) -> Interval:
    """Returns the interval of a value whose standard error comes from that many groups.

    Student's t with one degree of freedom less than groups, as for `kernel_distance_jackknife`.

    Example:
        >>> interval = student_interval(1.0, 0.1)
        >>> round(interval.low, 2), round(interval.high, 2)
        (0.79, 1.21)
    """
    from scipy.stats import t

    reach = float(t.ppf((1 + level) / 2, groups - 1)) * stderr
    return Interval(value, stderr, value - reach, value + reach)


def moment_standard_errors(
    real: Any,  # noqa: ANN401
    generated: Any,  # noqa: ANN401
    real_moments: Moments,
    generated_moments: Moments,
) -> tuple[float, float]:
    """Computes the infinitesimal jackknife's standard errors of the Fréchet distance.

    The distance changes with a row y of a set by ``2 d.y + y'(I - T)y``, where y is centred, d
    is the difference of means and T the linear optimal transport map to the other set. First
    order: too small where the two distributions agree, for there the second order rules.

    Args:
        real: Features of real images, checked, shape (N, F), N above F.
        generated: Features of generated images, checked, shape (M, F), M above F.
        real_moments: Mean and covariance of ``real``.
        generated_moments: Mean and covariance of ``generated``.

    Returns:
        The standard error due to the real and to the generated sample; they add in squares.
    """
    pair = (real, real_moments, generated_moments), (generated, generated_moments, real_moments)
    errors = [_influence_error(*arguments) for arguments in pair]
    return errors[0], errors[1]


def prd_standard_errors(
    labels: np.ndarray[Any, Any], *, clusters: int, resamples: int, seed: int
) -> tuple[float, float]:
    """Computes bootstrap standard errors of F_8 and F_1/8, with the clusterings held fixed.

    Args:
        labels: Cluster of each real and each generated row in each run, shape (R, 2, N).
        clusters: Number of clusters.
        resamples: Number of resamples, shared by the runs.
        seed: Seed of the resamples.
    """
    generator = np.random.default_rng(seed)
    count = labels.shape[2]
    values = []
    for _ in range(resamples):
        weights = generator.multinomial(count, np.full(count, 1.0 / count), size=2).astype(float)
        curves = [curve_from_labels(run, clusters, weights) for run in labels]
        precision, recall = np.mean(curves, axis=0)
        values.append(prd_f_beta(precision, recall))
    f8, f1_8 = np.std(values, axis=0, ddof=1)
    return float(f8), float(f1_8)


def _influence_error(rows: Any, own: Moments, other: Moments) -> float:  # noqa: ANN401
    shift = 2.0 * (own.mean - other.mean)
    transport = _transport(own.cov, other.cov)
    total = squares = 0.0
    for block in blocks(rows):
        centred = float64(block) - own.mean
        change = centred @ shift + (centred * (centred - centred @ transport)).sum(1)
        total += float(change.sum())
        squares += float((change**2).sum())
    count = len(rows)
    variance = max(0.0, squares / count - (total / count) ** 2)
    return float((variance / count) ** 0.5)


def _transport(start: Any, end: Any) -> Any:  # noqa: ANN401
    """Computes T with ``T start T = end``: ``R (R' start R)^(-1/2) R'`` for ``end = R R'``."""
    root = root_factor(end)
    product = root.T @ start @ root
    values, vectors = linalg_of(product).eigh((product + product.T) / 2.0)
    smallest = float(values[-1]) * len(values) * np.finfo(float).eps
    kept = values > smallest
    half = (root @ vectors)[:, kept] * values[kept] ** -0.25
    return half @ half.T


def _groups(sets: list[Any], groups: int, seed: int) -> list[list[Any]]:
    """Splits the rows of both sets at random into groups of nearly equal size."""
    if groups < 2:
        raise BadInput(f"'groups' is {groups}; expected at least 2.")
    generator = np.random.default_rng(seed)
    return [np.array_split(generator.permutation(len(s)), groups) for s in sets]

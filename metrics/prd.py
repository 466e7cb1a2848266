"""Precision and recall for distributions (PRD) over a shared clustering."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from .arrays import (
    BadInput,
    Features,
    Floats,
    check_features,
    float64,
    is_tensor,
    to_floats,
    to_numpy,
)
from .memory import remembered
from .registry import Estimate, register
from .seeding import seed_centres

EPSILON = 1e-10  # keeps slopes off 0 and infinity, and F-scores from 0 / 0, as published
RESAMPLES = 50
Labels: TypeAlias = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@register("prd", unit="share", better="higher")
def prd(
    *, real: Features, generated: Features, clusters: int = 20, runs: int = 10, seed: int = 0
) -> dict[str, Estimate]:
    """Scores F_8 (weights recall) and F_1/8 (weights precision) of the precision-recall curve PRD.

    The standard error is the bootstrap's over images, with the clusterings held fixed, and the
    clusterings' own, from their spread.
    """
    labels = _labels(real, generated, clusters, runs, seed)
    values = prd_f_beta(*_average_curve(labels, clusters))
    errors = prd_standard_errors(labels, clusters=clusters, resamples=RESAMPLES, seed=seed)
    names = ("prd_f8", "prd_f1/8")
    return {n: Estimate(v, e) for n, v, e in zip(names, values, errors, strict=True)}


def prd_from_histograms(
    *, real: Features, generated: Features, angles: int = 1001
) -> tuple[Floats, Floats]:
    """Computes the PRD curve of two distributions over the same bins.

    Precision is the share of generated mass that real mass can explain. Exchanging the two
    distributions exchanges precision and recall, and reverses the order of the angles.

    References:
        Assessing Generative Models via Precision and Recall (Sajjadi et al., 2018),
        Equations 4 and 5, arXiv:1806.00035.

    Args:
        real: Mass of the real images per bin, shape (K,), not negative, any positive total.
        generated: Mass of the generated images per bin, shape (K,).
        angles: Number of points, linear in the angle from 0 to a right angle.

    Returns:
        Precision and recall in [0, 1], shape (angles,) each; precision does not decrease.

    Raises:
        BadInput: Shapes differ, a mass is negative or not finite, or a total is 0.

    Example:
        >>> precision, recall = prd_from_histograms(real=[1, 1], generated=[2, 0], angles=3)
        >>> precision.round(3).tolist(), recall.round(3).tolist()
        ([0.0, 0.5, 1.0], [0.5, 0.5, 0.0])
    """
    real_mass, generated_mass = _mass("real", real), _mass("generated", generated)
    if real_mass.shape != generated_mass.shape:
        raise BadInput(
            f"'generated' has {len(generated_mass)} bins and 'real' has {len(real_mass)}; "
            "expected the same number."
        )
    if angles < 3:
        raise BadInput(f"'angles' is {angles}; expected at least 3.")
    # Linear in the angle: slopes near 0 and near infinity, the two ends of the curve, get as many
    # points as those near 1. Recall is precision over slope.
    slopes = np.tan(np.linspace(EPSILON, np.pi / 2 - EPSILON, angles))
    precision = np.minimum(slopes[:, None] * real_mass, generated_mass).sum(axis=1)
    return precision.clip(0.0, 1.0), (precision / slopes).clip(0.0, 1.0)


def prd_curve(
    *, real: Features, generated: Features, clusters: int = 20, runs: int = 10, seed: int = 0
) -> tuple[Floats, Floats]:
    """Computes the PRD curve of two feature sets, averaged over clusterings.

    Each run clusters the union by mini-batch k-means at the reference settings, with random
    state ``seed + run``; precision and recall are averaged at each angle. A set's histogram is
    its shares of the clusters, so the sets may have different sizes; the published protocol has
    equal ones. Memory is one float64 copy of the union and some 10,000 rows for each thread.

    References:
        Assessing Generative Models via Precision and Recall (Sajjadi et al., 2018),
        arXiv:1806.00035.

    Args:
        real: Features of real images, shape (N, F).
        generated: Features of generated images, shape (M, F).
        clusters: Number of clusters K.
        runs: Number of clusterings.
        seed: Random state of the first clustering.

    Returns:
        Precision and recall in [0, 1], shape (1001,) each.

    Raises:
        BadInput: Fewer rows than clusters, equal real rows or bad values.

    Example:
        >>> import numpy as np
        >>> real = np.random.default_rng(0).normal(size=(60, 2))
        >>> precision, recall = prd_curve(real=real, generated=real + 50, clusters=4, runs=1)
        >>> float(precision.max()), float(recall.max())
        (0.0, 0.0)
    """
    return _average_curve(_labels(real, generated, clusters, runs, seed), clusters)


def prd_f_beta(precision: Features, recall: Features, beta: float = 8) -> tuple[float, float]:
    """Returns the maxima of F_beta and F_1/beta over a PRD curve.

    Args:
        precision: Precision along the curve, shape (A,).
        recall: Recall along the curve, shape (A,).
        beta: Weight of recall; above 1.

    Returns:
        F_beta, which weights recall, and F_1/beta, which weights precision; both in [0, 1].

    Raises:
        BadInput: The shapes differ or ``beta`` is not positive.

    Example:
        >>> f8, f1_8 = prd_f_beta([1.0], [0.5])
        >>> round(f8, 3), round(f1_8, 3)
        (0.504, 0.985)
    """
    p, r = to_floats(precision), to_floats(recall)
    if p.shape != r.shape or p.size == 0:
        raise BadInput(f"'precision' has shape {p.shape} and 'recall' {r.shape}; expected equal.")
    if not beta > 0:
        raise BadInput(f"'beta' is {beta}; expected a positive number.")
    return _f_beta(p, r, beta), _f_beta(p, r, 1.0 / beta)


def curve_from_labels(
    labels: Sequence[np.ndarray[Any, Any]], clusters: int, weights: Sequence[Floats] | None = None
) -> tuple[Floats, Floats]:
    """Computes the PRD curve from cluster labels of real rows, shape (N,), and generated, (M,)."""
    real, generated = (
        np.bincount(row, weights=weight, minlength=clusters)
        for row, weight in zip(labels, weights or (None, None), strict=True)
    )
    return prd_from_histograms(real=real, generated=generated)


def prd_standard_errors(
    labels: Labels, *, clusters: int, resamples: int, seed: int
) -> tuple[float, float]:
    """Computes standard errors of F_8 and F_1/8: over images and over clusterings.

    The images' is the bootstrap's, with the clusterings held fixed; the clusterings' is that of
    the mean of single runs.

    Args:
        labels: Cluster of each real row in each run, shape (R, N), and of each generated row,
            shape (R, M).
        clusters: Number of clusters.
        resamples: Number of resamples, shared by the runs.
        seed: Seed of the resamples.
    """
    generator = np.random.default_rng(seed)
    counts = [rows.shape[1] for rows in labels]
    runs = list(zip(*labels, strict=True))
    values = []
    for _ in range(resamples):
        # How often each row is drawn, real and generated: labels are counted with these weights.
        weights = [generator.multinomial(n, np.full(n, 1.0 / n)).astype(float) for n in counts]
        curves = [curve_from_labels(run, clusters, weights) for run in runs]
        precision, recall = np.mean(curves, axis=0)
        values.append(prd_f_beta(precision, recall))
    variances = np.var(values, axis=0, ddof=1)
    if len(runs) > 1:
        single = [prd_f_beta(*curve_from_labels(run, clusters)) for run in runs]
        variances = variances + np.var(single, axis=0, ddof=1) / len(runs)
    f8, f1_8 = np.sqrt(variances)
    return float(f8), float(f1_8)


def _f_beta(precision: Floats, recall: Floats, beta: float) -> float:
    squared = beta**2
    scores = (1 + squared) * precision * recall / (squared * precision + recall + EPSILON)
    return float(scores.max())


def _average_curve(labels: Labels, clusters: int) -> tuple[Floats, Floats]:
    curves = [curve_from_labels(run, clusters) for run in zip(*labels, strict=True)]
    precision, recall = np.mean(curves, axis=0)
    return precision, recall


def _labels(real: Features, generated: Features, clusters: int, runs: int, seed: int) -> Labels:
    """Clusters the union once per run; labels of real and generated rows."""
    if runs < 1 or clusters < 2:
        raise BadInput(f"'runs' is {runs}, 'clusters' is {clusters}; expected at least 1 and 2.")
    check_features(real=real, minimum=clusters, vary=True)
    real, generated = check_features(real=real, generated=generated, minimum=clusters)
    settings = {"clusters": clusters, "runs": runs, "seed": seed}
    labels = remembered(
        lambda: _cluster(real, generated, **settings), "clusters", real, generated, **settings
    )
    return labels[:, len(generated) :], labels[:, : len(generated)]


def _cluster(
    real: Any,  # noqa: ANN401
    generated: Any,  # noqa: ANN401
    clusters: int,
    runs: int,
    seed: int,
) -> np.ndarray[Any, Any]:
    """Clusters the stacked sets; labels of generated and then of real rows, shape (runs, M + N).

    The reference stacks the generated set first. A constant feature moves no distance.
    """
    if is_tensor(real):
        import torch

        from .clustering import cluster_rows

        rows = torch.cat([float64(generated), float64(real)])
        rows = rows[:, (rows != rows[0]).any(0)]
        found = [cluster_rows(rows, clusters, seed + run) for run in range(runs)]
        return to_numpy(torch.stack(found))
    union = np.concatenate([generated, real], dtype=np.float64)
    varies = (union != union[0]).any(axis=0)
    if not varies.all():
        union = np.compress(varies, union, axis=1)
    return _cluster_in_threads(union, clusters, runs, seed)


def _cluster_in_threads(
    union: Floats, clusters: int, runs: int, seed: int
) -> np.ndarray[Any, Any]:
    """Clusters rows once per run; labels, shape (runs, N).

    One thread per run beats threads inside a run, whose steps are too small to share.
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_info, threadpool_limits

    def cluster(run: int) -> np.ndarray[Any, Any]:
        init = partial(seed_centres, points=union, seed=seed + run)
        model = MiniBatchKMeans(clusters, init=init, n_init=1, random_state=seed + run)
        return np.asarray(model.fit(union).labels_)

    threads = min(runs, max([pool["num_threads"] for pool in threadpool_info()], default=1))
    # OpenMP's limit holds for one thread, that of BLAS for the process: set it in both.
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(threads, initializer=threadpool_limits, initargs=(1,)) as pool,
    ):
        return np.array(list(pool.map(cluster, range(runs))))


def _mass(name: str, histogram: Features) -> Floats:
    mass = to_floats(histogram)
    if mass.ndim != 1 or not np.isfinite(mass).all() or (mass < 0).any() or mass.sum() <= 0:
        raise BadInput(f"Histogram '{name}' is not a row of finite masses with a positive total.")
    return mass / mass.sum()

"""First centres of k-means by k-means++, with distances from few rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Floats

ROWS = 32  # so few that BLAS multiplies them where they lie; it would copy larger blocks first
VALIDATED = 256  # rows whose distances to the centres of all trials are held at once


def seed_centres(
    sample: Floats,
    clusters: int,
    *,
    random_state: np.random.RandomState,
    points: Floats,
    seed: int,
    trials: int = 10,
) -> Floats:
    """Chooses the centres from which mini-batch k-means starts: the best of several trials.

    Each trial is k-means++ on a sample of the points. The best has the smallest inertia (sum of
    squared distances to the nearest centre) on one more sample. This is the ``init`` for
    scikit-learn's ``MiniBatchKMeans`` with ``n_init=1``. It draws what k-means++ with
    ``n_init=trials`` draws there and chooses the same centres but for rounding, in less time
    where features are many: it is as fast as the points can be read.

    References:
        k-means++: The Advantages of Careful Seeding (Arthur and Vassilvitskii, 2007),
        Sections 2.2 and 4 (several candidates for each centre).

    Args:
        sample: Points of the first trial in float64, shape (M, F); all points if M = N.
        clusters: Number of centres K.
        random_state: Source of the draws.
        points: Points in float64, shape (N, F).
        seed: What ``random_state`` was made from; its first draws are the last sample.
        trials: Number of trials.

    Returns:
        Points chosen, shape (K, F).
    """
    count, size = len(points), len(sample)
    validation = np.random.RandomState(seed).randint(0, count, size)
    centres = [_k_means_plus_plus(sample, clusters, random_state)]
    for _ in range(1, trials):
        if size < count:
            sample = points[random_state.randint(0, count, size)]
        centres.append(_k_means_plus_plus(sample, clusters, random_state))
    return centres[int(np.argmin(_inertias(points, validation, centres)))]


def _k_means_plus_plus(
    points: Floats, clusters: int, random_state: np.random.RandomState
) -> Floats:
    count, candidates = len(points), 2 + int(np.log(clusters))
    norms = np.einsum("ij,ij->i", points, points)
    chosen = [random_state.choice(count, p=np.full(count, 1.0 / count))]
    nearest = _squared_distances(points, norms, chosen)[0]
    for _ in range(1, clusters):
        shares = random_state.uniform(size=candidates) * nearest.sum()
        # Rounding may put a share beyond the last sum.
        drawn = np.searchsorted(np.cumsum(nearest), shares).clip(max=count - 1)
        reached = np.minimum(nearest, _squared_distances(points, norms, drawn))
        best = int(reached.sum(axis=1).argmin())
        nearest = reached[best]
        chosen.append(drawn[best])
    return points[chosen]


def _squared_distances(points: Floats, norms: Floats, rows: Any) -> Floats:  # noqa: ANN401
    """Computes squared distances of some of the points to all, shape (rows, N)."""
    centres = points[rows]
    # Products of few rows at a time: those of all take half as long again for a clustering.
    even = len(points) // ROWS * ROWS
    products = np.empty((len(points), len(centres)))
    blocks = points[:even].reshape(-1, ROWS, points.shape[1])
    np.matmul(blocks, centres.T, out=products[:even].reshape(-1, ROWS, len(centres)))
    np.matmul(points[even:], centres.T, out=products[even:])
    distances = np.multiply(products.T, -2.0, order="C")
    distances += norms[rows, None]
    distances += norms
    result: Floats = distances.clip(min=0.0, out=distances)
    return result


def _inertias(points: Floats, rows: np.ndarray[Any, Any], centres: list[Floats]) -> Floats:
    """Sums, over some points, the squared distance to the nearest centre of each set.

    The squared lengths of the points, which all sets have in common, are left out.
    """
    stacked = np.concatenate(centres)
    norms = np.einsum("ij,ij->i", stacked, stacked)
    sums = np.zeros(len(centres))
    for start in range(0, len(rows), VALIDATED):
        distances = norms - 2.0 * (points[rows[start : start + VALIDATED]] @ stacked.T)
        sums += distances.reshape(-1, len(centres), len(centres[0])).min(axis=2).sum(axis=0)
    return sums

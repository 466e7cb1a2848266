"""Mini-batch k-means of tensors, where they lie: the steps and draws of scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .arrays import Floats

BATCH = 1024
PASSES, PATIENCE = 100, 10  # Most passes over the points; batches without improvement.
TRIALS = 10
LEAST = 0.01  # Of the largest cluster's weight; lighter centres start again elsewhere.


def cluster_rows(points: Tensor, clusters: int, seed: int) -> Tensor:
    """Clusters points by mini-batch k-means from the best of ten k-means++ seedings.

    The draws are made on the CPU from ``seed``, so devices differ by rounding alone.

    References:
        Web-Scale K-Means Clustering (Sculley, 2010); scikit-learn's ``MiniBatchKMeans``.

    Args:
        points: float64, shape (N, F), N at least the number of clusters.
        clusters: Number of clusters K.
        seed: Seed of all draws.

    Returns:
        Labels, int64, shape (N,), on the points' device.

    Example:
        >>> points = torch.tensor([[0.0], [0.1], [9.0], [9.1]], dtype=torch.float64)
        >>> a, b, c, d = cluster_rows(points, 2, seed=0).tolist()
        >>> a == b != c == d
        True
    """
    random_state = np.random.RandomState(seed)
    count = len(points)
    batch = min(BATCH, count)
    centres = _first_centres(points, clusters, batch, random_state)
    weights = np.zeros(clusters)
    average = best = None
    since = worse = 0
    for step in range(PASSES * count // batch):
        rows = random_state.choice(count, batch, p=np.full(count, 1.0 / count))
        drawn = points[_on(points, rows)]
        labels, inertia = _nearest(drawn, centres)
        added = np.bincount(labels.cpu().numpy(), minlength=clusters)
        since += batch
        again = since >= 10 * clusters or bool((weights == 0).any())
        since = 0 if again else since
        centres = _moved(centres, drawn, labels, weights, weights + added)
        weights = weights + added
        if again:
            centres, weights = _started_again(centres, weights, drawn, random_state)
        if step == 0:
            continue  # That inertia is the seeding's.
        share = min(batch * 2.0 / (count + 1), 1.0)
        now = float(inertia) / batch
        average = now if average is None else average * (1.0 - share) + now * share
        worse = 0 if best is None or average < best else worse + 1
        best = average if worse == 0 else best
        if worse >= PATIENCE:
            break
    return _nearest(points, centres)[0]


def _first_centres(
    points: Tensor, clusters: int, batch: int, random_state: np.random.RandomState
) -> Tensor:
    """Returns the seeding of least inertia on a sample, shape (K, F)."""
    count = len(points)
    size = min(max(3 * batch, clusters), count)
    validation = points[_on(points, random_state.randint(0, count, size))]
    found: list[tuple[float, Tensor]] = []
    for _ in range(TRIALS):
        sample = points
        if size < count:
            sample = points[_on(points, random_state.randint(0, count, size))]
        centres = _k_means_plus_plus(sample, clusters, random_state)
        found.append((float(_nearest(validation, centres)[1]), centres))
    return min(found, key=lambda trial: trial[0])[1]


def _k_means_plus_plus(
    points: Tensor, clusters: int, random_state: np.random.RandomState
) -> Tensor:
    count, candidates = len(points), 2 + int(np.log(clusters))
    first = int(random_state.choice(count, p=np.full(count, 1.0 / count)))
    chosen = [points[first]]
    nearest = _squared_distances(points, points[first : first + 1])[:, 0]
    for _ in range(1, clusters):
        shares = _on(points, random_state.uniform(size=candidates)) * nearest.sum()
        # Rounding may put a share beyond the last sum.
        drawn = points[torch.searchsorted(nearest.cumsum(0), shares).clamp(max=count - 1)]
        reached = torch.minimum(nearest[:, None], _squared_distances(points, drawn))
        best = int(reached.sum(0).argmin())
        nearest = reached[:, best]
        chosen.append(drawn[best])
    return torch.stack(chosen)


def _squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    products = points @ centres.T
    norms = points.square().sum(1)[:, None] + centres.square().sum(1)
    return (norms - 2.0 * products).clamp(min=0.0)


def _nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the nearest centre of each point, and the sum of squared distances."""
    distances, labels = _squared_distances(points, centres).min(1)
    return labels, distances.sum()


def _moved(centres: Tensor, drawn: Tensor, labels: Tensor, before: Floats, now: Floats) -> Tensor:
    """Returns the centres as means of all points that they ever got."""
    one_hot = torch.nn.functional.one_hot(labels, len(centres)).to(drawn.dtype)
    old, new = _on(centres, before)[:, None], _on(centres, now)[:, None]
    moved = (centres * old + one_hot.T @ drawn) / new.clamp(min=1.0)
    return torch.where(new > old, moved, centres)


def _started_again(
    centres: Tensor, weights: Floats, drawn: Tensor, random_state: np.random.RandomState
) -> tuple[Tensor, Floats]:
    """Puts centres of little weight onto points drawn at random, at most half of the batch."""
    light = weights < LEAST * weights.max()
    most = len(drawn) // 2
    if light.sum() > 0.5 * len(drawn):
        light[np.argsort(weights)[most:]] = False
    if not light.any():
        return centres, weights
    rows = random_state.choice(len(drawn), replace=False, size=int(light.sum()))
    centres = centres.clone()
    centres[_on(centres, np.flatnonzero(light))] = drawn[_on(drawn, rows)]
    # Not to 0, or they would move again at once.
    return centres, np.where(light, weights[~light].min(), weights)


def _on(like: Tensor, values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values)).to(like.device)

from functools import partial

import numpy as np
import pytest
from aebench.metrics.seeding import seed_centres
from sklearn.cluster import MiniBatchKMeans

pytestmark = pytest.mark.sensitive
SHAPES = [(40, 3), (1000, 70), (3072, 5), (3073, 6), (5003, 33)]  # scikit-learn samples 3072


def points_of(count, features, scale=1.0):
    generator = np.random.default_rng(count)
    return scale * (
        generator.normal(size=(count, features)) + generator.integers(4, size=(count, 1))
    )


@pytest.mark.parametrize("clusters", [2, 7, 20])
@pytest.mark.parametrize(("count", "features"), SHAPES)
def test_clusterings_are_those_of_scikit_learns_own_seeding(count, features, clusters):
    points = points_of(count, features)
    for seed in (0, 11):
        init = partial(seed_centres, points=points, seed=seed)
        ours = MiniBatchKMeans(clusters, init=init, n_init=1, random_state=seed).fit(points)
        theirs = MiniBatchKMeans(clusters, n_init=10, random_state=seed).fit(points)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1e6, 1e150])
def test_the_scale_of_the_points_moves_no_label(scale):
    seeds = []
    for factor in (1.0, scale):
        points = points_of(500, 8, factor)
        random_state = np.random.RandomState(0)
        chosen = seed_centres(points, 5, random_state=random_state, points=points, seed=0)
        seeds.append(chosen / factor)
    np.testing.assert_allclose(*seeds, rtol=1e-12)


def test_fewer_distinct_points_than_clusters_are_all_chosen():
    points = np.repeat(np.array([[0.0, 0.0], [0.0, 9.0], [8.0, 0.0]]), 50, axis=0)
    random_state = np.random.RandomState(3)
    chosen = seed_centres(points, 6, random_state=random_state, points=points, seed=3)
    assert {tuple(row) for row in chosen} == {(0.0, 0.0), (0.0, 9.0), (8.0, 0.0)}


def test_the_trial_of_least_inertia_is_chosen():
    points = points_of(600, 4)
    several, one = (
        [
            seed_centres(
                points, 6, random_state=np.random.RandomState(s), points=points, seed=s, trials=t
            )
            for s in range(5)
        ]
        for t in (10, 1)
    )
    for best, first, seed in zip(several, one, range(5), strict=True):
        rows = np.random.RandomState(seed).randint(0, 600, 600)
        inertias = [
            ((points[rows][:, None] - centres) ** 2).sum(axis=2).min(axis=1).sum()
            for centres in (best, first)
        ]
        assert inertias[0] <= inertias[1] * (1 + 1e-12)
    assert any(not np.array_equal(best, first) for best, first in zip(several, one, strict=True))

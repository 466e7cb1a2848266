"""Neighbours decided after a screen in float32 are those of a full search in float64."""

import numpy as np
import pytest
import torch
from aebench.metrics import neighbours, screening
from aebench.metrics.neighbours import count_hits, squared_kth, squared_radii
from aebench.metrics.screening import prepare, screen
from scipy.spatial.distance import cdist

pytestmark = pytest.mark.sensitive


def spread(seed, count, features=96):
    """Points of a rectified normal distribution, as features of a network are."""
    values = np.random.default_rng(seed).normal(size=(count, features)) + 0.1
    return np.maximum(values * np.linspace(0.2, 2.0, features), 0).astype(np.float32)


def clusters(seed, count, features=96):
    """Narrow clusters, copies and some points far away."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(6, features)) * 20
    points = centres[generator.integers(6, size=count)]
    points = points + generator.normal(size=points.shape) * generator.choice(
        [1e-3, 0.3], (count, 1)
    )
    points[:20] = points[20:40]
    points[40:44] *= 50
    return points.astype(np.float32)


def grid(seed, count, features=96):
    """Whole numbers: many pairs exactly on the border of a ball."""
    return np.random.default_rng(seed).integers(0, 2, (count, features)).astype(np.float32)


KINDS = pytest.mark.parametrize("kind", [spread, clusters, grid])


def distances(left, right):
    return ((left[:, None].astype(np.float64) - right[None]) ** 2).sum(axis=2)


@KINDS
def test_radii_are_those_of_a_full_search(kind):
    points = kind(0, 300)
    expected = np.sort(distances(points, points), axis=1)
    for k in (1, 5):
        radii = squared_radii(prepare(points)[0], k)
        np.testing.assert_allclose(radii, expected[:, k], rtol=1e-12)


@KINDS
def test_nearest_points_are_those_of_a_full_search(kind):
    points, queries = kind(0, 300), kind(1, 200)
    first, second = prepare(points, queries)
    across = distances(queries, points)
    found, indices = squared_kth(second, first, 3)
    np.testing.assert_allclose(found, np.sort(across, axis=1)[:, 2], rtol=1e-12)
    np.testing.assert_allclose(across[np.arange(200), indices], found, rtol=1e-12)


@KINDS
@pytest.mark.parametrize("strict", [False, True])
def test_hits_are_those_of_a_full_search(kind, strict, monkeypatch):
    monkeypatch.setattr(screening, "BLOCK_ELEMENTS", 200 * 70)  # several blocks
    real, generated = kind(0, 300), kind(1, 200)
    radii = [np.sort(distances(p, p), axis=1)[:, 5] for p in (real, generated)]
    first, second = prepare(real, generated)
    hits = count_hits(first, second, real_radii=radii[0], generated_radii=radii[1], strict=strict)
    across, tie = distances(real, generated), -1e-12 if strict else 1e-12
    for found, bound, axis in zip(hits, (radii[0][:, None], radii[1][None]), (0, 1), strict=True):
        inside = across <= bound * (1 + tie)
        assert inside.any()
        np.testing.assert_array_equal(found.per_point, inside.sum(axis=axis))
        np.testing.assert_array_equal(found.per_ball, inside.sum(axis=1 - axis))


@KINDS
def test_the_bound_of_rounding_holds_for_every_distance(kind):
    first, second = prepare(kind(0, 300), kind(1, 200))
    exact = torch.from_numpy(distances(first.exact.numpy(), second.exact.numpy()))
    off = (screen(first, second).double() - exact).abs()
    assert (off <= first.reach(second)[:, None]).all()


def test_the_bound_of_rounding_tells_near_points_from_far_ones():
    points = spread(0, 400, 512)
    first = prepare(points)[0]
    squared = torch.from_numpy(np.sort(distances(points, points), axis=1)[:, 5])
    assert (first.reach(first) < 0.02 * squared).all()


def test_no_neighbour_is_lost_or_counted_twice_at_the_edge_of_the_band(monkeypatch):
    monkeypatch.setattr(neighbours, "SPARE", 300)  # so that no row is searched again in full
    points = spread(0, 1500, 512)  # in so many dimensions many distances are nearly equal
    expected = np.sort(cdist(points, points, "sqeuclidean"), axis=1)
    for k in range(500, 1000, 100):
        radii = squared_radii(prepare(points)[0], k)
        np.testing.assert_allclose(radii, expected[:, k], rtol=1e-9)

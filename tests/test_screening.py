"""Neighbours decided after a screen in bfloat16 are those of a full search in float64."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.metrics import screening
from aebench.metrics.neighbours import count_hits, squared_kth, squared_radii
from aebench.metrics.screening import prepare, reach, screen, screen_pairs

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]


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


def balanced(seed, count, features=96):
    """Whole numbers about zero, which bfloat16 holds; only their products are rounded."""
    half = np.random.default_rng(seed).integers(-9, 10, (count // 2, features))
    return np.concatenate([half, -half]).astype(np.float32)


KINDS = pytest.mark.parametrize("kind", [spread, clusters, grid, balanced])


def distances(left, right):
    return ((left[:, None].astype(np.float64) - right[None]) ** 2).sum(axis=2)


@KINDS
def test_radii_are_those_of_a_full_search(kind):
    points = kind(0, 300)
    expected = np.sort(distances(points, points), axis=1)
    for k in (1, 5):
        radii = squared_radii(prepare(points, half=True)[0], k)
        np.testing.assert_allclose(radii, expected[:, k], rtol=1e-12)


@KINDS
def test_nearest_points_are_those_of_a_full_search(kind):
    points, queries = kind(0, 300), kind(1, 200)
    first, second = prepare(points, queries, half=True)
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
    first, second = prepare(real, generated, half=True)
    hits = count_hits(first, second, real_radii=radii[0], generated_radii=radii[1], strict=strict)
    across, tie = distances(real, generated), -1e-12 if strict else 1e-12
    for found, bound, axis in zip(hits, (radii[0][:, None], radii[1][None]), (0, 1), strict=True):
        inside = across <= bound * (1 + tie)
        assert inside.any()
        np.testing.assert_array_equal(found.per_point, inside.sum(axis=axis))
        np.testing.assert_array_equal(found.per_ball, inside.sum(axis=1 - axis))


@KINDS
@pytest.mark.parametrize("half", [False, True])
def test_the_bound_of_rounding_holds_near_every_distance(kind, half):
    first, second = prepare(kind(0, 300), kind(1, 200), half=half)
    exact = torch.from_numpy(distances(first.exact.numpy(), second.exact.numpy()))
    off = (screen(first, second).double() - exact).abs()
    for rank in (0, 5, 100, 199):
        order = exact.argsort(dim=1)[:, rank : rank + 1]
        near = exact.gather(1, order)[:, 0]
        bound = reach(first, second, near).double()
        slope = screening.HALF_UNIT * (exact - near[:, None]).abs() if half else 0.0
        assert (off <= bound[:, None] + slope).all()
    assert (bound > 0.0).all()


def test_the_bound_of_rounding_tells_near_points_from_far_ones():
    points = spread(0, 400, 512)
    first = prepare(points, half=True)[0]
    squared = torch.from_numpy(np.sort(distances(points, points), axis=1)[:, 5]).float()
    assert (reach(first, first, squared) < 0.02 * squared).all()


@KINDS
def test_pairs_are_screened_as_whole_blocks_are(kind):
    first, second = prepare(kind(0, 70), kind(1, 50))
    whole = screen(first, second)
    rows, columns = (
        (torch.rand(whole.shape, generator=torch.Generator().manual_seed(0)) < 0.2).nonzero().T
    )
    largest = float(first.norms.max() + second.norms.max())
    some = screen_pairs(first, second, rows, columns)
    atol = float32_slack(largest, first.exact.shape[1])
    np.testing.assert_allclose(some, whole[rows, columns], rtol=0, atol=atol)


def test_bfloat16_screens_where_it_is_fast_and_tells_neighbours_apart(monkeypatch):
    monkeypatch.setattr(screening, "HALF_WORK", 400**2 * 512)
    wide, narrow = spread(0, 400, 512), clusters(0, 400, 512)
    for able in (False, True):
        capabilities = {"avx512_bf16": able}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda c=capabilities: c, raising=False)
        assert all((p.half is not None) == able for p in prepare(wide, wide[:400]))
        assert prepare(wide[:399])[0].half is None
        assert prepare(wide.astype(np.float64) * 1e16)[0].half is None
        assert prepare(wide * np.float32(1e-12))[0].half is None
    monkeypatch.setattr(screening, "HALF_CROWD", 16)
    assert prepare(wide)[0].half is not None
    assert prepare(narrow)[0].half is None

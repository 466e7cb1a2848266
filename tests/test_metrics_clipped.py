"""Clipped density and coverage: known answers, a plain definition, and what they promise."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from aebench.metrics.clipped_coverage import (
    clipped_coverage,
    expected_filled,
    score_clipped_coverage,
)
from aebench.metrics.clipped_density import clipped_density, score_clipped_density
from scipy.spatial.distance import cdist

# Salvy, Talbot and Thirion (2025); coverage interpolated, in their logarithms' rounding.
KNOWN = {
    ("x", "y", 3): (0.4070252469813392, 0.44865184944374537),
    ("x", "y", 5): (0.45598526703499076, 0.46553256997041664),
    ("y", "x", 3): (1.0, 0.8879732549599216),
    ("y", "x", 5): (1.0, 0.8682424322993205),
}
SHARES = [0.0, 0.5, 1.0]
EVERY = [share / 10 for share in range(11)]


@pytest.fixture(scope="module")
def features():
    with np.load(Path(__file__).parent / "golden" / "metrics.npz") as golden:
        return {"x": golden["feat_x"], "y": golden["feat_y"]}


@pytest.mark.parametrize(("real", "generated", "k"), KNOWN)
def test_the_known_answers_are_found(features, real, generated, k):
    sets = {"real": features[real], "generated": features[generated], "k": k}
    density, coverage = KNOWN[real, generated, k]
    assert clipped_density(**sets) == pytest.approx(density, rel=1e-14)
    assert clipped_coverage(**sets) == pytest.approx(coverage, rel=1e-11)


def _chance_of(filled: int, m: int, k: int, n: int) -> Fraction:
    # The k-th of n - 1 uniform distances has the law Beta(k, n - k): its integral, in full.
    top = comb(m, filled) * k * comb(n - 1, k)
    return Fraction(top, (m + n - 1) * comb(m + n - 2, k + filled - 1))


@pytest.mark.parametrize(("n", "m", "k"), [(6, 9, 5), (12, 20, 3), (40, 7, 1), (30, 30, 5)])
def test_the_scale_of_coverage_is_the_expectation_in_rational_numbers(n, m, k):
    expected = [
        float(sum(min(j, k) * _chance_of(j, count, k, n) for j in range(count + 1)) / k)
        for count in range(m + 1)
    ]
    assert expected_filled(n, m, k=k) == pytest.approx(expected, rel=1e-13, abs=1e-15)


def _plain(real, generated, k):
    """The definitions with all distances at once."""
    own = cdist(real, real)
    np.fill_diagonal(own, np.inf)
    radii = np.sort(own, axis=1)[:, k - 1]
    clipped, across = np.minimum(radii, np.median(radii)), cdist(real, generated)
    ours = np.minimum((across <= clipped[:, None]).sum(0) / k, 1).mean()
    among = np.minimum((own <= clipped[:, None]).sum(0) / k, 1).mean()
    filled = np.minimum((across < radii[:, None]).sum(1), k).mean() / k
    scale = expected_filled(len(real), len(generated), k=k)
    return min(1.0, ours / among), np.interp(filled, scale, np.linspace(0, 1, len(scale)))


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("kind", ["spread", "ties"])
def test_both_are_their_plain_definitions_also_on_a_grid_of_ties(k, kind):
    draw = np.random.default_rng(k)
    real, generated = draw.normal(size=(61, 3)), 1.1 * draw.normal(size=(40, 3))
    if kind == "ties":
        real, generated = np.round(real), np.round(generated)
    density, coverage = _plain(real, generated, k)
    sets = {"real": real, "generated": generated, "k": k}
    assert clipped_density(**sets) == pytest.approx(density, rel=1e-12)
    assert clipped_coverage(**sets) == pytest.approx(coverage, rel=1e-12)
    assert score_clipped_density(**sets)["clipped_density"].value == clipped_density(**sets)
    assert score_clipped_coverage(**sets)["clipped_coverage"].value == clipped_coverage(**sets)


def _linear(shares, seeds, size):
    errors = np.empty((len(shares), seeds, 2))
    for at, share in enumerate(shares):
        for seed in range(seeds):
            draw = np.random.default_rng([seed, at])
            real, generated = draw.normal(size=(size, 4)), draw.normal(size=(size, 4))
            generated[: round(share * size)] += 100.0
            found = [
                f(real=real, generated=generated) for f in (clipped_density, clipped_coverage)
            ]
            errors[at, seed] = np.subtract(found, 1 - share)
    return abs(errors.mean(1)).max()


def test_both_fall_linearly_with_the_share_of_bad_rows():
    assert _linear(SHARES, 20, 400) < 0.03


@pytest.mark.long
def test_both_fall_linearly_with_every_share_of_bad_rows():
    assert _linear(EVERY, 20, 1000) < 0.02


def test_one_outlier_among_the_real_rows_moves_neither():
    draw = np.random.default_rng(0)
    real, generated = draw.normal(size=(500, 4)), draw.normal(size=(500, 4)) + 0.5
    moved = np.concatenate([real[:-1], real[-1:] + 1e6])
    for score in (clipped_density, clipped_coverage):
        before, after = (score(real=r, generated=generated) for r in (real, moved))
        assert 0.2 < before < 0.9 and abs(after - before) < 2.5 / len(real) + 2.5 / len(real)


@pytest.mark.parametrize("score", [score_clipped_density, score_clipped_coverage])
def test_the_standard_errors_are_those_of_the_spread_over_generated_sets(score):
    draw = np.random.default_rng(0)
    real = draw.normal(size=(300, 4))
    found = [
        *(
            next(iter(score(real=real, generated=draw.normal(size=(300, 4)) + 0.8).values()))
            for _ in range(60)
        )
    ]
    spread = np.std([each.value for each in found], ddof=1)
    told = np.mean([each.stderr for each in found])
    # Balls are taken as given: what the real rows add is in neither or in both by a part.
    assert 0.5 < told / spread < 2.5

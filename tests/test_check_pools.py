"""Which scores tell one another's scatter over seeds, and how far a floor may move."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.regression.trained import compare_trained

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row, frame = FACTORY["make_row"], FACTORY["frame"]
NAMES = ("vae", "ae", "rae", "wae-mmd")
# For each column, what a quiet and a wild set of rows have in it; all else is equal.
PAIRS = {
    "dataset": ("fashion-mini", "digits"),
    "space": ("unit", "logit"),
    "latent_dim": (16, 2),
    "images": ("reconstruction", "sample"),
    "density": ("gaussian", "gmm-10"),
    "metric": ("fd", "mse"),
    "kind": ("exact", "lower bound"),
    "samples_k": (50, 5000),
    "features": ("lite0@64:579344248a93", "pixels@8:000000000000"),
}


def rows_of(scatter, **columns):
    """Returns rows of one score of several objectives, of scatter so large over five seeds."""
    draw = np.random.default_rng(0)
    return [
        make_row(objective=name, seed=seed, value=40.0 + scatter * draw.normal(), **columns)
        for name in NAMES
        for seed in range(5)
    ]


def limits(rows):
    sights = compare_trained(frame(rows), frame(rows)).sights
    return {sight.name: sight.limit for sight in sights}


@pytest.mark.parametrize("column", PAIRS)
def test_a_score_that_scatters_widely_does_not_blind_the_check_for_one_of_another(column):
    quiet, wild = (
        rows_of(s, **{column: v}) for s, v in zip((0.01, 10.0), PAIRS[column], strict=True)
    )
    alone = limits(quiet)
    sights = compare_trained(frame([*quiet, *wild]), frame([*quiet, *wild])).sights
    found = sorted(sight.limit for sight in sights)
    assert len(found) == 2 * len(alone) == 2 * len(NAMES)
    # A quiet score's limit is a hundredth of its level, however many are tested together.
    assert found[: len(NAMES)] == pytest.approx(sorted(alone.values()), rel=1e-12)
    assert found[len(NAMES)] > 10 * found[len(NAMES) - 1]


def test_a_floor_that_moves_by_two_per_cent_is_worse_and_by_half_a_per_cent_is_not():
    def worse(factor):
        before, after = (
            [make_row(objective="floor", images="test", value=v)] for v in (0.8, 0.8 * factor)
        )
        (change,) = compare_trained(frame(before), frame(after)).changes
        return change.is_worse

    assert worse(1.02) and worse(0.98)
    assert not worse(1.005) and not worse(0.995)

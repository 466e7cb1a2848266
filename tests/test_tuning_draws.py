"""What the trials before the sampler has a say are drawn from."""

from __future__ import annotations

import numpy as np
from aebench.bench.tuning.journal import Journal
from aebench.models.options import Range
from scipy.stats import kstest

SEEDS = 300


def first_draws(folder, own):
    """Returns the first suggestion of each seed, where no trial was made before."""
    journal = Journal(folder / "journal.log", {"s": own}, "lower")
    return np.array([journal.suggest(seed)["s"] for seed in range(SEEDS)])


def test_a_logarithmic_range_is_drawn_evenly_by_the_logarithm(tmp_path):
    drawn = first_draws(tmp_path, Range(1e-4, 1.0, log=True))
    assert kstest((np.log10(drawn) + 4) / 4, "uniform").pvalue > 0.001
    assert 0.4 < np.mean(drawn < 1e-2) < 0.6


def test_a_range_that_is_not_logarithmic_is_drawn_evenly_by_its_values(tmp_path):
    drawn = first_draws(tmp_path, Range(1.0, 9.0))
    assert kstest((drawn - 1) / 8, "uniform").pvalue > 0.001
    assert 0.4 < np.mean(drawn < 5.0) < 0.6

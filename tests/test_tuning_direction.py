"""Where higher is better, tuning goes to the highest scores and takes the highest."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.likelihood_rows import LikelihoodRows
from aebench.bench.likelihood.scores import LikelihoodScore
from aebench.bench.suites.suite import load_suite
from aebench.bench.tuning.criterion import criterion_of
from aebench.bench.tuning.journal import UNGUIDED, Journal
from aebench.models import build
from aebench.models.options import Range

TRIAL = runpy.run_path(str(Path(__file__).with_name("test_tune.py")))["trial"]


def test_guided_trials_are_mostly_near_the_highest_score_where_higher_is_better(tmp_path):
    guided = []
    for seed in range(3):
        journal = Journal(tmp_path / f"{seed}.log", {"s": Range(0.0, 1.0)}, "higher")
        for number in range(16):
            s = journal.suggest(seed)["s"]
            guided += [s] * (number >= UNGUIDED)
            journal.add(TRIAL(number, better="higher", value=-((s - 0.7) ** 2)), {"s": s})
    # By chance half of them would be, and towards the lowest score a fifth.
    assert sum(0.45 < s < 0.96 for s in guided) > 0.6 * len(guided)


@pytest.mark.parametrize("densities", [("gaussian", "gmm-10"), ("gmm-10", "gaussian")])
def test_of_two_densities_the_one_with_the_higher_likelihood_is_taken(
    suite_file, monkeypatch, densities
):
    nats = {"gaussian": -90.0, "gmm-10": -80.0}
    monkeypatch.setattr(
        LikelihoodRows,
        "scores",
        lambda rows, density: [
            LikelihoodScore("log_prob", nats[density], density=density, trusted="yes")
        ],
    )
    wanted = f"densities = {list(densities)}\nlikelihood_images = 6"
    path = suite_file(('densities = ["gaussian"]', wanted))
    (config,) = load_suite(path, only={"objective": "ae"}).configs
    data = load_dataset("digits")
    model = build("ae", backbone="tiny", image_shape=data.image_shape, latent_dim=3)
    found = criterion_of(config, data).judge(model, config, data)
    assert (found.value, found.density) == (-80.0, "gmm-10")

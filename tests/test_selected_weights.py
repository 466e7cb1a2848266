"""The weights of the best validation loss: how the loss is taken, and that they are used."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.runs.request import Request
from aebench.bench.runs.runner import Run
from aebench.bench.suites.config import Training
from aebench.bench.suites.suite import load_suite
from aebench.bench.training.trainer import Trainer
from aebench.bench.tuning import criterion
from aebench.bench.tuning.study import Study
from aebench.models.building import build
from aebench.models.objectives.objective import OBJECTIVES

LOSSES = (3.0, 1.0, 2.0)  # After 4, 8 and 12 steps.


@pytest.fixture
def config(suite_file):
    """A run of three validations."""
    replacements = [("steps = 8", "steps = 12"), ('["ae", "vae"]', '"vae"')]
    replacements += [('"reconstruction"', '"frechet"')]
    (config,) = load_suite(suite_file(*replacements)).configs
    return config


@pytest.fixture
def best(config, tmp_path):
    """The weights after the first two of three intervals between validations."""
    data = load_dataset("digits")
    shape = data.image_shape
    model = build("vae", backbone="tiny", image_shape=shape, latent_dim=3, seed=config.seed)
    trainer = Trainer(
        model,
        dataclasses.replace(config.training, steps=8),
        train=data.train,
        validation=data.validation,
        seed=config.seed,
        folder=tmp_path,
    )
    trainer.run()
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture
def scripted(best, monkeypatch):
    """Gives each validation the next of some losses; returns what is called after each."""
    done: list[object] = []
    kind = OBJECTIVES.get("vae")
    terms = kind.terms

    def script(self, x, generator):
        if self.training:
            return terms(self, x, generator)
        return {"distortion": torch.full((len(x),), LOSSES[len(done)])}

    monkeypatch.setattr(kind, "terms", script)
    return done


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_weights_of_the_best_validation_are_kept_and_scored(config, best, scripted, tmp_path):
    run = Run(Request(config, tmp_path / "out"))
    run.execute(lambda stage: None, scripted.append)
    assert [progress.loss for progress in scripted] == list(LOSSES)
    assert same(load_checkpoint(run.directory.checkpoint)[0], best)
    assert same(run.objective.state_dict(), best)


def test_a_trial_is_judged_by_the_weights_of_its_best_validation(
    config, best, scripted, tmp_path, monkeypatch
):
    judged = []

    def judge(self, objective, *_):
        judged.append({name: value.clone() for name, value in objective.state_dict().items()})
        return criterion.Outcome(1.0)

    monkeypatch.setattr(criterion.Criterion, "judge", judge)
    study = Study(config, tmp_path / "out", trials=1, name="one")
    study.folder.mkdir(parents=True)  # A worker locks it before the first trial.
    assert study.opened().execute(lambda line: None, scripted.append) == "tuned"
    assert [progress.loss for progress in scripted] == list(LOSSES)
    (weights,) = judged
    assert same(weights, best)


def test_every_validation_image_counts_the_same_in_the_loss_whatever_its_batch(tmp_path):
    images = np.random.default_rng(0).integers(0, 100, (28, 1, 8, 8), np.uint8)
    images[24:] = 255  # The last batch, of four of the twenty, is unlike the others.
    stored = torch.from_numpy(images)
    model = build("ae", backbone="tiny", image_shape=(1, 8, 8), latent_dim=3)
    terms = model.terms

    def brightness(x, generator):
        if model.training:
            return terms(x, generator)
        return {"distortion": x.flatten(1).mean(1)}

    model.terms = brightness
    training = Training(steps=1, batch_size=8, validate_every=1)
    given = {"train": stored[:8], "validation": stored[8:], "seed": 0, "folder": tmp_path}
    trainer = Trainer(model, training, **given)
    found = []
    trainer.run(found.append)
    (progress,) = found
    expected = images[8:].astype(np.float64).mean() / 255
    assert progress.loss == pytest.approx(expected, rel=1e-5)
    assert trainer.best_loss == progress.loss

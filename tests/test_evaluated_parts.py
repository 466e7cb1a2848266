"""Which part of the data a density is fitted to, and which codes have others between them."""

from __future__ import annotations

import dataclasses
import itertools
import runpy
from pathlib import Path

import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation import outputs as module
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.runs.request import Request
from aebench.bench.runs.runner import Run
from aebench.bench.suites.config import Evaluation
from aebench.bench.suites.suite import load_suite
from aebench.models import build
from aebench.models.densities.gaussian import FullGaussian

TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]


def test_a_density_is_fitted_to_the_codes_of_the_images_that_were_trained_on(
    suite_file, tmp_path, monkeypatch
):
    fitted, fit = [], FullGaussian.fit

    def watched(self, codes, seed):
        fitted.append(codes.clone())
        fit(self, codes, seed)

    monkeypatch.setattr(FullGaussian, "fit", watched)
    (config,) = load_suite(suite_file(('["ae", "vae"]', '"ae"'))).configs
    run = Run(Request(config, tmp_path))
    assert run.execute(lambda stage: None) == "trained"
    data = load_dataset("digits")
    model = build("ae", backbone="tiny", image_shape=data.image_shape, latent_dim=3).eval()
    model.load_state_dict(load_checkpoint(run.directory.checkpoint)[0])
    assert len(data.train) > 100  # The suite trains on the first hundred.
    with torch.no_grad():
        expected = model.encode(data.train[:100].float() / 255)
    (codes,) = fitted
    atol = float32_slack(float(expected.abs().max()), TOLERANCES["products"](model.backbone))
    torch.testing.assert_close(codes, expected, rtol=0, atol=atol)


def test_interpolations_are_between_each_two_different_validation_codes(monkeypatch):
    pairs, midpoints = [], module.midpoints

    def watched(first, second, kind):
        pairs.extend(zip(first.tolist(), second.tolist(), strict=True))
        return midpoints(first, second, kind)

    monkeypatch.setattr(module, "midpoints", watched)
    data = load_dataset("digits")
    few = dataclasses.replace(data, validation=data.validation[:4])
    model = build("ae", backbone="tiny", image_shape=data.image_shape, latent_dim=3)
    outputs = module.Outputs(model, few, Evaluation(images=300), seed=0)
    outputs.images("interpolation", "")
    codes = outputs.validation_codes.tolist()
    assert len(pairs) == 300
    found = {(codes.index(first), codes.index(second)) for first, second in pairs}
    assert found == set(itertools.permutations(range(4), 2))

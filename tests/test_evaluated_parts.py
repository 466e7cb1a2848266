"""Which part of the data a density is fitted to."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.runs.request import Request
from aebench.bench.runs.runner import Run
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

"""Whole runs on a real GPU: every score, and likelihoods on the full network."""

from __future__ import annotations

import math

import pytest
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.bench.runs.request import Request
from aebench.bench.runs.runner import Run
from aebench.bench.suites.config import Config, Evaluation, Training
from aebench.models.objectives.objective import OBJECTIVES
from aebench.models.objectives.pretrained import Pretrained

LIKELIHOODS = {
    "likelihood_images": 4,
    "likelihood_samples": 32,
    "likelihood_k_images": 2,
    "likelihood_k_samples": 64,
    "likelihood_validation_images": 4,
    "annealing_images": 2,
    "annealing_steps": 4,
    "annealing_chains": 2,
}
# A run trains all objectives but this one.
TRAINED = [name for name, kind in OBJECTIVES.items() if not issubclass(kind, Pretrained)]


def _rows(config, folder, device):
    run = Run(Request(config, folder, device))
    run.execute(lambda stage: None)
    names = ("metric", "density", "images", "kind", "model", "samples_k", "features")
    return {tuple(row[name] for name in names): row for row in run.directory.rows()}


@pytest.mark.parametrize("objective", TRAINED)
def test_a_whole_run_scores_as_on_the_cpu(objective, tmp_path, monkeypatch):
    monkeypatch.setenv("AEBENCH_CACHE", str(tmp_path / "cache"))
    config = Config(
        *("gpu", "smoke", "digits", "tiny", objective, 3),
        training=Training(steps=8, batch_size=10, train_images=60, validate_every=8),
        evaluation=Evaluation(
            densities=("prior", "gaussian", "gmm-2", "second-stage"),
            metrics=tuple(metrics()),
            features=("pixels",),
            images=20,
            second_stage_steps=7,
            sheet_images=2,
            **LIKELIHOODS,
        ),
    )
    on_cpu, on_gpu = (_rows(config, tmp_path / d, d) for d in ("cpu", "cuda"))
    assert on_gpu.keys() == on_cpu.keys() and len(on_gpu) > 10
    for key, row in on_gpu.items():
        assert row["status"] == on_cpu[key]["status"], (key, row["reason"])
    # A GPU draws other noise, and so are its weights where an objective draws any; an
    # autoencoder draws none.
    for key, row in on_gpu.items():
        if objective == "ae" and row["metric"] in ("mse", "psnr", "ssim"):
            assert row["value"] == pytest.approx(on_cpu[key]["value"], rel=1e-3), key


@pytest.mark.parametrize(
    ("objective", "backbone", "space", "options"),
    [
        ("vae", "rae-32", "logit", {}),
        ("vae", "rae-32", "logit", {"posterior_flow": "iaf", "prior_flow": "maf"}),
        ("aef-linear", "aef-small", "logit", {"core_flow": "maf", "prior_flow": "maf"}),
        ("rae-gp", "rae-32", "unit", {}),
    ],
    ids=["vae", "flows", "aef", "completed"],
)
def test_likelihoods_on_full_networks_are_finite(objective, backbone, space, options, tmp_path):
    dataset = "fashion-mini-32" if backbone == "rae-32" else "fashion-mini"
    config = Config(
        *("gpu", "smoke", dataset, backbone, objective, 16),
        space=space,
        options=options,
        training=Training(steps=40, batch_size=100, validate_every=20, gradient_clip=200.0),
        evaluation=Evaluation(
            densities=("prior", "gmm-10"),
            metrics=(),
            features=(),
            images=20,
            **LIKELIHOODS | {"likelihood_samples": 1000, "likelihood_images": 16},
        ),
    )
    rows = _rows(config, tmp_path, "cuda")
    scores = [row for key, row in rows.items() if key[0].startswith(("log_prob", "bits"))]
    # Padded images have no bits per dimension.
    assert {r["status"] for r in scores} <= {"ok", "not applicable"}
    assert all(math.isfinite(r["value"]) for r in scores if r["status"] == "ok")
    assert any(r["metric"] == "log_prob" and r["status"] == "ok" for r in scores)

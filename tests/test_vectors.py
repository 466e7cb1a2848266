"""Suites on vectors: they finish, score the vectors themselves, and draw what can be drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aebench.bench import UserError, fit
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.metrics import frechet_distance
from aebench.metrics.reconstruction import psnr, reconstruction, ssim

pytestmark = pytest.mark.sensitive
SUITE = """
title = "Vectors"
[training]
steps = 8
batch_size = 20
train_images = 100
validate_every = 4
[evaluation]
metrics = {metrics}
features = ["inception"]
densities = ["prior", "gaussian"]
images = 40
[[runs]]
dataset = "{dataset}"
backbone = "mlp"
latent_dim = 2
objective = ["vae"]
"""


@pytest.fixture(autouse=True)
def without_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("AEBENCH_INCEPTION", raising=False)


@pytest.fixture
def vectors_file(tmp_path):
    path = tmp_path / "vectors.npy"
    np.save(path, 40 * np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32))
    return f"npz:{path}"


@pytest.mark.parametrize("name", ["warped-mixture", "npz"])
def test_a_suite_on_vectors_runs_and_is_reported(
    name, vectors_file, suite_file, aebench, tmp_path
):
    dataset = vectors_file if name == "npz" else name
    # All metrics once; elsewhere those that take the vectors and their reconstructions.
    asked = (
        list(metrics()) if name == "warped-mixture" else ["reconstruction", "frechet", "kernel"]
    )
    path = suite_file(text=SUITE.format(metrics=json.dumps(asked), dataset=dataset))
    code, told = aebench(path)
    assert code == 0, told
    rows = [row for file in (tmp_path / "out").glob("runs/*/result.json") for row in rows_of(file)]
    assert {row["status"] for row in rows} <= {"ok", "not applicable"}
    assert all(row["reason"].startswith("needs") for row in rows if row["status"] != "ok")
    compared = [row for row in rows if row["images"] != "test"]
    assert {row["features"] for row in compared} == {"vectors:-"}
    assert {row["status"] for row in compared} == {"ok"}
    assert any(row["metric"] == "mse" and row["value"] > 0 for row in rows)
    assert main(["report", str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out").rglob("*sheet*")) + list(tmp_path.rglob("samples.png"))
    drawn = list((tmp_path / "out" / "plots").glob("vectors*.png"))
    assert len(drawn) == (name == "warped-mixture")
    assert "complete" in aebench(path)[1]


def test_noise_on_pixels_is_refused_where_values_are_no_pixels(suite_file, aebench, tmp_path):
    noisy = ("steps = 8", "steps = 8\nnoise_sigma = 0.1")
    vectors = SUITE.format(metrics="[]", dataset="warped-mixture")
    code, told = aebench(suite_file(noisy, text=vectors))
    assert code == 2 and "'training.noise_sigma' is 0.1" in told and "Traceback" not in told
    pixels = suite_file(noisy, ('objective = ["ae", "vae"]', 'objective = "ae"\nspace = "real"'))
    assert aebench(pixels)[0] == 2
    with pytest.raises(UserError, match="expected 0 in space 'real'"):
        fit("vae", np.linspace(-9, 9, 200).reshape(50, 4), training={"noise_sigma": 0.1})
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize("space", ["real", "unit", "logit"])
def test_a_space_for_data_of_another_kind_is_refused_before_the_training(
    space, suite_file, aebench, tmp_path
):
    values = np.random.default_rng(0).random((50, 4))
    data = values.reshape(50, 2, 2) if space == "real" else values
    with pytest.raises(UserError, match=f"'space' is '{space}', for .*; expected"):
        fit("vae", data, backbone="mlp", space=space, steps=2, progress=False)
    vectors = SUITE.format(metrics="[]", dataset="warped-mixture")
    suite = suite_file() if space == "real" else suite_file(text=vectors)
    code, told = aebench(suite, "--set", f"space={space}")
    assert code == 2 and f"'space' is '{space}', for " in told and told.count("\n") == 1
    assert not (tmp_path / "out" / "runs").exists()


def test_the_distance_of_samples_is_that_of_the_vectors_drawn(suite_file, aebench, tmp_path):
    code, told = aebench(
        suite_file(text=SUITE.format(metrics='["frechet"]', dataset="warped-mixture"))
    )
    assert code == 0, told
    floor, file = sorted(
        (tmp_path / "out").glob("runs/*/result.json"), key=lambda f: "floor" not in f.parent.name
    )
    arrays = np.load(file.with_name("arrays.npz"))
    real = load_dataset("warped-mixture").test[:40].flatten(1).numpy()
    np.testing.assert_array_equal(arrays["vectors_real"], real)
    (row,) = rows_of(floor)
    heldout = load_dataset("warped-mixture").validation[:40].flatten(1).numpy()
    assert row["value"] == pytest.approx(frechet_distance(real=real, generated=heldout))
    assert (row["objective"], row["space"]) == ("floor", "real")
    for kind in ("sample_prior", "sample_gaussian", "reconstruction"):
        images, _, density = kind.partition("_")
        (row,) = [r for r in rows_of(file) if (r["images"], r["density"]) == (images, density)]
        expected = frechet_distance(real=real, generated=arrays[f"vectors_{kind}"])
        assert row["value"] == pytest.approx(expected)


def test_errors_of_vectors_are_in_their_own_units_and_have_no_peak():
    vectors = np.random.default_rng(0).normal(size=(9, 3)) * 100
    scores = reconstruction(images=vectors, reconstructions=vectors + np.array([3, 0, 4]))
    assert scores["mse"].value == pytest.approx(25 / 3)
    assert scores["l2"].value == pytest.approx(5)
    for metric in (psnr, ssim):
        (score,) = metric(images=vectors, reconstructions=vectors).values()
        assert np.isnan(score.value) and score.reason == "needs images, not vectors"


def rows_of(file):
    return json.loads(file.read_text(encoding="utf-8"))["rows"]

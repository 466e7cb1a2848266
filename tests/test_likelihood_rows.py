"""A run's likelihood rows are those of its test images, with the counts of its settings."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pytest
import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.likelihood_rows import NATIVE, LikelihoodRows
from aebench.bench.evaluation.outputs import Outputs
from aebench.bench.records.per_image import key_of, read_file
from aebench.bench.suites.config import Evaluation
from aebench.models import build
from aebench.models.streams import stream

pytestmark = pytest.mark.sensitive
BASE = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))["run_columns"]()
SEED = 4


def rows_of(objective, path, dataset="digits", **settings):
    data = load_dataset(dataset)
    model = build(objective, backbone="tiny", image_shape=data.image_shape, latent_dim=3)
    generator = torch.Generator().manual_seed(0)
    model.initialise(model.space.prepare(data.train[:50], generator), generator)
    outputs = Outputs(model, data, Evaluation(images=20, **settings), SEED)
    return outputs, LikelihoodRows(outputs, BASE, path).rows(NATIVE)


def test_an_exact_row_is_the_mean_log_density_of_the_first_dequantised_test_images(tmp_path):
    path = tmp_path / "likelihoods.npz"
    outputs, rows = rows_of("aef-center", path, likelihood_images=6)
    stored = outputs.data.test[:6]
    noise = torch.rand(stored.shape, generator=stream(SEED, "likelihood/test"))
    with torch.no_grad():
        exact = outputs.objective.log_prob((stored + noise) / 256).double()
    (row,) = [row for row in rows if row["metric"] == "log_prob"]
    assert (row["images"], row["kind"], row["n_real"]) == ("test", "exact", 6)
    assert row["value"] == pytest.approx(float(exact.mean()), rel=1e-5)
    kept = read_file(path)[key_of(row)]
    assert kept.images.tolist() == list(range(6))
    assert kept.values.tolist() == pytest.approx(exact.tolist(), rel=1e-5)


def test_each_bound_has_the_images_and_the_draws_that_its_settings_name(tmp_path):
    _, rows = rows_of(
        *("vae", tmp_path / "likelihoods.npz"),
        likelihood_images=7,
        likelihood_samples=3,
        likelihood_k_images=4,
        likelihood_k_samples=5,
        likelihood_validation_images=3,
        annealing_images=2,
        annealing_chains=9,
        annealing_steps=4,
    )
    found = [(row["metric"], row["samples_k"], row["n_real"]) for row in rows]
    assert [each for each in found if each[0] in ("log_prob", "log_prob_annealed")] == [
        ("log_prob", 3, 7),
        ("log_prob", 5, 4),
        ("log_prob_annealed", 9, 2),
    ]


@pytest.mark.parametrize(
    ("dataset", "has_bits"), [("fashion-mini", True), ("fashion-mini-32", False)]
)
def test_a_padded_view_has_nats_alone_and_its_native_view_bits_too(tmp_path, dataset, has_bits):
    _, rows = rows_of("aef-center", tmp_path / "l.npz", dataset, likelihood_images=2)
    found = {row["metric"]: row for row in rows}
    nats, bits = found["log_prob"], found["bits_per_dim"]
    assert nats["status"] == "ok" and nats["value"] is not None
    if has_bits:  # Of 28 x 28 pixels with values from 0 to 255.
        assert bits["value"] == pytest.approx(8 - nats["value"] / (784 * math.log(2)))
    else:
        assert (bits["status"], bits["value"]) == ("not applicable", None)
        assert "native view only" in bits["reason"]

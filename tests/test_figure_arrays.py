"""Arrays for figures, and what the scores of a run compare with what."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.evaluation import Evaluator, Item
from aebench.bench.evaluation.figure_arrays import (
    decoded_grid,
    denoising_strip,
    flat_codes,
    neighbours,
)
from aebench.bench.evaluation.outputs import Outputs
from aebench.bench.evaluation.record import EvaluationRecord
from aebench.bench.suites.config import Evaluation
from aebench.metrics.prd import prd_f_beta
from aebench.models.building import build
from aebench.models.streams import stream
from scipy.spatial.distance import cdist

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
BASE = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))["run_columns"]()


@pytest.fixture(scope="module")
def outputs():
    data = load_dataset("digits")
    model = build("ae", backbone="tiny", image_shape=data.image_shape, latent_dim=2)
    settings = Evaluation(densities=("gaussian", "gmm-2"), images=50, sheet_images=4)
    return Outputs(model, data, settings, seed=0, noise_sigma=0.25)


def _evaluator(outputs, folder):
    record = EvaluationRecord(folder / "evaluation.json", {})
    return Evaluator(outputs, BASE, outputs.settings, record, "cpu")


def test_noisy_images_have_the_protocols_noise_and_are_the_same_for_every_run(outputs):
    clean = outputs.real.float() / 255
    inside = (clean > 0.3) & (clean < 0.7)
    deviation = (outputs.noisy - clean)[inside].std()
    assert float(deviation) == pytest.approx(0.25, rel=0.1)
    assert float(outputs.noisy.min()) == 0 and float(outputs.noisy.max()) == 1
    other = Outputs(outputs.objective, outputs.data, outputs.settings, seed=7, noise_sigma=0.25)
    assert torch.equal(other.noisy, outputs.noisy)


def test_denoised_images_are_decoded_from_codes_of_test_images_with_the_papers_noise(
    outputs, monkeypatch
):
    # As the AEF paper's code: noise of a generator with seed 3 on grey levels in [0, 1], clamped.
    clean = outputs.data.test[:50].double() / 255
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3)).double()
    noisy = (clean + 0.25 * noise).clamp(0, 1)
    torch.testing.assert_close(outputs.noisy.double(), noisy, rtol=0, atol=float32_slack(1, 3))
    # An autoencoder that copies leaves the noise where it is.
    monkeypatch.setattr(outputs.objective, "encode", lambda x: x.flatten(1))
    monkeypatch.setattr(outputs.objective, "decode", lambda z: z.view(-1, 1, 8, 8))
    copies = Outputs(outputs.objective, outputs.data, outputs.settings, 0, noise_sigma=0.25)
    assert copies.denoised.dtype == torch.uint8
    atol = 0.5 + 255 * float32_slack(1, 3)  # Half a grey level is what rounding takes away.
    torch.testing.assert_close(copies.denoised.double(), 255 * noisy, rtol=0, atol=atol)


def test_reconstructions_for_sets_are_of_validation_images_and_for_pairs_of_test_images(
    outputs, monkeypatch
):
    # What copies its input tells which images it was given.
    monkeypatch.setattr(outputs.objective, "encode", lambda x: x.flatten(1))
    monkeypatch.setattr(outputs.objective, "decode", lambda z: z.view(-1, 1, 8, 8))
    copies = Outputs(outputs.objective, outputs.data, outputs.settings, seed=0)
    assert not torch.equal(outputs.data.validation[:50], outputs.data.test[:50])
    assert torch.equal(copies.images("reconstruction"), outputs.data.validation[:50])
    test = torch.from_numpy(outputs.data.test[:50].numpy().astype(np.float32) / 255)
    atol = float32_slack(1)
    torch.testing.assert_close(copies.test_reconstructions, test, rtol=0, atol=atol)


def test_the_denoising_score_compares_denoised_with_clean_test_images(outputs, tmp_path):
    evaluator = _evaluator(outputs, tmp_path)
    [row] = evaluator.compute(Item("test", "denoising", features="pixels"))
    difference = (outputs.denoised.double() - outputs.data.test[:50].double()) / 255
    assert (row["metric"], row["n_real"]) == ("ife", 50)
    assert row["value"] == pytest.approx(float(difference.square().mean()), rel=1e-5)


def test_memorisation_compares_samples_and_held_out_images_with_training_images(outputs, tmp_path):
    rows = _evaluator(outputs, tmp_path).compute(
        Item("sample", "memorisation", "gaussian", "pixels")
    )
    found = {row["metric"]: row["value"] for row in rows}
    data, samples = outputs.data, outputs.images("sample", "gaussian")
    train, heldout, generated = (
        images.flatten(1).double().numpy() / 255
        for images in (data.train, data.validation[:50], samples)
    )
    distances = cdist(generated, train)
    expected = np.median(distances.min(1)) / np.median(cdist(heldout, train).min(1))
    assert found["nn_ratio"] == pytest.approx(expected, rel=1e-5)
    others = cdist(train, train) + np.diag(np.full(len(train), np.inf))
    farther = distances.min(1) > others.min(1)[distances.argmin(1)]
    assert found["authpct"] == pytest.approx(float(farther.mean()))


def test_a_denoising_strip_has_noisy_denoised_and_clean_images_in_this_order(outputs):
    strip = denoising_strip(outputs)
    assert strip.shape == (4, 3, 1, 8, 8) and strip.dtype == torch.uint8
    assert torch.equal(strip[:, 2], outputs.real[:4])
    assert torch.equal(strip[:, 1], outputs.denoised[:4])
    assert not torch.equal(strip[:, 0], strip[:, 2])


def _codes_decoded(outputs, draw, monkeypatch):
    """Returns the codes of each call of the decoder, whose first images are not finite."""
    codes = []

    def decode(z):
        codes.append(z)
        return torch.full((len(z), 1, 8, 8), torch.nan if len(codes) == 1 else 0.5)

    monkeypatch.setattr(outputs.objective, "decode", decode)
    draw()
    return codes


def test_samples_at_a_temperature_are_decoded_from_codes_that_many_times_as_long(
    outputs, monkeypatch
):
    plain, cold = (
        _codes_decoded(outputs, lambda t=t: outputs.sample("prior", 5, t), monkeypatch)
        for t in (1.0, 0.25)
    )
    # Both are drawn again, at the same temperature, where the images were not finite.
    assert len(plain) == len(cold) == 2
    for first, second in zip(plain, cold, strict=True):
        assert first.shape == (5, 2) and torch.equal(second, 0.25 * first)


def test_the_sheet_has_samples_from_the_prior_at_each_temperature_of_the_settings(outputs):
    settings = dataclasses.replace(
        outputs.settings, densities=("prior",), temperatures=(0.25, 2.0)
    )
    model = build("vae", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2)
    sheet = Outputs(model, outputs.data, settings, seed=0).sheet()
    names = {name for name in sheet if name.startswith("temperature")}
    assert names == {"temperature_0.25", "temperature_2"}
    codes = torch.randn(4, 2, generator=stream(0, "evaluation/sample/prior"))
    for name, temperature in (
        ("sample_prior", 1),
        ("temperature_0.25", 0.25),
        ("temperature_2", 2),
    ):
        with torch.no_grad():
            decoded = 255 * model.decode(temperature * codes).clamp(0, 1)
        difference = sheet[name].float() - decoded
        assert float(difference.abs().max()) <= 0.5 + 255 * float32_slack(1, 64)


def test_a_mixtures_density_on_the_grid_is_that_at_the_grids_points(outputs):
    arrays = flat_codes(outputs)
    assert set(arrays) == {"codes2d", "extent2d", "labels", "density2d_gmm-2"}
    left, right, bottom, top = arrays["extent2d"].double()
    grid = arrays["density2d_gmm-2"].double()
    x = torch.linspace(float(left), float(right), 100, dtype=torch.float64)
    y = torch.linspace(float(bottom), float(top), 100, dtype=torch.float64)
    row, column = divmod(int(grid.argmax()), 100)
    point = torch.stack([x[column], y[row]])[None]
    expected = outputs.density("gmm-2").log_prob(point).exp()
    assert float(grid[row, column]) == pytest.approx(float(expected), rel=1e-4)


def test_the_first_code_of_the_grid_grows_to_the_right_and_the_second_falls(outputs, monkeypatch):
    monkeypatch.setattr(outputs, "decode", lambda codes: codes)
    grid = decoded_grid(outputs, "prior").view(20, 20, 2)
    z = 1.2815516  # The normal quantile of 0.9, by tables.
    assert grid[0, 0].tolist() == pytest.approx([-z, z])
    assert grid[0, 19].tolist() == pytest.approx([z, z])
    assert grid[19, 0].tolist() == pytest.approx([-z, -z])
    fitted = outputs.density("gaussian")
    moved = decoded_grid(outputs, "gaussian").view(20, 20, 2)[0, 19].double()
    expected = fitted.mean + z * fitted.covariance.diag().sqrt()
    atol = float32_slack(expected.abs().max(), 3) + 1e-7  # z has seven decimals
    torch.testing.assert_close(moved, expected, rtol=0, atol=atol)


def test_the_nearest_training_image_of_a_training_image_is_itself(outputs, monkeypatch):
    wanted = outputs.data.train[10:14]
    monkeypatch.setattr(outputs, "sample", lambda density, count: wanted[:count])
    found = neighbours(outputs, "gaussian")
    assert found.shape == (4, 4, 1, 8, 8)
    assert torch.equal(found[:, 0], wanted) and torch.equal(found[:, 1], wanted)
    distances = (found.float() - wanted[:, None].float()).flatten(2).norm(dim=2)
    assert bool((distances.diff(dim=1) >= 0).all())


def test_a_run_of_the_denoising_protocol_scores_and_saves_it(suite_file, aebench, tmp_path):
    path = suite_file(
        ("latent_dim = 3", "latent_dim = 2\ntraining = {noise_sigma = 0.5}"),
        ('["reconstruction"]', '["denoising", "prd"]'),
    )
    code, told = aebench(path)
    assert code == 0, told
    for folder in (p.parent for p in (tmp_path / "out").glob("runs/*/arrays.npz")):
        rows = json.loads((folder / "result.json").read_text())["rows"]
        (ife,) = [row for row in rows if row["metric"] == "ife"]
        assert ife["status"] == "ok" and ife["images"] == "test" and ife["n_generated"] == 20
        assert json.loads(ife["variant"]) == {"noise_sigma": 0.5}
        with np.load(folder / "arrays.npz") as arrays:
            strip = arrays["denoising_0.5"]
            assert strip.shape == (4, 3, 1, 8, 8)
            assert arrays["grid2d_gaussian"].shape == (400, 1, 8, 8)
            precision, recall = arrays["prd_gaussian"].astype(float)
        scores = {r["metric"]: r["value"] for r in rows if r["density"] == "gaussian"}
        pair = (scores["prd_f8"], scores["prd_f1/8"])
        assert prd_f_beta(precision, recall) == pytest.approx(pair, abs=1e-5)


def test_without_the_protocol_the_metric_does_not_apply(suite_file, aebench, tmp_path):
    code, _ = aebench(suite_file(('["reconstruction"]', '["denoising"]')))
    rows = [
        row
        for path in (tmp_path / "out").glob("runs/*/result.json")
        for row in json.loads(path.read_text())["rows"]
    ]
    assert code == 0
    assert {row["status"] for row in rows if row["objective"] != "floor"} == {"not applicable"}

"""Samples that are not finite: drawn again, their share a score; bounds on a flow's scales."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.evaluation import NON_FINITE, Evaluator, Item
from aebench.bench.evaluation.likelihood_rows import LikelihoodRows
from aebench.bench.evaluation.outputs import Outputs
from aebench.bench.evaluation.record import EvaluationRecord
from aebench.bench.records.results import read_results
from aebench.bench.suites.config import Evaluation
from aebench.models import build
from aebench.models.densities.gaussian import FullGaussian
from aebench.models.flows.actnorm import ActNorm
from aebench.models.flows.flows import build_flow
from aebench.models.objectives.objective import Objective
from torch import Tensor

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
COUNT = 200
LIKELIHOOD = "likelihood_images = 4\nlikelihood_samples = 4\nlikelihood_validation_images = 8\n"
FLOW = 'options = {prior_flow = "maf", flow_layers = 1, flow_hidden = 8}'


def outputs_losing(limit: float, monkeypatch: pytest.MonkeyPatch) -> Outputs:
    """Returns outputs of a model that decodes to nan where the first code is above a limit."""
    data = load_dataset("digits")
    model: Any = build("vae", backbone="tiny", image_shape=(1, 8, 8), latent_dim=3, seed=0)
    decode = model.decode

    def broken(z: Tensor) -> Tensor:
        images = decode(z)
        return torch.where((z[:, 0] > limit)[:, None, None, None], torch.nan, images)

    monkeypatch.setattr(model, "decode", broken)
    return Outputs(model, data, Evaluation(images=COUNT, densities=("prior",)), 0)


def test_lost_samples_are_drawn_again_and_the_others_stay(monkeypatch):
    whole = outputs_losing(1e9, monkeypatch)
    outputs = outputs_losing(0.5, monkeypatch)
    images = outputs.images("sample", "prior")
    assert images.shape == whole.images("sample", "prior").shape
    same = (images == whole.images("sample", "prior")).flatten(1).all(1)
    share = outputs.non_finite("prior")
    # P(z > 0.5) = 0.3085 with error 0.033 in 200 draws.
    assert share == pytest.approx(0.3085, abs=0.1)
    assert int((~same).sum()) == round(share * COUNT)
    assert whole.non_finite("prior") == 0


def test_the_error_of_a_share_of_lost_draws_is_that_of_a_binomial_share(monkeypatch, tmp_path):
    outputs = outputs_losing(0.5, monkeypatch)
    base = FACTORY["run_columns"]()
    record = EvaluationRecord(tmp_path / "evaluation.json", {})
    evaluator = Evaluator(outputs, base, outputs.settings, record, "cpu")
    [row] = evaluator.compute(Item("sample", NON_FINITE, "prior"))
    lost = round(row["value"] * COUNT)
    assert 0 < lost < COUNT
    assert row["stderr"] == pytest.approx(np.sqrt(lost * (COUNT - lost) / COUNT**3), rel=1e-9)


def test_a_model_that_gives_no_finite_sample_is_told_with_its_share(monkeypatch):
    outputs = outputs_losing(-1e9, monkeypatch)
    with pytest.raises(ValueError, match="200 of 200 samples are not finite after 11 draws"):
        outputs.images("sample", "prior")
    assert outputs.non_finite("prior") == 1


def test_models_with_a_flow_have_their_share_of_lost_draws_as_a_row(suite_file, aebench, tmp_path):
    text = Path(suite_file(('"ae", "vae"', '"vae"'))).read_text(encoding="utf-8")
    text = text.replace('["gaussian"]', '["prior"]').replace("reconstruction", "frechet")
    text += '[[runs]]\ndataset = "digits"\nbackbone = "tiny"\nlatent_dim = 3\nspace = "logit"\n'
    text += f'objective = "vae-iaf"\n{FLOW}\n'
    path = tmp_path / "flows.toml"
    path.write_text(text, encoding="utf-8")
    assert aebench(str(path))[0] == 0
    rows = read_results(tmp_path / "out").rows
    shares = rows[rows["metric"] == "non_finite"]
    assert list(shares["objective"]) == ["vae-iaf"]
    (row,) = shares.to_dict("records")
    assert (row["value"], row["n_generated"], row["density"]) == (0, 20, "prior")
    assert row["stderr"] != row["stderr"]


@pytest.mark.parametrize("name", ["maf", "iaf"])
def test_a_bound_holds_the_scales_of_a_flow_and_leaves_it_invertible(name):
    torch.manual_seed(0)
    flow = build_flow(name, 4, layers=2, hidden=16, scale_bound=0.5).double()
    for module in flow.modules():
        if isinstance(module, ActNorm):
            module.get_buffer("initialised").fill_(True)
    for parameter in flow.parameters():
        parameter.data.mul_(6)
    layer: Any = flow.layers[0]
    v = 5 * torch.randn(300, 4).double()
    scales = layer.network.scale(layer.network(v).unflatten(-1, (-1, 2))[..., 0])
    assert 0.4 < float(scales.detach().log().abs().max()) <= 0.5
    z, log_det = flow.to_noise(v)
    back, negative = flow.to_data(z)
    torch.testing.assert_close(back, v)
    torch.testing.assert_close(negative, -log_det)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: flow.to_noise(one[None])[0][0]))(v)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det)


def test_a_bound_below_zero_is_refused_by_name():
    with pytest.raises(
        ValueError, match="'flow_scale_bound' is -1; expected a number of at least 0"
    ):
        build_flow("maf", 4, scale_bound=-1)


def test_a_density_that_cannot_be_fitted_leaves_failed_scores_and_a_whole_run(
    suite_file, aebench, tmp_path, monkeypatch
):
    def fit(self, codes, seed):
        raise ValueError("No fit.")

    monkeypatch.setattr(FullGaussian, "fit", fit)
    arguments = ("--only", "objective=ae", "--set", 'evaluation.metrics=["frechet"]')
    code, told = aebench(suite_file(), *arguments, "--workers", "1")
    assert code == 0, told
    rows = read_results(tmp_path / "out").rows
    failed = rows[rows["status"] == "failed"]
    assert set(failed["density"]) == {"gaussian"} and set(failed["reason"]) == {"No fit."}


def test_a_density_that_cannot_be_fitted_fails_its_likelihood_and_its_share_of_lost_draws(
    suite_file, aebench, tmp_path, monkeypatch
):
    def fit(self, codes, seed):
        raise ValueError("No fit.")

    monkeypatch.setattr(FullGaussian, "fit", fit)
    # Codes of two numbers have figures of their own, and a flow's draws may be lost.
    flow = f'latent_dim = 2\nspace = "logit"\nobjective = "vae-iaf"\n{FLOW}'
    path = suite_file(
        ("latent_dim = 3", "latent_dim = 2"),
        ('["ae", "vae"]', f'"ae"\n[[runs]]\ndataset = "digits"\nbackbone = "tiny"\n{flow}'),
        ("images = 20\n", f"images = 20\n{LIKELIHOOD}"),
    )
    code, told = aebench(path, "--set", 'evaluation.metrics=["frechet"]')
    assert code == 0, told
    rows = read_results(tmp_path / "out").rows
    own = rows[rows["density"] == "gaussian"]
    assert set(own["status"]) == {"failed"} and set(own["reason"]) == {"No fit."}
    assert {"log_prob", "bits_per_dim"} <= set(own["metric"])
    assert set(own[own["metric"] == "non_finite"]["objective"]) == {"vae-iaf"}


def test_a_model_that_decodes_to_nan_leaves_failed_scores_and_a_picture_of_test_images(
    suite_file, aebench, tmp_path, monkeypatch
):
    def decode(self, z):
        return torch.full((len(z), 1, 8, 8), torch.nan)

    monkeypatch.setattr(Objective, "decode", decode)
    path = suite_file(("latent_dim = 3", "latent_dim = 2"))
    arguments = ("--only", "objective=ae", "--set", "training.noise_sigma=0.1")
    code, told = aebench(path, *arguments)
    assert code == 0, told
    rows = read_results(tmp_path / "out").rows
    assert "failed" in set(rows[rows["objective"] == "ae"]["status"])
    (picture,) = (tmp_path / "out").glob("runs/*/samples.png")
    with np.load(picture.with_name("arrays.npz")) as arrays:
        assert {"test", "codes2d"} <= set(arrays)
        assert not {"reconstruction", "sample_gaussian", "neighbours_gaussian"} & set(arrays)


@pytest.mark.parametrize("lost", ["a log-determinant", "a density"])
def test_an_exact_likelihood_that_is_not_finite_is_a_failed_score(lost, monkeypatch):
    data = load_dataset("digits")
    model: Any = build("aef-center", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2)
    model.initialise(data.train[:50].float() / 256, torch.Generator())
    if lost == "a density":
        monkeypatch.setattr(model, "log_prob", lambda x: torch.full((len(x),), -torch.inf))
    else:
        monkeypatch.setattr(
            model.space, "forward", lambda x: (x, torch.full((len(x),), torch.nan))
        )
    outputs = Outputs(model, data, Evaluation(likelihood_images=4), 0)
    scores = LikelihoodRows(outputs, {}, Path()).scores("")
    assert [score.status for score in scores] == ["failed", "failed"]
    assert "expected a finite number" in scores[0].reason

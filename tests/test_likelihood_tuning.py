"""Likelihoods are of test data; what is tuned for them is tuned on validation data."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aebench.bench.likelihood import scorer
from aebench.bench.likelihood.importance import Choice
from aebench.bench.likelihood.scorer import LikelihoodScorer, LikelihoodSettings
from aebench.models import build
from aebench.models.densities.gaussian import FullGaussian
from scipy.stats import multivariate_normal
from torch import Tensor

LINEAR = runpy.run_path(str(Path(__file__).parent / "linear_gaussian.py"))
DATA, TRUTH = LINEAR["DATA"], LINEAR["TRUTH"]
SETTINGS = LikelihoodSettings(
    images=50,
    samples=20,
    k_images=0,
    annealing_images=0,
    simulated_images=0,
    tuning_images=4,
    noise_images=100,
)
PIXELS = torch.randint(
    256, (200, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


def scorer_of_vectors(name: str, validation: Tensor) -> LikelihoodScorer:
    objective = LINEAR["objective_at_truth"](name)
    return LikelihoodScorer(objective, DATA.test, validation, SETTINGS, seed=0, dims=None)


def scorer_of_pixels(name: str, validation: Tensor) -> LikelihoodScorer:
    objective: Any = build(name, backbone="tiny", image_shape=(1, 8, 8), latent_dim=2)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        objective.initialise(objective.space.prepare(PIXELS[:50], noise), noise)
    return LikelihoodScorer(objective, PIXELS[:60], validation, SETTINGS, seed=0, dims=64)


def standard_normal() -> FullGaussian:
    density = FullGaussian()
    density.mean = torch.zeros(2, dtype=torch.float64)
    density.covariance = torch.eye(2, dtype=torch.float64)
    return density


@pytest.fixture
def tuned(monkeypatch):
    """Returns a list of what is tuned from now on, with the data that it would be tuned on."""
    found: list[tuple[str, Tensor]] = []

    def choice(model, data, *rest, **options):
        found.append(("proposal", data.x))
        return Choice("local", 1.0, 0.0)

    def noise(objective, density, data, *rest, **options):
        found.append(("noise", data.x))
        return torch.ones(1, 1, 6)

    monkeypatch.setattr(scorer, "choose_proposal", choice)
    monkeypatch.setattr(scorer, "fit_noise", noise)
    return found


def test_the_proposal_of_a_native_bound_is_chosen_on_validation_data(tuned):
    (score, *_) = scorer_of_vectors("vae", DATA.validation).native()
    assert (score.metric, score.status) == ("log_prob", "ok")
    [(what, x)] = tuned
    assert what == "proposal" and torch.equal(x, DATA.validation[:4])


def test_noise_and_proposal_of_a_completed_model_are_tuned_on_validation_data(tuned):
    scores = scorer_of_vectors("rae-l2", DATA.validation).completed("gaussian", standard_normal())
    assert (scores[0].metric, scores[0].status) == ("log_prob", "ok")
    (first, fitted), (second, chosen) = tuned
    assert (first, second) == ("noise", "proposal")
    assert torch.equal(fitted, DATA.validation[:100])
    assert torch.equal(chosen, DATA.validation[:4])


def test_pixels_that_are_tuned_on_are_dequantised_validation_pixels(tuned):
    scorer_of_pixels("vae", PIXELS[60:]).native()
    [(_, x)] = tuned
    # A pixel of grey level v is anywhere in [v, v + 1) / 256.
    assert torch.equal((256 * x).floor().to(torch.uint8), PIXELS[60:64])


def test_a_completed_model_is_as_wide_as_the_validation_data_are_noisy():
    noise = 4 * torch.randn(DATA.validation.shape, generator=torch.Generator().manual_seed(1))
    scored = scorer_of_vectors("rae-l2", DATA.validation + noise)
    scores = scored.completed("gaussian", standard_normal())
    (value,) = [s.value for s in scores if s.metric == "log_prob"]
    weight, bias = TRUTH.weight.double().numpy(), TRUTH.bias.double().numpy()
    x = DATA.test[:50].flatten(1).double().numpy()

    def closed_form(variance: float) -> float:
        covariance = weight @ weight.T + variance * np.eye(6)
        return float(multivariate_normal(bias, covariance).logpdf(x).mean())

    assert value == pytest.approx(closed_form(TRUTH.sigma**2 + 16), abs=0.3)
    assert closed_form(TRUTH.sigma**2) > value + 3


def test_an_exact_likelihood_takes_nothing_from_validation_data():
    plain, other = (
        scorer_of_pixels("aef-center", validation).native()
        for validation in (PIXELS[60:], torch.zeros_like(PIXELS[60:]))
    )
    assert (plain[0].metric, plain[0].kind, plain[0].status) == ("log_prob", "exact", "ok")
    assert [score.value for score in plain] == [score.value for score in other]

"""Likelihoods of autoencoders completed by a density and observation noise."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from aebench.bench.likelihood import completion, proposal
from aebench.bench.likelihood.completion import completed, fit_noise
from aebench.bench.likelihood.importance import choose_proposal, importance_bound
from aebench.bench.likelihood.model import Observed, observe
from aebench.models import build
from aebench.models.densities.density import build_density
from torch import Tensor
from torch.distributions import MultivariateNormal

pytestmark = pytest.mark.sensitive
LINEAR = runpy.run_path(str(Path(__file__).parent / "linear_gaussian.py"))
DATA = LINEAR["DATA"]
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(name: str = "rae-l2", density: str = "gaussian") -> tuple[Any, Any, Observed]:
    """Returns an objective with the true decoder, a fitted density, and validation data."""
    objective = LINEAR["objective_at_truth"](name)
    fitted = build_density(density)
    with torch.no_grad():
        fitted.fit(objective.encode(DATA.train), 0)
    return objective, fitted, observe(objective.space, DATA.validation)


def closed_form(density: Any, scale: Tensor, x: Tensor) -> Tensor:
    """Returns log p(x) of the linear decoder under Gaussian codes, a mixture of them or not."""
    truth = LINEAR["TRUTH"]
    means = torch.atleast_2d(
        getattr(density, "means", density.mean if hasattr(density, "mean") else 0)
    )
    covariances = getattr(density, "covariances", None)
    covariances = density.covariance[None] if covariances is None else covariances
    weights = getattr(density, "weights", torch.ones(1, dtype=torch.float64))
    noise = torch.diag(scale.flatten().double().square())
    parts = MultivariateNormal(
        means @ truth.weight.T + truth.bias,
        truth.weight @ covariances @ truth.weight.T + noise,
    )
    return (parts.log_prob(x.flatten(1).double()[:, None]) + weights.log()).logsumexp(1)


@pytest.mark.parametrize("density", ["gaussian", "gmm-3"])
def test_a_completed_autoencoder_is_within_three_errors_of_the_closed_form(density):
    objective, fitted, validation = trained(density=density)
    scale = fit_noise(objective, fitted, validation.part(0, 300), seeded())
    model = completed(objective, fitted, scale)
    data = observe(objective.space, DATA.test[:200])
    choice = choose_proposal(model, validation.part(0, 32), seeded(1))
    bound = importance_bound(
        model, data, choice.sampler(model, data), samples=400, generator=seeded(2)
    )
    error = bound.value - closed_form(fitted, scale, data.x)
    stderr = float(bound.stderr.square().sum().sqrt()) / len(error)
    assert abs(float(error.mean())) < 3 * stderr + 1e-4
    assert (error.abs() < 6 * bound.stderr + 1e-3).all()


def test_fitted_noise_maximises_the_likelihood_and_beats_the_residuals_of_reconstruction():
    objective, fitted, validation = trained()
    validation = validation.part(0, 400)
    first = fit_noise(objective, fitted, validation, seeded(), rounds=0)
    # All draws of all images are one part, which takes a tenth of the time of many small ones.
    many = {"rounds": 12, "samples": 32, "chunk": 32 * len(validation)}
    scale = fit_noise(objective, fitted, validation, seeded(), **many)

    def mean(candidate: Tensor) -> float:
        return float(closed_form(fitted, candidate, validation.x).mean())

    assert mean(scale) > mean(first) + 0.02
    assert mean(scale) >= max(mean(scale * factor) for factor in (0.95, 1.05)) - 1e-4
    assert mean(scale) > mean(scale.mean() * torch.ones_like(scale)) - 5e-3


def test_fitted_noise_finds_a_noisier_pixel():
    objective, fitted, validation = trained()
    x = validation.x.clone()
    x[..., 4] += 2 * torch.randn(len(x), 1, 1, generator=seeded(5))
    noisy = observe(objective.space, x)
    scale = fit_noise(objective, fitted, noisy, seeded(), chunk=16 * len(x)).flatten()
    assert 1.7 < scale[4] < 2.4
    assert (scale[[0, 1, 2, 3, 5]] < 1.5).all()


def test_a_pixel_that_is_constant_in_validation_gets_a_scale_above_its_residual():
    objective, fitted, validation = trained()
    with torch.no_grad():
        objective.backbone.output[0].weight[2] = 0
    x = validation.x[:400].clone()
    x[..., 2] = objective.backbone.output[0].bias[2]
    x[7, ..., 2] += 1.0
    x[8, ..., 2] += 1.0
    fitted_scale = fit_noise(objective, fitted, observe(objective.space, x), seeded())
    x[7:9, ..., 2] -= 1.0
    constant = fit_noise(objective, fitted, observe(objective.space, x), seeded())
    assert fitted_scale.flatten()[2] > constant.flatten()[2]
    assert constant.flatten()[2] < 0.05


def test_unit_space_observes_dequantised_pixels():
    objective = build("rae-l2", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2).eval()
    density = build_density("gaussian")
    density.fit(torch.randn(50, 2, generator=seeded()), 0)
    model = completed(objective, density, torch.full((1, 8, 8), 0.1))
    z = torch.randn(3, 2, generator=seeded(1))
    expected = (255 * objective.mean(z) + 0.5) / 256
    atol = TOLERANCES["float32_slack"](1, 3)
    torch.testing.assert_close(model.observation(z).mean, expected, rtol=0, atol=atol)


def test_a_density_without_closed_form_is_refused():
    objective, _, _ = trained()
    with pytest.raises(ValueError, match="'SecondStage' has no log density in closed form"):
        completed(objective, build_density("second-stage"), torch.ones(1, 1, 6))


def test_counts_that_are_too_small_are_refused():
    objective, fitted, validation = trained()
    with pytest.raises(ValueError, match="'samples' is 0; expected at least 1"):
        fit_noise(objective, fitted, validation, seeded(), samples=0)
    with pytest.raises(ValueError, match="'images' is 1; expected at least 2"):
        fit_noise(objective, fitted, validation.part(0, 1), seeded())


def test_noise_is_fitted_as_ever_where_memory_suffices_for_half_of_the_images(monkeypatch):
    objective, fitted, validation = trained()
    given = (objective, fitted, validation.part(0, 20))
    settings = {"samples": 4, "rounds": 2, "chunk": 80}  # All images are one part.
    whole = fit_noise(*given, seeded(), **settings)
    information = proposal.fisher_information

    def short_of_memory(model: Any, z: Tensor, y: Tensor | None = None) -> Tensor:
        if len(z) > 10:
            raise torch.OutOfMemoryError
        return information(model, z, y)

    monkeypatch.setattr(proposal, "fisher_information", short_of_memory)
    torch.testing.assert_close(fit_noise(*given, seeded(), **settings), whole)


def test_a_scale_that_all_pixels_share_is_hardly_fitted_to_the_noise_of_six_images():
    noise = 0.3 * torch.randn(6, 1, 20, 20, generator=seeded())
    scale = completion._scale_from(noise.square())
    # Each pixel's own root mean square of six images would scatter by 1 / sqrt(2 * 6) of it.
    assert float(scale.std() / scale.mean()) < 0.25 / 12**0.5
    assert float(scale.mean()) == pytest.approx(0.3, rel=0.05)


def test_scales_that_differ_between_pixels_are_followed_where_images_are_many():
    truth = torch.logspace(-1, 0, 400).reshape(1, 20, 20)
    noise = truth * torch.randn(400, 1, 20, 20, generator=seeded(1))
    ratio = completion._scale_from(noise.square()) / truth
    # The error of a standard deviation from 400 images is 1 / sqrt(2 * 400) of it.
    assert float((ratio - 1).abs().max()) < 5 / 800**0.5

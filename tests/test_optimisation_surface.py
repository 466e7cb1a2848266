"""The surrogate's posterior, the conditioning on picks and the improvement, by closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from aebench.bench.errors import RunFailed, UserError
from aebench.bench.optimisation.acquisition import (
    Box,
    least_mean,
    log_expected_improvement,
    log_improvement,
    propose,
)
from aebench.bench.optimisation.surface import NUGGET, Picks, Surface
from aebench.bench.optimisation.surrogate import fit_surrogate, given_data
from aebench.bench.suites.config import Optimisation
from scipy.integrate import quad
from scipy.stats import norm

SQUARE = Box(np.array([-2.0, -2.0]), np.array([2.0, 2.0]))
TINY = Optimisation(inducing=12, steps=60, minibatch=50)


def kernel(x, y, scales, amplitude):
    """The squared-exponential kernel, written out again."""
    steps = (x[:, None] - y[None]) / scales
    return amplitude * np.exp(-0.5 * (steps**2).sum(-1))


def bowl(points):
    return ((points - [0.7, -0.4]) ** 2).sum(1)


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    codes = random.uniform(-2, 2, (300, 2))
    return codes, bowl(codes) + 0.3 * random.standard_normal(300)


def exact_process(codes, scores, points, noise):
    """Returns mean and covariance of exact Gaussian-process regression at points."""
    scales, amplitude, constant = np.array([0.9, 1.4]), 2.5, 0.6
    data = kernel(codes, codes, scales, amplitude) + noise * np.eye(len(codes))
    cross = kernel(points, codes, scales, amplitude)
    mean = constant + cross @ np.linalg.solve(data, scores - constant)
    covariance = kernel(points, points, scales, amplitude) - cross @ np.linalg.solve(data, cross.T)
    return mean, covariance


def surface_of(codes, scores, basis, noise):
    none = np.zeros(len(basis)), np.zeros((len(basis), len(basis))), Picks.none(basis)
    prior = Surface(basis, np.array([0.9, 1.4]), 2.5, 0.6, *none)
    return given_data(prior, codes, scores, noise, updates=0)[0]


def test_with_all_codes_as_inducing_points_the_posterior_is_that_of_the_exact_process(data):
    codes, scores = 3 * data[0][:30], data[1][:30]  # So far apart that no jitter matters.
    points = np.random.default_rng(1).uniform(-6, 6, (20, 2))
    surface = surface_of(codes, scores, codes, 0.1)
    mean, covariance = exact_process(codes, scores, points, 0.1)
    np.testing.assert_allclose(surface.mean(points), mean, atol=1e-4)
    np.testing.assert_allclose(surface.variance(points), covariance.diagonal(), atol=1e-4)


def test_conditioning_on_picks_is_the_algebra_of_noise_free_observations_of_the_mean(data):
    codes, scores = data[0][:30], data[1][:30]
    random = np.random.default_rng(1)
    points, picks = random.uniform(-2, 2, (20, 2)), random.uniform(-2, 2, (6, 2))
    first = conditioned = surface_of(codes, scores, codes[:12], 0.1)
    for pick in picks:
        conditioned = conditioned.conditioned(pick)
    every = np.vstack([points, picks])
    features = first.features(every)
    joint = first.kernel(every, every) - features @ features.T
    cross, own = joint[:20, 20:], joint[20:, 20:]
    for nugget, tolerance in ((0.0, 1e-4), (NUGGET * first.amplitude, 1e-9)):
        inverse = np.linalg.inv(own + nugget * np.eye(len(picks)))
        left = (joint[:20, :20] - cross @ inverse @ cross.T).diagonal()
        np.testing.assert_allclose(conditioned.variance(points), left, atol=tolerance)
    np.testing.assert_allclose(conditioned.mean(points), first.mean(points), atol=1e-12)
    assert (conditioned.variance(picks) < 1e-5).all() and first.variance(picks).min() > 1e-2


def test_a_surface_at_one_point_is_that_of_many_with_right_gradients(data):
    surface = surface_of(*data, data[0][:15], 0.1).conditioned(np.array([0.1, 0.2]))
    point = np.array([0.4, -1.1])
    here = surface.at(point)
    assert here.mean == pytest.approx(surface.mean(point[None])[0], abs=1e-10)
    assert here.variance == pytest.approx(surface.variance(point[None])[0], abs=1e-10)
    for axis in np.eye(2):
        above, below = surface.at(point + 1e-4 * axis), surface.at(point - 1e-4 * axis)
        mean, variance = above.mean - below.mean, above.variance - below.variance
        assert here.mean_slope @ axis == pytest.approx(mean / 2e-4, rel=1e-5)
        assert here.variance_slope @ axis == pytest.approx(variance / 2e-4, rel=1e-5)


def test_the_fit_is_the_posterior_of_the_library_that_trained_it(data, monkeypatch):
    from aebench.bench.optimisation import surrogate

    kept = []
    model = surrogate._model
    monkeypatch.setattr(surrogate, "_model", lambda *a: kept.append(model(*a)) or kept[0])
    codes, scores = data
    fitted = fit_surrogate(codes, scores, TINY, 0, "a fit")
    [trained] = kept
    # The library's own approximate posterior, at the optimum of its bound in closed form.
    unit = (
        fitted.surface.scales
        / trained.model.covar_module.base_kernel.lengthscale.detach()[0].numpy()
    )
    spread, centre = scores.std(), scores.mean()
    with torch.no_grad():
        strategy = trained.model.variational_strategy
        q = strategy._variational_distribution
        basis = strategy.inducing_points
        covariance = trained.model.covar_module
        root = torch.linalg.cholesky(covariance(basis).to_dense() + 1e-6 * torch.eye(len(basis)))
        features = torch.linalg.solve_triangular(
            root, covariance(basis, torch.from_numpy(codes / unit)).to_dense(), upper=False
        )
        noise = fitted.noise / spread**2
        inner = torch.eye(len(basis)) + features @ features.T / noise
        targets = torch.from_numpy((scores - centre) / spread) - trained.model.mean_module.constant
        q.variational_mean.copy_(torch.linalg.solve(inner, features @ targets / noise))
        q.chol_variational_covar.copy_(torch.linalg.cholesky(torch.linalg.inv(inner)))
        trained.eval()
        posterior = trained.model(torch.from_numpy(codes[:40] / unit))
    mean, variance = posterior.mean.numpy(), posterior.variance.numpy()
    np.testing.assert_allclose(fitted.surface.mean(codes[:40]), centre + spread * mean, atol=1e-4)
    np.testing.assert_allclose(
        fitted.surface.variance(codes[:40]), spread**2 * variance, atol=1e-4
    )


def test_a_surrogate_finds_the_function_under_noise_and_says_how_well(data):
    codes, scores = data
    fitted = fit_surrogate(codes[:250], scores[:250], TINY, 0, "a fit")
    quality = fitted.quality(codes[250:], scores[250:])
    errors = scores[250:] - fitted.surface.mean(codes[250:])
    assert quality.rmse == pytest.approx(np.sqrt((errors**2).mean()))
    assert quality.explained == pytest.approx(1 - (errors**2).mean() / scores[250:].var())
    spread = np.sqrt(fitted.surface.variance(codes[250:]) + fitted.noise)
    assert quality.log_likelihood == pytest.approx(norm(0, spread).logpdf(errors).mean())
    assert quality.rmse < 0.5 and quality.explained > 0.9 and 0.2 < quality.noise < 0.5


@pytest.mark.parametrize("u", [-35.0, -8.0, -2.0, -1.0, -0.3, 0.0, 0.7, 5.0])
def test_the_log_improvement_is_that_of_numerical_integration(u):
    # E max(u - e, 0) for standard normal e, scaled by the density at its end.
    size, _ = quad(
        lambda t: t * np.exp(-0.5 * t * t + u * t), 0, 60, epsabs=0, epsrel=1e-12, limit=500
    )
    log_h, density, distribution = (float(v) for v in log_improvement(np.array(u)))
    assert log_h == pytest.approx(np.log(size) + norm.logpdf(u), rel=1e-9, abs=1e-10)
    assert np.log(density) == pytest.approx(norm.logpdf(u) - log_h, abs=1e-8)
    assert np.log(distribution) == pytest.approx(norm.logcdf(u) - log_h, abs=1e-8)


def test_the_log_improvement_is_smooth_and_finite_however_low():
    u = np.array([-1e8, -1e4, -200.001, -199.999, -1.0000001, -0.9999999, 40.0])
    log_h, density, distribution = log_improvement(u)
    # Far out h(u) is phi(u) / u^2 (1 - 3 / u^2).
    far = norm.logpdf(u[:4]) - 2 * np.log(-u[:4]) + np.log1p(-3 / u[:4] ** 2)
    np.testing.assert_allclose(log_h[:4], far, rtol=1e-11)
    np.testing.assert_allclose(distribution[2:4], -u[2:4], rtol=1e-4)
    assert np.isfinite(density).all() and log_h[4] == pytest.approx(log_h[5], abs=1e-6)


def test_the_log_expected_improvement_is_that_of_the_library():
    from botorch.acquisition.analytic import _log_ei_helper

    random = np.random.default_rng(0)
    mean, variance = random.normal(3, 4, 50), random.gamma(1, 1, 50)
    expected = _log_ei_helper(torch.from_numpy((1.0 - mean) / np.sqrt(variance))).numpy()
    expected += 0.5 * np.log(variance)
    np.testing.assert_allclose(log_expected_improvement(mean, variance, 1.0), expected, rtol=1e-9)


def test_the_incumbent_is_the_least_mean_over_the_box(data):
    surface = fit_surrogate(*data, TINY, 0, "a fit").surface
    axis = np.linspace(-2, 2, 201)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    found = least_mean(surface, SQUARE, data[0])
    assert found <= surface.mean(grid).min() <= found + 1e-3


def test_each_pick_is_the_best_of_a_grid_given_those_before(data):
    surface = fit_surrogate(*data, TINY, 0, "a fit").surface
    axis = np.linspace(-2, 2, 61)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    incumbent = least_mean(surface, SQUARE, data[0])
    picks = propose(surface, SQUARE, incumbent, 8, grid)
    assert (picks >= SQUARE.low).all() and (picks <= SQUARE.high).all()
    for pick in picks:
        here = np.vstack([pick, grid])
        values = log_expected_improvement(surface.mean(here), surface.variance(here), incumbent)
        assert values[0] >= values[1:].max() - 1e-6
        surface = surface.conditioned(pick)


def test_fifty_picks_of_a_batch_are_fifty_distinct_points():
    random = np.random.default_rng(0)
    codes = random.standard_normal((300, 6))
    scores = codes[:, 0] ** 2 + np.sin(2 * codes[:, 1]) + 0.5 * random.standard_normal(300)
    settings = dataclasses.replace(TINY, inducing=40)
    surface = fit_surrogate(codes, scores, settings, 0, "a fit").surface
    box = Box(codes.min(0), codes.max(0))
    points = box.uniform(1000, torch.Generator().manual_seed(0))
    picks = propose(surface, box, least_mean(surface, box, codes), 50, points)
    apart = np.linalg.norm(picks[:, None] - picks, axis=-1)[np.triu_indices(50, 1)]
    assert apart.min() > 0.01


def test_no_pick_repeats_where_the_mean_falls_towards_a_corner():
    codes = np.random.default_rng(0).standard_normal((300, 4))
    settings = dataclasses.replace(TINY, inducing=30, steps=150)
    surface = fit_surrogate(codes, 5 * codes.sum(1), settings, 0, "a fit").surface
    box = Box(codes.min(0), codes.max(0))
    points = box.uniform(500, torch.Generator().manual_seed(0))
    picks = propose(surface, box, least_mean(surface, box, codes), 50, points)
    # The corner itself, to the rounding of the way there.
    assert (np.abs(picks[0] - box.low) <= 4 * np.spacing(np.abs(box.low))).all()
    apart = np.linalg.norm(picks[:, None] - picks, axis=-1)[np.triu_indices(50, 1)]
    assert apart.min() > 1e-3


def test_equal_codes_and_too_few_codes_are_refused():
    with pytest.raises(UserError, match="12 inducing points cannot be fitted to 11 codes"):
        fit_surrogate(np.zeros((11, 2)), np.zeros(11), TINY, 0, "a fit")
    with pytest.raises(RunFailed, match="Half of the pairs of latent codes are equal"):
        fit_surrogate(np.zeros((20, 2)), np.zeros(20), TINY, 0, "a fit")


def test_scores_that_are_all_the_same_are_predicted():
    codes = np.random.default_rng(0).standard_normal((40, 2))
    fitted = fit_surrogate(codes, np.full(40, 3.0), TINY, 0, "a fit")
    np.testing.assert_allclose(fitted.surface.mean(codes), 3.0, atol=0.1)
    assert fitted.quality(codes, np.full(40, 3.0)).explained is None

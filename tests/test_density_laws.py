"""What holds for every registered ex-post density, and known answers for the closed forms."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from aebench.models.densities.density import DENSITIES, Density, build_density
from aebench.models.densities.second_stage import CodeVAE
from aebench.models.registry import UnknownName
from safetensors.torch import load, save
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from torch import Tensor

# Values that make any density that has such an option quick to fit.
pytestmark = pytest.mark.sensitive
SMALL = {"hidden": 8, "epochs": 2}
NAMES = [name.replace("-K", "-3") for name in DENSITIES.names()]
every_density = pytest.mark.parametrize("name", NAMES)


def unfitted(name: str) -> Density:
    kind = DENSITIES.get(name if name in DENSITIES.names() else name.rpartition("-")[0] + "-K")
    known = inspect.signature(kind).parameters
    return build_density(name, **{k: v for k, v in SMALL.items() if k in known})


def codes(dims: int = 3, count: int = 60) -> Tensor:
    """Returns codes of two groups, correlated and of different scales."""
    draws = torch.randn(count, dims, generator=noise(1))
    shift = 4 * (torch.arange(count) % 2)[:, None]
    mixing = torch.eye(dims) + torch.linspace(-0.3, 0.4, dims * dims).view(dims, dims)
    return draws @ mixing + shift


def fitted(name: str, dims: int = 3, seed: int = 0) -> Density:
    density = unfitted(name)
    density.fit(codes(dims), seed=seed)
    return density


def noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_density
@pytest.mark.parametrize("dims", [1, 3])
def test_samples_are_codes_and_repeat_under_a_generator(name, dims):
    density = fitted(name, dims)
    first, again, other = (density.sample(5, noise(seed)) for seed in (2, 2, 3))
    assert first.shape == (5, dims)
    assert first.dtype == torch.float32
    assert bool(first.isfinite().all())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_density
def test_the_same_seed_gives_the_same_fit(name):
    first, again = fitted(name, seed=4).state(), fitted(name, seed=4).state()
    assert list(first) == list(again)
    for key, value in first.items():
        assert torch.equal(value, again[key]), key


@every_density
def test_fitting_draws_nothing_from_the_global_generators(name):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    fitted(name).sample(2, noise(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()


@every_density
def test_a_saved_density_gives_the_same_output_when_loaded(name):
    density, restored = fitted(name), build_density(name)
    restored.load_state(load(save({k: v.contiguous() for k, v in density.state().items()})))
    assert torch.equal(restored.sample(5, noise(2)), density.sample(5, noise(2)))
    assert torch.equal(restored.encode(codes()), density.encode(codes()))
    if density.has_log_prob:
        assert torch.equal(restored.log_prob(codes()), density.log_prob(codes()))


@every_density
def test_density_integrates_to_one_where_it_has_a_closed_form(name):
    density = fitted(name, dims=1)
    if not density.has_log_prob:
        with pytest.raises(TypeError, match="has no log density in closed form"):
            density.log_prob(codes(1))
        return
    grid = torch.linspace(-40, 40, 80_001, dtype=torch.float64)[:, None]
    log_prob = density.log_prob(grid)
    assert log_prob.shape == (len(grid),)
    assert float(torch.trapezoid(log_prob.exp(), grid[:, 0])) == pytest.approx(1, abs=1e-6)


@every_density
def test_samples_have_the_mean_of_the_density(name):
    density = fitted(name, dims=1)
    if density.has_log_prob:
        grid = torch.linspace(-40, 40, 80_001, dtype=torch.float64)
        weights = density.log_prob(grid[:, None]).exp()
        mean = float(torch.trapezoid(weights * grid, grid))
        variance = float(torch.trapezoid(weights * (grid - mean) ** 2, grid))
        draws = density.sample(20_000, noise(6)).double()
        assert float(draws.mean()) == pytest.approx(mean, abs=5 * (variance / 20_000) ** 0.5)
        assert float(draws.var()) == pytest.approx(variance, rel=0.05)


@every_density
def test_own_coordinates_have_the_shape_of_codes(name):
    density = fitted(name)
    own = density.encode(codes())
    assert own.shape == density.decode(own).shape == codes().shape


@every_density
def test_no_codes_and_codes_that_are_not_finite_are_refused(name):
    with pytest.raises(ValueError, match=rf"Density '{name}' got 0 codes; expected at least \d"):
        unfitted(name).fit(torch.empty(0, 3), seed=0)
    for value in (float("nan"), float("inf")):
        bad = codes()
        bad[7, 1] = value
        with pytest.raises(ValueError, match=f"'{name}' got a code that is not finite, index 7"):
            unfitted(name).fit(bad, seed=0)


def test_too_few_codes_for_a_covariance_or_a_mixture_are_refused():
    with pytest.raises(ValueError, match="got 1 codes; expected at least 2"):
        build_density("gaussian").fit(codes()[:1], seed=0)
    with pytest.raises(ValueError, match="'gmm-5' got 4 codes; expected at least 5"):
        build_density("gmm-5").fit(codes()[:4], seed=0)


def test_a_family_needs_its_count_and_a_near_name_is_suggested():
    with pytest.raises(ValueError, match="'density' is 'gmm-K'; expected K as a number"):
        build_density("gmm-K")
    with pytest.raises(UnknownName, match=r"Unknown density 'gausian'\. Did you mean 'gaussian'"):
        build_density("gausian")
    for name in ("gmm-0", "gmm--3", "gmm-x"):
        with pytest.raises(UnknownName, match="Did you mean 'gmm-K'"):
            build_density(name)


def test_gaussian_is_scipys_with_the_covariance_of_all_codes():
    values = codes().double().numpy()
    covariance = np.cov(values.T, ddof=0) + 1e-6 * np.eye(3)
    expected = multivariate_normal(values.mean(0), covariance).logpdf(values)
    found = fitted("gaussian").log_prob(codes().double())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7)


def test_prior_is_the_standard_normal():
    expected = multivariate_normal(np.zeros(3)).logpdf(codes().double().numpy())
    found = fitted("prior").log_prob(codes().double())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_mixture_is_scikit_learns_with_the_released_settings():
    values = codes().double().numpy()
    mixture = GaussianMixture(3, max_iter=2000, tol=1e-3, random_state=5).fit(values)
    found = fitted("gmm-3", seed=5).log_prob(codes().double())
    np.testing.assert_allclose(found.numpy(), mixture.score_samples(values), rtol=1e-7)


def test_mixture_of_one_is_the_gaussian():
    gaussian, mixture = fitted("gaussian"), fitted("gmm-1")
    points = 3 * codes().double()
    torch.testing.assert_close(mixture.log_prob(points), gaussian.log_prob(points))


def test_mixture_beats_the_gaussian_on_two_groups():
    gaussian, mixture = fitted("gaussian"), fitted("gmm-2")
    assert float((mixture.log_prob(codes()) - gaussian.log_prob(codes())).mean()) > 0.3


@pytest.mark.parametrize("scale", [30.0, 100.0, 300.0, 1000.0, 3000.0])
@pytest.mark.parametrize("name", ["gaussian", "gmm-2"])
def test_codes_with_a_collapsed_direction_have_a_density_in_single_precision(name, scale):
    narrow = codes() * torch.tensor([scale, 1.0, 1.0])
    narrow[:, 2] = narrow[:, 0] + narrow[:, 1]
    density = build_density(name)
    density.fit(narrow, seed=0)
    exact, single = density.log_prob(narrow.double()), density.log_prob(narrow)
    assert bool(single.isfinite().all())
    assert bool(exact.isfinite().all())


def test_second_stage_learns_to_decode_its_own_codes():
    values = codes(count=400)
    errors = []
    for steps in (0, 300):
        density = build_density("second-stage", hidden=256, max_steps=steps)
        density.fit(values, seed=0)
        decoded = density.decode(density.encode(values))
        errors.append(float((decoded - values).square().mean() / values.var(0).mean()))
    assert errors[1] < 0.2 < 0.9 < errors[0]


# Held-out losses of the first epochs, at a level of 10: an improvement by a ten-thousandth is one,
# one by less is none, whatever the level.
EPOCHS = [10, 9.99995, 9.99994, 9.99993, 9, 9, 8.9998, 8.9998, 8.9998, 8.9998, 8.9998]
HALVINGS = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]


def test_second_stage_halves_its_rate_after_three_epochs_without_an_improvement():
    rates, held_out = [], []

    def drive(body, network, optimiser, generator):
        def loss(values, draw, beta):
            held_out.append(values)
            epoch = min(len(held_out), len(EPOCHS)) - 1
            return torch.full((len(values),), EPOCHS[epoch], dtype=torch.float64)

        network.loss = loss
        return lambda: rates.append(optimiser.param_groups[0]["lr"])

    density = build_density("second-stage", hidden=4, drive=drive)
    values = codes(count=142)
    density.fit(values, seed=0)
    # 128 of the codes are trained on, in two batches of 64; the last 14 are held out.
    assert len(rates) == 2 * 100 and len(held_out) == 100
    expected = [1e-4 / 2**count for count in HALVINGS for _ in range(2)]
    assert rates[: len(expected)] == pytest.approx(expected)
    last = (values[-14:] - values.mean(0)) / values.std(0, correction=0)
    for each in held_out:
        torch.testing.assert_close(each, last, rtol=0, atol=1e-5)


def test_second_stage_sees_each_training_code_once_in_each_epoch_in_another_order(monkeypatch):
    seen, loss = [], CodeVAE.loss

    def watch(network, values, draw, beta):
        seen.append(values.clone())
        return loss(network, values, draw, beta)

    monkeypatch.setattr(CodeVAE, "loss", watch)
    values = codes(count=150)
    build_density("second-stage", hidden=4, max_steps=9).fit(values, seed=0)
    # The last 15 codes are held out, and judge the weights after each epoch.
    assert [len(rows) for rows in seen] == 3 * [64, 64, 7, 15]
    standard = (values - values.mean(0)) / values.std(0, correction=0)
    orders = []
    for at in (0, 4, 8):
        distances = torch.cdist(torch.cat(seen[at : at + 3]).double(), standard.double())
        assert float(distances.amin(1).max()) < 1e-5
        orders.append(distances.argmin(1).tolist())
    assert all(sorted(order) == list(range(135)) for order in orders)
    assert len({*map(tuple, orders), tuple(range(135))}) == 4


@every_density
def test_without_a_fit_a_density_says_so(name):
    density, told = unfitted(name), f"Density '{name}' is not fitted; call 'fit' first"
    with pytest.raises(ValueError, match=told):
        density.sample(1, noise(0))
    if density.has_log_prob and density.fitted:  # That of a prior is the same without a fit.
        with pytest.raises(ValueError, match=told):
            density.log_prob(codes())

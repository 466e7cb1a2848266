import dataclasses
import math

import numpy as np
import pytest
import torch
from aebench.bench.data.dataset import load_dataset
from scipy.stats import multivariate_normal

pytestmark = pytest.mark.sensitive
TRUTHS = ["linear-gaussian", "warped-mixture", "decoder-images"]


@pytest.mark.parametrize("name", TRUTHS)
def test_a_ground_truth_lives_in_the_space_real_with_one_density_a_row(name):
    data = load_dataset(name)
    assert data.default_space == "real"
    assert [len(part) for part in (data.train, data.validation, data.test)] == [5000, 1000, 1000]
    density = data.truth.log_density(data.test[:7])
    assert density.shape == (7,)
    assert density.dtype == torch.float64
    assert torch.isfinite(density).all()


def test_linear_gaussian_density_is_that_of_scipy():
    data = load_dataset("linear-gaussian")
    truth = data.truth
    covariance = truth.weight.numpy() @ truth.weight.numpy().T + truth.sigma**2 * np.eye(6)
    flat = data.test.flatten(1).double().numpy()
    expected = multivariate_normal(truth.bias.numpy(), covariance).logpdf(flat)
    assert np.allclose(data.truth.log_density(data.test).numpy(), expected, rtol=0, atol=1e-10)


def test_linear_gaussian_data_has_the_moments_of_the_model():
    data = load_dataset("linear-gaussian")
    flat = data.train.flatten(1).double()
    error = (flat.mean(0) - data.truth.bias) / (data.truth.covariance.diagonal() / 4000).sqrt()
    assert error.abs().max() < 4
    assert torch.allclose(torch.cov(flat.T), data.truth.covariance, atol=0.4)


def test_warped_mixture_density_integrates_to_one():
    axis = torch.linspace(-7, 7, 701, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    density = load_dataset("warped-mixture").truth.log_density(points).exp()
    assert float(density.sum()) * float(axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)


def test_warped_mixture_density_is_that_of_autograds_jacobian():
    truth = load_dataset("warped-mixture").truth
    u = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = truth.forward(u)
    assert torch.allclose(truth.inverse(x), u, atol=1e-12)
    for row, image in zip(u, x, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda point: truth.forward(point[None])[0], row
        )
        blobs = [
            float(w) * multivariate_normal(m.numpy(), float(s) ** 2).pdf(row.numpy())
            for m, s, w in zip(truth.means, truth.scales, truth.weights, strict=True)
        ]
        expected = math.log(sum(blobs)) - float(torch.linalg.slogdet(jacobian).logabsdet)
        assert float(truth.log_density(image[None])) == pytest.approx(expected, abs=1e-10)


def test_warped_mixture_samples_fall_where_the_density_says():
    data = load_dataset("warped-mixture")
    axis = torch.linspace(-7, 7, 701, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    mass = data.truth.log_density(points).exp() * float(axis[1] - axis[0]) ** 2
    flat = data.train.flatten(1)
    for region in (lambda p: p[:, 0] > 1, lambda p: p[:, 1] > p[:, 0], lambda p: p[:, 1] < -1):
        expected = float(mass[region(points)].sum())
        found = float(region(flat).double().mean())
        deviation = math.sqrt(expected * (1 - expected) / len(flat))
        assert abs(found - expected) < 4 * deviation + 0.005


def test_decoder_images_density_agrees_with_heavy_monte_carlo():
    data = load_dataset("decoder-images")
    truth = data.truth
    x = data.test[:8].flatten(1).double()
    generator = torch.Generator().manual_seed(5)
    sums, squares, count = torch.zeros(8).double(), torch.zeros(8).double(), 0
    for _ in range(8):
        z = torch.randn(50_000, 2, generator=generator, dtype=torch.float64)
        error = torch.cdist(x, truth.decode(z)).square()
        constant = 16 * math.log(truth.sigma * math.sqrt(2 * math.pi))
        likelihood = (-0.5 * error / truth.sigma**2 - constant).exp()
        sums += likelihood.sum(1)
        squares += likelihood.square().sum(1)
        count += likelihood.shape[1]
    mean = sums / count
    stderr = ((squares / count - mean**2) / count).sqrt()
    deviation = (data.truth.log_density(data.test[:8]).exp() - mean) / stderr
    assert deviation.abs().max() < 4
    assert (stderr / mean).max() < 0.05


def test_decoder_images_density_does_not_move_with_a_finer_grid():
    data = load_dataset("decoder-images")
    finer = dataclasses.replace(data.truth, points=2 * data.truth.points - 1)
    x = data.test[:16]
    assert torch.allclose(finer.log_density(x), data.truth.log_density(x), rtol=0, atol=1e-9)

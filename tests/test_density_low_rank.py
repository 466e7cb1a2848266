"""Low-rank densities against closed forms, full covariances and a count of values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aebench.models.densities.density import build_density
from scipy.stats import multivariate_normal

pytestmark = pytest.mark.sensitive
RIDGE = 1e-6


def codes(count=400, dims=120, seed=0):
    """Returns codes (count, dims) in two groups, whose directions have falling variances."""
    draw = np.random.default_rng(seed)
    scales = 3.0 * 0.8 ** np.arange(dims) + 0.1
    turn, _ = np.linalg.qr(draw.normal(size=(dims, dims)))
    groups = 6.0 * (np.arange(count) % 2)[:, None] * turn[0]
    return torch.tensor(draw.normal(size=(count, dims)) * scales @ turn + groups + 1.0).float()


def fitted(name, values):
    density = build_density(name)
    density.fit(values, seed=0)
    return density


def noise():
    return torch.Generator().manual_seed(1)


def truncated(values, rank):
    """Returns mean and covariance of equation 8: the leading eigenvalues, the others' mean."""
    data = values.double().numpy()
    eigenvalues, vectors = np.linalg.eigh(np.cov(data.T, ddof=0))
    eigenvalues[:-rank] = eigenvalues[:-rank].mean()
    covariance = vectors * eigenvalues @ vectors.T
    return data.mean(0), covariance + RIDGE * np.eye(data.shape[1])


@pytest.mark.parametrize("rank", [1, 5, 20])
def test_it_is_the_gaussian_of_highest_likelihood_whose_rest_is_isotropic(rank):
    values = codes()
    expected = multivariate_normal(*truncated(values, rank)).logpdf(values.double().numpy())
    found = fitted(f"low-rank-{rank}", values).log_prob(values.double())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7)


def test_directions_found_by_iteration_are_nearly_the_best(monkeypatch):
    values = codes()
    monkeypatch.setattr("aebench.models.densities.low_rank.EXACT", 0)
    for rank in (5, 20):
        best = multivariate_normal(*truncated(values, rank)).logpdf(values.double().numpy())
        found = fitted(f"low-rank-{rank}", values).log_prob(values.double()).numpy()
        # Nothing of that rank is more likely; directions of like variance count alike.
        assert best.mean() - 0.01 < found.mean() < best.mean() + 1e-9


def test_samples_have_the_covariance_of_the_density():
    values = codes(dims=30)
    mean, covariance = truncated(values, 4)
    draws = fitted("low-rank-4", values).sample(40_000, noise()).double().numpy()
    whitened = (draws - mean) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    # Of 40,000 draws each entry is off by about 0.005, a variance by 0.007.
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(30), atol=0.035)
    np.testing.assert_allclose(whitened.mean(0), 0, atol=0.025)


@pytest.mark.parametrize(("short", "full"), [("low-rank-64", "gaussian"), ("low-rank-3", "gmm-1")])
def test_of_short_codes_it_is_the_density_of_full_covariance(short, full):
    values = codes(dims=3)
    points = 2 * codes(dims=3, seed=1).double()
    found, expected = fitted(short, values).log_prob(points), fitted(full, values).log_prob(points)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_a_mixture_finds_groups_that_one_gaussian_cannot():
    values = codes()
    one, two = (fitted(f"low-rank-64-gmm-{count}", values) for count in (1, 2))
    assert float((two.log_prob(values) - one.log_prob(values)).mean()) > 0.3
    # Of one component it is the Gaussian of that rank.
    expected = fitted("low-rank-64", values).log_prob(values.double())
    torch.testing.assert_close(one.log_prob(values.double()), expected, rtol=1e-7, atol=1e-7)


def test_neither_the_order_of_blocks_nor_their_size_changes_what_is_found(monkeypatch):
    values = codes(count=300)
    whole = fitted("low-rank-5", values).log_prob(values.double())
    monkeypatch.setattr("aebench.models.densities.low_rank.BLOCK", 7 * 120)
    parts = fitted("low-rank-5", values.flip(0)).log_prob(values.double())
    torch.testing.assert_close(parts, whole, rtol=1e-8, atol=1e-8)


def test_codes_of_any_length_never_meet_a_square_matrix(monkeypatch):
    dims, largest = 3000, [0]
    values = codes(count=100, dims=50).repeat(1, dims // 50)

    class Seen(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    largest[0] = max(largest[0], tensor.numel())
            return result

    with Seen():
        density = fitted("low-rank-64-gmm-2", values)
        density.sample(100, noise())
        density.log_prob(values)
    assert largest[0] <= dims * 100 < dims**2


def test_fewer_codes_than_directions_leave_a_density_of_finite_values():
    values = codes(count=10)
    density = fitted("low-rank-64", values)
    assert bool(density.log_prob(values.double()).isfinite().all())
    assert bool(density.sample(5, noise()).isfinite().all())

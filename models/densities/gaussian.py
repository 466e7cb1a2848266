"""One Gaussian with full covariance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from .density import DENSITIES, Density, check_codes, check_fitted

RIDGE = 1e-6


@DENSITIES.register("gaussian")
class FullGaussian(Density):
    """Mean and maximum-likelihood covariance of the codes, with scikit-learn's ridge of 1e-6.

    The same density as a mixture with one component, so that ``gmm-K`` contains it.
    """

    summary = "full covariance, with its mean"
    fitted = ("mean", "covariance")
    least_codes = 2

    def __init__(self) -> None:
        self.mean = torch.empty(0)
        self.covariance = torch.empty(0, 0)

    def fit(self, codes: Tensor, seed: int) -> None:
        """Sets mean and covariance from codes (N, L), N at least 2."""
        codes = check_codes(codes, self.least_codes, "gaussian")
        self.mean = codes.mean(0)
        centred = codes - self.mean
        ridge = RIDGE * torch.eye(codes.shape[1], dtype=codes.dtype)
        self.covariance = centred.T @ centred / len(codes) + ridge

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns codes (count, L)."""
        check_fitted(len(self.mean), "gaussian")
        noise = torch.randn(count, len(self.mean), generator=generator, dtype=torch.float64)
        return self.place(noise).float()

    def place(self, noise: Tensor) -> Tensor:
        """Returns mean + L noise for standard normal noise (N, L)."""
        return self.mean + noise @ torch.linalg.cholesky(self.covariance).T

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log densities (N,) in nats."""
        check_fitted(len(self.mean), "gaussian")
        # In float32 the factorisation fails where a direction of the codes has collapsed.
        factor = torch.linalg.cholesky(self.covariance).to(z)
        normal = MultivariateNormal(self.mean.to(z), scale_tril=factor, validate_args=False)
        return normal.log_prob(z)

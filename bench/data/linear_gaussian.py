"""Ground truth: a linear-Gaussian model, all of whose quantities have a closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .dataset import Source, register
from .source import Content
from .truth import split_draws

if TYPE_CHECKING:
    import torch

SEED = 1001
DIMENSIONS, LATENT, SIGMA = 6, 2, 0.5


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """x = W z + b + sigma e with z and e standard normal.

    Args:
        weight: W, float64 of shape (D, L).
        bias: b, float64 of shape (D,).
        sigma: Standard deviation of the observation.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    sigma: float

    @cached_property
    def covariance(self) -> torch.Tensor:
        """Covariance of x, W W^T + sigma^2 I, shape (D, D)."""
        import torch

        noise = self.sigma**2 * torch.eye(len(self.bias), dtype=torch.float64)
        return self.weight @ self.weight.T + noise

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Returns log p(x) in nats, float64 of shape (B,), for x of shape (B, ...)."""
        import torch

        centred = x.flatten(1).double().cpu() - self.bias
        factor = torch.linalg.cholesky(self.covariance)
        white = torch.linalg.solve_triangular(factor, centred.T, upper=False)
        constant = factor.diagonal().log().sum() + 0.5 * len(factor) * math.log(2 * math.pi)
        return -0.5 * white.square().sum(0) - constant

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Returns draws of x, float64 of shape (count, D)."""
        import torch

        dimensions, latent = self.weight.shape
        z = torch.randn(count, latent, generator=generator, dtype=torch.float64)
        noise = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
        return z @ self.weight.T + self.bias + self.sigma * noise


class LinearGaussianSource(Source):
    """5,000 / 1,000 / 1,000 vectors of six numbers with two latent ones."""

    name = "linear-gaussian"
    image_shape = (1, 1, DIMENSIONS)
    default_space = "real"

    def truth(self) -> LinearGaussian:
        """Returns the model; the columns of W overlap, so that the gap is not small."""
        import torch

        generator = torch.Generator().manual_seed(SEED)
        weight = torch.randn(DIMENSIONS, LATENT, generator=generator, dtype=torch.float64)
        weight = weight @ torch.tensor([[1.0, 0.8], [0.0, 0.6]], dtype=torch.float64)
        bias = torch.randn(DIMENSIONS, generator=generator, dtype=torch.float64)
        return LinearGaussian(weight, bias, SIGMA)

    def read(self) -> Content:
        """Returns draws from the model."""
        return split_draws(self.truth().sample, SEED + 1, (1, 1, DIMENSIONS))


register(LinearGaussianSource())

"""Ground truth: images of 4x4 from a fixed decoder, whose marginal is a quadrature."""

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

SEED = 1003
SIDE, HIDDEN, SIGMA = 4, 16, 0.15
CHUNK = 64


@dataclass(frozen=True, eq=False)
class DecoderImages:
    """x = g(z) + sigma e, z standard normal in the plane, g a network of one hidden layer.

    g(z) = sigmoid(V tanh(U z + a) + b). log p(x) is the trapezoidal sum over ``points`` x
    ``points`` values of z in [-limit, limit]^2, which for a smooth integrand that vanishes at
    the border converges faster than any power of the step.

    Args:
        first: U and a, float64 of shapes (H, 2) and (H,).
        second: V and b, float64 of shapes (D, H) and (D,).
        sigma: Standard deviation of the observation.
        points: Count of nodes on an axis.
        limit: End of an axis; beyond 7 lies a mass of 5e-12.
    """

    first: tuple[torch.Tensor, torch.Tensor]
    second: tuple[torch.Tensor, torch.Tensor]
    sigma: float
    points: int = 281
    limit: float = 7.0

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Returns the mean image, shape (B, D), for z of shape (B, 2)."""
        import torch

        hidden = torch.tanh(z @ self.first[0].T + self.first[1])
        return torch.sigmoid(hidden @ self.second[0].T + self.second[1])

    @cached_property
    def nodes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean images at the nodes, shape (M, D), and log prior mass of each, shape (M,)."""
        import torch

        axis = torch.linspace(-self.limit, self.limit, self.points, dtype=torch.float64)
        z = torch.cartesian_prod(axis, axis)
        log_mass = -0.5 * z.square().sum(1) - math.log(2 * math.pi)
        return self.decode(z), log_mass + 2 * (axis[1] - axis[0]).log()

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Returns log p(x) in nats, float64 of shape (B,), for x of shape (B, ...)."""
        import torch

        flat = x.flatten(1).double().cpu()
        means, log_mass = self.nodes
        constant = flat.shape[1] * math.log(self.sigma * math.sqrt(2 * math.pi))
        fixed = log_mass - 0.5 * means.square().sum(1) / self.sigma**2
        sums = [
            torch.logsumexp(chunk @ means.T / self.sigma**2 + fixed, 1)
            for chunk in flat.split(CHUNK)
        ]
        return torch.cat(sums) - 0.5 * flat.square().sum(1) / self.sigma**2 - constant

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Returns draws of x, float64 of shape (count, D)."""
        import torch

        z = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        mean = self.decode(z)
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        return mean + self.sigma * noise


class DecoderImagesSource(Source):
    """5,000 / 1,000 / 1,000 grey images of 4x4 with two latent numbers."""

    name = "decoder-images"
    image_shape = (1, SIDE, SIDE)
    default_space = "real"

    def truth(self) -> DecoderImages:
        """Returns the decoder with its fixed parameters."""
        import torch

        generator = torch.Generator().manual_seed(SEED)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        first = (normal(HIDDEN, 2), normal(HIDDEN))
        second = (normal(SIDE * SIDE, HIDDEN) / math.sqrt(HIDDEN) * 2, normal(SIDE * SIDE))
        return DecoderImages(first, second, SIGMA)

    def read(self) -> Content:
        """Returns draws from the decoder."""
        return split_draws(self.truth().sample, SEED + 1, (1, SIDE, SIDE))


register(DecoderImagesSource())

"""Ground truth: a mixture of Gaussians in the plane, pushed through a known map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .dataset import Source, register
from .source import Content
from .truth import split_draws

if TYPE_CHECKING:
    import torch

SEED = 1002


@dataclass(frozen=True, eq=False)
class WarpedMixture:
    """x = f(u), u from a mixture of isotropic Gaussians.

    f bends and stretches: y = (u1, u2 + bend sin(3/2 u1)), x = (y1 exp(stretch tanh y2), y2);
    log |det f'| = stretch tanh x2.

    Args:
        means: Centres, float64 of shape (K, 2).
        scales: Standard deviations, float64 of shape (K,).
        weights: Probabilities, float64 of shape (K,).
        bend: Height of the wave.
        stretch: Logarithm of the largest stretch.
    """

    means: torch.Tensor
    scales: torch.Tensor
    weights: torch.Tensor
    bend: float = 0.6
    stretch: float = 0.3

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Returns f(u), shape (B, 2)."""
        import torch

        second = u[:, 1] + self.bend * torch.sin(1.5 * u[:, 0])
        return torch.stack([u[:, 0] * torch.exp(self.stretch * torch.tanh(second)), second], 1)

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Returns u with f(u) = x, shape (B, 2)."""
        import torch

        first = x[:, 0] * torch.exp(-self.stretch * torch.tanh(x[:, 1]))
        return torch.stack([first, x[:, 1] - self.bend * torch.sin(1.5 * first)], 1)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Returns log p(x) in nats, float64 of shape (B,), for x of shape (B, ...)."""
        import torch

        flat = x.flatten(1).double().cpu()
        squared = (self.inverse(flat)[:, None] - self.means).square().sum(-1)
        terms = -0.5 * squared / self.scales**2 - 2 * self.scales.log() - math.log(2 * math.pi)
        log_u = torch.logsumexp(terms + self.weights.log(), 1)
        return log_u - self.stretch * torch.tanh(flat[:, 1])

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Returns draws of x, float64 of shape (count, 2)."""
        import torch

        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        return self.forward(self.means[chosen] + self.scales[chosen, None] * noise)


class WarpedMixtureSource(Source):
    """5,000 / 1,000 / 1,000 points of five warped blobs."""

    name = "warped-mixture"
    image_shape = (1, 1, 2)
    default_space = "real"

    def truth(self) -> WarpedMixture:
        """Returns the mixture with its fixed parameters."""
        import torch

        angles = torch.arange(5, dtype=torch.float64) * (2 * math.pi / 5)
        return WarpedMixture(
            means=2 * torch.stack([angles.cos(), angles.sin()], 1),
            scales=torch.tensor([0.3, 0.4, 0.5, 0.4, 0.3], dtype=torch.float64),
            weights=torch.tensor([0.1, 0.15, 0.2, 0.25, 0.3], dtype=torch.float64),
        )

    def read(self) -> Content:
        """Returns draws from the mixture."""
        return split_draws(self.truth().sample, SEED, (1, 1, 2))


register(WarpedMixtureSource())

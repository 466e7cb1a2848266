"""A Gaussian pushed through an invertible map, with its density at its own draws for free."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..gaussian import standard_normal_log_prob

Map = Callable[[Tensor], tuple[Tensor, Tensor]]


class FlowGaussian(Distribution):
    """z = f(v), v ~ N(loc, scale^2); event (L,), batch (B,).

    The density of the latest draw is remembered, so that `log_prob` of it needs no inverse pass
    through f, which for an inverse autoregressive flow takes L passes.

    Args:
        loc: Mean of v, (B, L).
        scale: Standard deviation of v, (B, L).
        forward: f on (..., B, L), with its log-determinant (..., B).
        inverse: The inverse of f on the same shapes, with its log-determinant.
    """

    arg_constraints: dict = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, forward: Map, inverse: Map) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.loc = loc
        self.scale = scale
        self._forward = forward
        self._inverse = inverse
        self._latest: tuple[Tensor, Tensor] | None = None

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Returns reparameterised draws (*sample_shape, B, L)."""
        return self.draw(torch.randn(*sample_shape, *self.loc.shape).to(self.loc))[0]

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z and its log density for standard normal noise (..., B, L)."""
        z, log_det = self._forward(self.loc + self.scale * noise)
        log_prob = self._base_log_prob(noise) - log_det
        self._latest = (z, log_prob)
        return z, log_prob

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns log densities (..., B) in nats."""
        if self._latest is not None and value is self._latest[0]:
            return self._latest[1]
        v, log_det = self._inverse(value)
        return self._base_log_prob((v - self.loc) / self.scale) + log_det

    def _base_log_prob(self, noise: Tensor) -> Tensor:
        return standard_normal_log_prob(noise) - self.scale.log().sum(-1)

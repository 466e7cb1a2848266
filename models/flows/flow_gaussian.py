"""A Gaussian pushed through an invertible map, with its density at its own draws for free."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..gaussian import standard_normal_log_prob

Map = Callable[[Tensor], tuple[Tensor, Tensor]]


class FlowGaussian(Distribution):
    """z = f(v), v ~ N(loc, scale^2); event (L,), batch (B,).

    `draw` gives the density of its draws without the inverse of f, which `log_prob` takes and
    which is slow for an inverse autoregressive flow.

    Args:
        loc: Mean of v, (B, L).
        scale: Standard deviation of v, (B, L).
        forward: f on (..., B, L), with its log-determinant (..., B).
        inverse: The inverse of f on the same shapes, with its log-determinant.
    """

    arg_constraints: dict = {}  # noqa: RUF012

    def __init__(self, loc: Tensor, scale: Tensor, forward: Map, inverse: Map) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.loc = loc
        self.scale = scale
        self._forward = forward
        self._inverse = inverse

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z and its log density for standard normal noise (..., B, L)."""
        z, log_det = self._forward(self.loc + self.scale * noise)
        return z, self._base_log_prob(noise) - log_det

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns log densities (..., B) in nats."""
        v, log_det = self._inverse(value)
        return self._base_log_prob((v - self.loc) / self.scale) + log_det

    def _base_log_prob(self, noise: Tensor) -> Tensor:
        return standard_normal_log_prob(noise) - self.scale.log().sum(-1)


def pushed(proposal: Distribution, forward: Map, inverse: Map) -> FlowGaussian:
    """Returns the distribution of g(z), where z is a Gaussian's draw, through a flow or not.

    Args:
        proposal: An independent Gaussian or a `FlowGaussian`, event (L,).
        forward: g on (..., B, L), with its log-determinant.
        inverse: The inverse of g.

    Raises:
        TypeError: The distribution is of another kind.
    """
    if isinstance(proposal, FlowGaussian):
        first, second = proposal._forward, proposal._inverse
        return FlowGaussian(
            proposal.loc,
            proposal.scale,
            lambda v: _both(v, first, forward),
            lambda z: _both(z, inverse, second),
        )
    loc, scale = gaussian_parts(proposal)
    return FlowGaussian(loc, scale, forward, inverse)


def gaussian_parts(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Returns mean and deviation (B, L) of an independent Gaussian.

    Raises:
        TypeError: The distribution is another one.
    """
    base = getattr(distribution, "base_dist", None)
    if isinstance(distribution, Independent) and isinstance(base, Normal):
        return base.loc, base.scale.expand_as(base.loc)
    raise TypeError(
        f"'proposal' is a '{type(distribution).__name__}'; "
        "expected an independent Gaussian or a 'FlowGaussian'."
    )


def _both(v: Tensor, first: Map, second: Map) -> tuple[Tensor, Tensor]:
    middle, one = first(v)
    end, other = second(middle)
    return end, one + other

"""Where importance samples come from: the encoder, or the decoder's local geometry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from ...metrics.devices import in_batches
from ...models.flows.flow_gaussian import FlowGaussian, gaussian_parts
from ...models.forward_mode import load_rules
from .model import CHUNK, LatentModel, Observed, OverSymbols

# A tenth of the draws in each defensive part bounds the weights by ten times what that part
# alone would give, and costs a tenth of the draws each.
DEFENSIVE_SHARE = 0.1
DEFENSIVE_WIDTH = 2.0
CLIMB_STEPS = 3
# Lengths tried for a Gauss-Newton step; 0 keeps the old point where every other is worse.
STEP_LENGTHS = (0.0, 0.1, 0.3, 1.0)
FAMILIES = ("encoder", "local", "mode")


class Sampler(Protocol):
    """Draws z with its log density; axes K draws, B images, L latent."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns z (K, B, L) and log q(z|x) (K, B)."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """One Gaussian for each image.

    Args:
        location: Means (B, L).
        factor: Lower triangular factors (B, L, L) of the covariances.
        scale: Factor on all deviations.
    """

    location: Tensor
    factor: Tensor
    scale: float = 1.0

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns z (K, B, L) and log q(z|x) (K, B)."""
        shape = (count, *self.location.shape)
        noise = torch.randn(shape, generator=generator, dtype=self.location.dtype)
        noise = noise.to(self.location.device)
        z = self.location + self.scale * torch.einsum("bij,kbj->kbi", self.factor, noise)
        return z, self._log_density(noise.square().sum(-1))

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log q(z|x) (K, B) of z (K, B, L)."""
        # One triangular solve for each image serves all its draws as columns.
        centred = ((z - self.location) / self.scale).permute(1, 2, 0)
        whitened = torch.linalg.solve_triangular(self.factor, centred, upper=False)
        return self._log_density(whitened.square().sum(1).T)

    def _log_density(self, squared: Tensor) -> Tensor:
        """Returns the log density at squared whitened distances (K, B)."""
        dims = self.location.shape[1]
        diagonal = torch.diagonal(self.factor, dim1=-2, dim2=-1).double()
        normaliser = diagonal.log().sum(1) + dims * math.log(self.scale * math.sqrt(2 * math.pi))
        return -0.5 * squared.double() - normaliser


@dataclass(frozen=True)
class Defensive:
    """A mixture that bounds the weights where a Gaussian alone is too narrow.

    One draw in ten comes from the same Gaussian twice as wide, one in ten from a Gaussian with
    the moments of the prior.

    References:
        Weighted Average Importance Sampling and Defensive Mixture Distributions
        (Hesterberg, 1995), Technometrics 37.

    Args:
        parts: The Gaussians.
        shares: Their probabilities.
    """

    parts: tuple[Gaussian, ...]
    shares: tuple[float, ...]

    @classmethod
    def around(cls, narrow: Gaussian, prior: tuple[Tensor, Tensor]) -> Defensive:
        """Returns the mixture for a Gaussian and the prior's mean (L,) and covariance (L, L)."""
        wide = Gaussian(narrow.location, narrow.factor, DEFENSIVE_WIDTH * narrow.scale)
        mean = prior[0].to(narrow.location).expand_as(narrow.location)
        factor = torch.linalg.cholesky(prior[1]).to(narrow.factor).expand_as(narrow.factor)
        shares = (1 - 2 * DEFENSIVE_SHARE, DEFENSIVE_SHARE, DEFENSIVE_SHARE)
        return cls((narrow, wide, Gaussian(mean, factor)), shares)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns z (K, B, L) and log q(z|x) (K, B)."""
        location = self.parts[0].location
        chosen = torch.rand(count, len(location), generator=generator).to(location.device)
        # All parts are drawn in full and one is picked: the noise used does not depend on the
        # picks.
        z, _ = self.parts[0].draw(count, generator)
        below = self.shares[0]
        for part, share in zip(self.parts[1:], self.shares[1:], strict=True):
            mine = (chosen >= below)[..., None]
            z = torch.where(mine, part.draw(count, generator)[0], z)
            below += share
        return z, self.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log q(z|x) (K, B) of z (K, B, L)."""
        terms = [
            part.log_prob(z) + math.log(share)
            for part, share in zip(self.parts, self.shares, strict=True)
        ]
        return torch.stack(terms).logsumexp(0)


@dataclass(frozen=True)
class FlowSampler:
    """A Gaussian pushed through a flow, whose draws come with their density."""

    distribution: FlowGaussian

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns z (K, B, L) and log q(z|x) (K, B)."""
        location = self.distribution.loc
        shape = (count, *location.shape)
        noise = torch.randn(shape, generator=generator, dtype=location.dtype)
        z, log_q = self.distribution.draw(noise.to(location.device))
        return z, log_q.double()


def encoder_sampler(distribution: Distribution) -> Gaussian | FlowSampler:
    """Returns a sampler of q(z|x).

    Raises:
        TypeError: The distribution is neither a Gaussian nor one pushed through a flow.
    """
    if isinstance(distribution, FlowGaussian):
        return FlowSampler(distribution)
    loc, scale = gaussian_parts(distribution)
    return Gaussian(loc, torch.diag_embed(scale))


def samplers(
    model: LatentModel, family: str, data: Observed, *, chunk: int = CHUNK
) -> Callable[[float], Sampler]:
    """Returns the proposals of one family for some data, as a function of their scale.

    Args:
        model: The model.
        family: ``encoder``, the objective's own; ``local``, a Gaussian at the encoder's mean
            with covariance from the decoder's Jacobian; ``mode``, the same after a few
            Gauss-Newton steps up the posterior.
        data: The data (B, C, H, W).
        chunk: Most rows decoded at once.

    Raises:
        ValueError: The family is unknown, or the model has no encoder.
    """
    if family == "encoder" and model.encoder is not None:
        encoder = model.encoder
        return lambda scale: _defended(model, encoder_sampler(encoder(data.x, scale)))
    if family not in ("local", "mode"):
        known = ", ".join(FAMILIES if model.encoder else FAMILIES[1:])
        raise ValueError(f"'family' is '{family}'; expected one of: {known}.")
    location, factor = laplace(model, data, CLIMB_STEPS if family == "mode" else 0, chunk=chunk)
    return lambda scale: _defended(model, Gaussian(location, factor, scale))


def _defended(model: LatentModel, sampler: Gaussian | FlowSampler) -> Sampler:
    """Returns a Gaussian with its defensive parts; a flow's inverse may be slow, so not there."""
    if isinstance(sampler, FlowSampler):
        return sampler
    return Defensive.around(sampler, model.prior_moments)


@torch.no_grad()
def laplace(
    model: LatentModel,
    data: Observed,
    steps: int,
    *,
    start: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Returns a Gaussian approximation of p(z|x): locations (B, L), factors (B, L, L).

    The precision is the prior's plus the observation's Fisher information at the location.

    Args:
        model: The model.
        data: The data (B, C, H, W).
        steps: Gauss-Newton steps.
        start: Where they start, (B, L); at the model's own centre when not given.
        chunk: Most rows decoded at once.
    """
    # The Jacobian decodes a batch for each latent direction.
    size = max(1, chunk // model.latent_dim)

    def compute(first: int, last: int) -> tuple[Tensor, Tensor]:
        part = data.part(first, last)
        z = model.centre(part.x) if start is None else start[first:last]
        return _laplace_part(model, part, steps, z)

    parts = in_batches(compute, len(data), size)
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _laplace_part(
    model: LatentModel, data: Observed, steps: int, z: Tensor
) -> tuple[Tensor, Tensor]:
    for _ in range(steps):
        z = gauss_newton_step(model, data.y, z)
    precision = model.prior_precision + fisher_information(model, z, data.y)
    factor = torch.linalg.cholesky(_symmetric(torch.cholesky_inverse(_cholesky(precision))))
    return z, factor.to(z)


def gauss_newton_step(model: LatentModel, y: Tensor, z: Tensor) -> Tensor:
    """Returns z (B, L) after a step up log p(y, z), never a worse one."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model.log_joint(y, leaf).sum(), leaf)
    gradient = _numbers(gradient)
    factor = _cholesky(model.prior_precision + fisher_information(model, z, y))
    direction = torch.cholesky_solve(gradient.double()[..., None], factor)[..., 0].to(z)
    tried = torch.stack([z + length * direction for length in STEP_LENGTHS])
    # A step that leaves the space's range gives nan; it counts as the worst.
    values = torch.stack([model.log_joint(y, candidate) for candidate in tried])
    best = values.nan_to_num(nan=-math.inf).argmax(0)
    return tried[best, torch.arange(len(z), device=z.device)]


def fisher_information(model: LatentModel, z: Tensor, y: Tensor | None = None) -> Tensor:
    """Returns the Fisher information about z of p(y|z), (B, L, L), float64.

    For a Gaussian it is J^T S^-1 J of the mean, plus 2 K^T K where K is the Jacobian of the log
    deviations. For sequences it is that of the symbols, each given those before it in y.

    Args:
        model: The model.
        z: Where, (B, L).
        y: The data (B, C, H, W), which only sequences need.
    """
    load_rules()
    # Forward mode: L directions, where reverse mode would need one pass for each pixel.
    observation = model.observation(z)
    if isinstance(observation, OverSymbols) and y is not None:
        roots = _tangents(lambda v: (cast(OverSymbols, model.observation(v)).roots(y),), z)[0]
        return _numbers(_products(roots.flatten(2))).double()
    scale = observation.stddev
    mean, log_scale = _tangents(lambda v: _moments(model, v), z)
    information = _products((mean / scale).flatten(2))
    log_scale = log_scale.expand(z.shape[1], *scale.shape).flatten(2)
    # Most decoders have a scale that does not depend on z; then the second part is zero.
    if bool(log_scale.any()):
        information = information + 2 * _products(log_scale)
    return _numbers(information).double()


def _tangents(function: Callable[[Tensor], tuple[Tensor, ...]], z: Tensor) -> tuple[Tensor, ...]:
    """Returns the derivatives of each output along each direction of z, (L, B, ...)."""

    def along(direction: Tensor) -> tuple[Tensor, ...]:
        return torch.func.jvp(function, (z,), (direction.expand_as(z),))[1]

    return torch.func.vmap(along)(torch.eye(z.shape[1], dtype=z.dtype, device=z.device))


def _products(tangents: Tensor) -> Tensor:
    """Returns J^T J, (B, L, L), of derivatives (L, B, D)."""
    return torch.einsum("ibd,jbd->bij", tangents, tangents)


def _numbers(values: Tensor) -> Tensor:
    """Returns values (B, ...), zero for an image whose point decodes to no number.

    The prior alone then says where to look for that image; the others are as they would be.
    """
    whole = values.flatten(1).isfinite().all(1)
    return values.where(whole.view(-1, *[1] * (values.dim() - 1)), 0.0)


def _moments(model: LatentModel, z: Tensor) -> tuple[Tensor, Tensor]:
    observation = model.observation(z)
    return observation.mean, observation.stddev.log()


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def _cholesky(precision: Tensor) -> Tensor:
    """Returns the factor of a precision, with a ridge where rounding made it singular."""
    # Relative to the diagonal, so that it does not depend on the units of z.
    ridge = 1e-10 * torch.diagonal(precision, dim1=-2, dim2=-1).mean(-1)[..., None, None]
    identity = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return torch.linalg.cholesky(_symmetric(precision) + ridge * identity)

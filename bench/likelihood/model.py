"""What one likelihood estimator needs of a model: a prior over z, p(y|z), and where z may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ...models.flows.flow_gaussian import FlowGaussian, pushed
from ...models.flows.flows import Flow, NoFlow
from ...models.gaussian import standard_normal_log_prob
from ...models.objectives.objective import Objective
from ...models.spaces.space import Space
from ..errors import RunFailed
from ..interruption import check_stop

# A fixed seed makes the draws that stand for a prior's moments the same for every image.
PRIOR_DRAWS = 4096
RIDGE = 1e-6
REDRAWS = 10
# Rows decoded at once: so few that their layers stay in a CPU core's cache, which measured 1.5x
# faster than a thousand; a GPU wants many, within what its kernels can index.
CHUNK = 128
MOST_ROWS = 8192
MOST_ELEMENTS = 2**30


@runtime_checkable
class OverSymbols(Protocol):
    """What p(y|z) must have, beside `log_prob`, where y are one-hot symbols (B, 1, T, K)."""

    def roots(self, y: Tensor) -> Tensor:
        """Returns 2 sqrt(p) of each symbol at each step, given the steps before in y."""
        ...

    def draw(self, generator: torch.Generator) -> Tensor:
        """Returns one y (B, 1, T, K) for each z, from a CPU generator."""
        ...


@dataclass(frozen=True)
class Observed:
    """Data in three forms: what encoders see, what the model describes, and the map between.

    Args:
        x: Data (B, C, H, W), dequantised.
        y: The same in the space's coordinates, (B, C, H, W).
        log_det: log |dy/dx| (B,), nats.
    """

    x: Tensor
    y: Tensor
    log_det: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def part(self, start: int, stop: int) -> Observed:
        """Returns images ``start`` to ``stop``."""
        return Observed(self.x[start:stop], self.y[start:stop], self.log_det[start:stop])


@dataclass(frozen=True)
class LatentModel:
    """p(x) = |dy/dx| times the integral of p(z) p(y|z); axes B batch, L latent.

    Args:
        space: The coordinates y of the data.
        latent_dim: L.
        observation: p(y|z) over (B, C, H, W) for z (B, L).
        log_prior: log p(z) of z (B, L), nats, shape (B,).
        sample_prior: Draws of z (count, L), from a CPU generator.
        centre: A guess of z (B, L) for data x, usually the encoder's mean.
        encoder: q(z|x) for data x and a factor on its deviations, where the model has one.
        moments: Mean (L,) and covariance (L, L) of the prior, float64, where they are known.
    """

    space: Space
    latent_dim: int
    observation: Callable[[Tensor], Distribution]
    log_prior: Callable[[Tensor], Tensor]
    sample_prior: Callable[[int, torch.Generator], Tensor]
    centre: Callable[[Tensor], Tensor]
    encoder: Callable[[Tensor, float], Distribution] | None = None
    moments: tuple[Tensor, Tensor] | None = None

    def log_joint(self, y: Tensor, z: Tensor) -> Tensor:
        """Returns log p(y|z) + log p(z) of rows y (B, C, H, W) and z (B, L), float64 (B,).

        It is minus infinity at a z that a flow takes out of the range of numbers: such a z
        explains no data, and to leave it out can only lower a bound.

        Raises:
            Stopped: A stop was asked for; an estimate takes a minute and saves nothing midway.
        """
        check_stop()
        # Summed over pixels in the model's precision, then added in float64: differences of
        # weights between draws are small beside either part.
        value = self.observation(z).log_prob(y).double() + self.log_prior(z).double()
        return value.masked_fill(value.isnan(), -math.inf)

    @cached_property
    def prior_moments(self) -> tuple[Tensor, Tensor]:
        """Mean (L,) and covariance (L, L) of the prior, or of 4,096 draws from it, float64."""
        if self.moments is not None:
            return self.moments
        with torch.no_grad():
            draws = self.sample_prior(PRIOR_DRAWS, torch.Generator().manual_seed(0)).double()
        mean = draws.mean(0)
        ridge = RIDGE * torch.eye(self.latent_dim, dtype=draws.dtype, device=draws.device)
        return mean, (draws - mean).T @ (draws - mean) / len(draws) + ridge

    @cached_property
    def prior_precision(self) -> Tensor:
        """Inverse covariance of the prior, (L, L), float64."""
        return torch.linalg.inv(self.prior_moments[1])

    @torch.no_grad()
    def simulate(self, count: int, generator: torch.Generator) -> tuple[Observed, Tensor]:
        """Returns ``count`` draws from the model and the z (count, L) that each came from.

        The density asked of simulated data is that of y, so its log-determinant is 0. Data that
        are not finite are drawn again.

        Raises:
            TypeError: The observation model is neither Gaussian nor one of sequences.
            RunFailed: Some data are not finite in the last of the draws.
        """
        z, y = self._simulate(count, generator)
        for _ in range(REDRAWS):
            lost = (~y.flatten(1).isfinite().all(1)).nonzero()[:, 0]
            if len(lost) == 0:
                return Observed(self.space.image(y), y, y.new_zeros(count)), z
            z[lost], y[lost] = self._simulate(len(lost), generator)
        raise RunFailed(
            f"{len(lost)} of {count} draws from the model are not finite in {REDRAWS} attempts."
        )

    def _simulate(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        z = self.sample_prior(count, generator)
        observation = self.observation(z)
        if isinstance(observation, OverSymbols):
            return z, observation.draw(generator)
        noise = torch.randn(observation.mean.shape, generator=generator, dtype=z.dtype)
        return z, observation.mean + observation.stddev * noise.to(z.device)


@torch.no_grad()
def observe(space: Space, x: Tensor) -> Observed:
    """Returns dequantised data x (B, C, H, W) in a space.

    Raises:
        ValueError: A value is outside the space's range.
    """
    y, log_det = space(x)
    return Observed(x, y, log_det)


@torch.no_grad()
def rows_on_gpu(objective: Objective) -> int:
    """Returns how many codes to decode at once on a GPU.

    No tensor between layers then has as many as 2^30 elements, for which many kernels are slow
    or wrong.

    Args:
        objective: In evaluation mode, so that one row decodes as each of many does.
    """
    largest = 1

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        nonlocal largest
        seen = [t for t in (*inputs, output) if isinstance(t, Tensor)]
        largest = max([largest, *(t.numel() for t in seen)])

    handles = [module.register_forward_hook(see) for module in objective.modules()]
    try:
        code = next(objective.parameters()).new_zeros(1, objective.code_dim)
        objective.decode(code)
    finally:
        for handle in handles:
            handle.remove()
    return max(1, min(MOST_ROWS, (MOST_ELEMENTS - 1) // largest))


def native(objective: Objective) -> LatentModel:
    """Returns the model that an objective with its own prior and p(y|z) defines.

    z is the code z0, in whose coordinates the prior is N(0, I), also where a flow maps it to the
    decoder's input: draws from there may be as large as 1e24, so that their moments say nothing.

    Raises:
        ValueError: The objective has no likelihood bound of its own.
    """
    if objective.likelihood != "bound":
        raise ValueError(
            f"Objective '{type(objective).__name__}' has likelihood '{objective.likelihood}'; "
            "expected 'bound'."
        )
    flow = getattr(objective, "prior_flow", None)
    return _plain(objective) if flow is None or isinstance(flow, NoFlow) else _flowed(objective)


def _plain(objective: Objective) -> LatentModel:
    """Returns the model of an objective whose codes are its decoder's inputs."""
    return LatentModel(
        space=objective.space,
        latent_dim=objective.code_dim,
        observation=objective.observation,
        log_prior=objective.latent_log_prob,
        sample_prior=lambda count, generator: _noise(objective, count, generator),
        centre=lambda x: centre_of(objective.proposal(x)),
        encoder=objective.proposal,
    )


def _flowed(objective: Objective) -> LatentModel:
    """Returns the model of an objective whose prior is pushed through a flow."""
    flow: Flow = cast(Any, objective).prior_flow
    dims = objective.code_dim
    exact = torch.zeros(dims, dtype=torch.float64), torch.eye(dims, dtype=torch.float64)
    device = next(objective.parameters()).device

    def encoder(x: Tensor, scale: float) -> FlowGaussian:
        return pushed(objective.proposal(x, scale), flow.to_noise, flow.to_data)

    return LatentModel(
        space=objective.space,
        latent_dim=dims,
        observation=lambda z: objective.observation(objective.decoder_input(z)),
        log_prior=standard_normal_log_prob,
        sample_prior=lambda count, generator: _noise(objective, count, generator),
        centre=lambda x: centre_of(encoder(x, 1.0)),
        encoder=encoder,
        moments=(exact[0].to(device), exact[1].to(device)),
    )


def _noise(objective: Objective, count: int, generator: torch.Generator) -> Tensor:
    noise = torch.randn(count, objective.code_dim, generator=generator)
    return noise.to(next(objective.parameters()))


def centre_of(proposal: Distribution) -> Tensor:
    """Returns where a proposal's Gaussian has its mean, (B, L), through the flow if it has one."""
    if isinstance(proposal, FlowGaussian):
        return proposal.draw(torch.zeros_like(proposal.loc))[0]
    return proposal.mean

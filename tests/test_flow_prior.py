"""Likelihoods under a prior flow whose draws are far too large to have moments."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from aebench.bench.errors import RunFailed
from aebench.bench.likelihood.annealing import bracket
from aebench.bench.likelihood.annealing_path import Annealing
from aebench.bench.likelihood.importance import choose_proposal, importance_bound
from aebench.bench.likelihood.model import LatentModel, Observed, native, observe
from aebench.bench.likelihood.proposal import samplers
from aebench.models import build
from aebench.models.flows.actnorm import ActNorm
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

pytestmark = pytest.mark.sensitive
LINEAR = runpy.run_path(str(Path(__file__).parent / "linear_gaussian.py"))
DIMS, VALUES, NOISE, SEEN = 16, 16, 0.5, 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class ThroughCode(nn.Module):
    """A decoder that undoes the prior flow, so that y is linear in the prior's coordinates."""

    def __init__(self, flow: Any, weight: Tensor) -> None:
        super().__init__()
        self.flow, self.weight = [flow], weight  # In a list: its parameters are the objective's.

    def forward(self, z: Tensor) -> Tensor:
        return self.flow[0].to_noise(z)[0] @ self.weight.T


def wild(name: str) -> Any:
    """Returns an objective whose prior is wild and whose p(x) is N(0, W W^T + noise^2)."""
    torch.manual_seed(0)
    objective: Any = build(
        name,
        backbone="mlp",
        image_shape=(1, 1, VALUES),
        latent_dim=DIMS,
        space="real",
        prior_flow="maf",
        flow_layers=2,
        flow_hidden=32,
    ).double()
    for module in objective.modules():
        if isinstance(module, ActNorm):
            module.get_buffer("initialised").fill_(True)
    for parameter in objective.prior_flow.parameters():
        parameter.data.mul_(1.4)
    objective.space.initialise(torch.randn(50, 1, 1, VALUES).double())
    weight = torch.randn(VALUES, DIMS, generator=seeded(1)).double() / DIMS**0.5
    weight[:, SEEN:] = 0  # In the other directions the posterior is the prior.
    objective.backbone.decoder = ThroughCode(objective.prior_flow, weight)
    objective.backbone.output = nn.Unflatten(1, (1, 1, VALUES))
    with torch.no_grad():
        rho = torch.tensor(NOISE - objective.epsilon).double().expm1().log()
        objective.decoder_rho.copy_(rho.expand_as(objective.decoder_rho))
    return objective.eval()


def closed_form(objective: Any, y: Tensor) -> Tensor:
    weight = objective.backbone.decoder.weight
    covariance = weight @ weight.T + NOISE**2 * torch.eye(VALUES).double()
    return MultivariateNormal(torch.zeros(VALUES).double(), covariance).log_prob(y.flatten(1))


def drawn(model: LatentModel, objective: Any, count: int) -> Observed:
    weight = objective.backbone.decoder.weight
    z = torch.randn(count, DIMS, generator=seeded(2)).double()
    y = z @ weight.T + NOISE * torch.randn(count, VALUES, generator=seeded(3)).double()
    y = y.view(count, 1, 1, VALUES)
    return observe(objective.space, objective.space.inverse(y))


@pytest.mark.parametrize("name", ["vae", "aef-linear"])
def test_a_prior_of_huge_draws_leaves_a_sound_effective_size_and_the_closed_form(name):
    objective = wild(name)
    with torch.no_grad():
        draws = objective.decoder_input(torch.randn(4096, DIMS, generator=seeded()).double())
    assert not bool((draws.abs() < 1e12).all())
    model = native(objective)
    data = drawn(model, objective, 12)
    choice = choose_proposal(model, data.part(8, 12), seeded(), families=("mode",))
    tested = data.part(0, 8)
    sampler = choice.sampler(model, tested)
    bound = importance_bound(model, tested, sampler, samples=200, generator=seeded(1))
    assert float(bound.ess.median()) > 100
    error = bound.value - tested.log_det - closed_form(objective, tested.y)
    assert (error.abs() < 5 * bound.stderr + 1e-3).all()


def overflowing(limit: float) -> LatentModel:
    """Returns a linear Gaussian model whose decoder gives nan where the first code is high."""
    weight = torch.randn(6, 2, generator=seeded()).double()
    linear = LINEAR["linear_model"](weight, torch.zeros(6).double(), NOISE, (1, 1, 6))

    def observation(z: Tensor) -> Any:
        return linear.observation(z.where(z[:, :1] < limit, torch.nan))

    return dataclasses.replace(linear, observation=observation)


def test_a_code_that_decodes_to_no_number_has_no_weight_and_leaves_the_bound_standing():
    model, whole = overflowing(1.5), overflowing(1e9)
    y = 0.1 * torch.ones(20, 1, 1, 6).double()
    data = observe(model.space, y)
    bounds = []
    for one in (whole, model):
        sampler = samplers(whole, "mode", data)(2.0)
        bounds.append(importance_bound(one, data, sampler, samples=2000, generator=seeded(1)))
    covariance = NOISE**2 * torch.eye(6).double()
    weight = whole.observation(torch.eye(2).double()).mean.flatten(1).T
    exact = MultivariateNormal(torch.zeros(6).double(), covariance + weight @ weight.T)
    error = (bounds[1].value - exact.log_prob(y.flatten(1))).abs()
    assert (error < 5 * bounds[1].stderr + 1e-3).all()
    assert (bounds[1].value <= bounds[0].value).all()


def test_data_simulated_for_a_bracket_are_finite_and_drawn_as_often_as_that_takes():
    data, z = overflowing(0.5).simulate(50, seeded())
    assert bool(data.y.isfinite().all()) and bool((z[:, 0] < 0.5).all())
    ends = bracket(overflowing(0.5), 8, Annealing(steps=20, chains=4), seeded())
    assert float(ends.gap.mean()) < 1
    with pytest.raises(RunFailed, match="50 of 50 draws from the model are not finite"):
        overflowing(-1e9).simulate(50, seeded())

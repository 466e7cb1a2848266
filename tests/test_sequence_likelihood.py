"""The likelihood of a string by the one estimator, against sums and numerical integrals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from aebench.bench.likelihood.annealing import bracket
from aebench.bench.likelihood.annealing_path import Annealing
from aebench.bench.likelihood.importance import choose_proposal, importance_bound
from aebench.bench.likelihood.model import LatentModel, Observed, native, observe
from aebench.bench.likelihood.proposal import encoder_sampler, fisher_information, laplace
from aebench.bench.likelihood.scorer import LikelihoodScorer, LikelihoodSettings
from aebench.models import build
from aebench.models.densities.density import Density, build_density
from aebench.models.objectives.objective import Objective
from aebench.models.sequences.forms import form
from torch import Tensor

pytestmark = pytest.mark.sensitive
FORM = "expressions-grammar"
TEXTS = ["x+1", "sin(x)/2", "exp(x*x)", "1", "x*x+3", "(x)", "2/x", "exp(1)", "3*3", "x"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stored() -> Tensor:
    symbols = [form(FORM).padded(text) for text in TEXTS]
    return torch.tensor(symbols, dtype=torch.uint8)[:, None, None]


def made(name: str = "vae", latent_dim: int = 1, space: str = "sequence") -> Objective:
    """Returns a model whose decoder turns on its code; batch-norm knows the codes' moments."""
    objective = build(
        name,
        backbone="grammar-gru",
        image_shape=(1, 15, 12),
        latent_dim=latent_dim,
        space=space,
        form=FORM,
        seed=1,
        backbone_options={"width": 0.2},
    )
    objective.backbone.requires_grad_(False)
    for kernel in (objective.backbone.output.weight, objective.backbone.output.bias):
        kernel.copy_(3 * torch.randn(kernel.shape, generator=seeded(4)))
    return objective.eval()


def observed(objective: Objective) -> Observed:
    return observe(objective.space, objective.space.dequantise(stored(), None))


def integral(model: LatentModel, data: Observed) -> Tensor:
    """Returns log p(y) of a model with one latent value, by the trapezoid rule."""
    grid = torch.linspace(-9, 9, 601)
    rows = []
    with torch.no_grad():
        for y in data.y:
            many = y.expand(len(grid), *y.shape)
            rows.append(model.log_joint(many, grid[:, None]))
    weight = math.log(float(grid[1] - grid[0]))
    return torch.stack(rows).logsumexp(1) + weight


def test_a_decoder_that_ignores_the_code_gives_the_exact_probability_and_every_weight_counts():
    objective = made(latent_dim=3)
    objective.backbone.output.weight.zero_()
    for head in (objective.backbone.code, objective.log_variance_head):
        head.requires_grad_(False).weight.zero_()
    model, data = native(objective), observed(objective)
    logits = objective.backbone.output.bias.expand(len(TEXTS), 1, 15, 12)
    expected = -objective.space.distortion(data.y, logits).double()
    sampler = encoder_sampler(objective.proposal(data.x))
    bound = importance_bound(model, data, sampler, samples=7, generator=seeded())
    torch.testing.assert_close(bound.value, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(bound.ess, torch.full((len(TEXTS),), 7.0).double())
    assert not fisher_information(model, torch.randn(len(TEXTS), 3), data.y).any()


def test_the_fisher_information_is_that_of_the_symbols_given_those_before():
    objective = made(latent_dim=3)
    model, data = native(objective), observed(objective)
    z = torch.randn(len(TEXTS), 3, generator=seeded())
    found = fisher_information(model, z, data.y)
    allowed = torch.from_numpy(form(FORM).masks[form(FORM).state_of])
    for index, code in enumerate(z[:4]):
        jacobian = torch.func.jacrev(lambda v: objective.decode(v[None])[0, 0].double())(code)
        logits = objective.decode(code[None])[0, 0].double()
        expected = torch.zeros(3, 3).double()
        for step, symbol in enumerate(stored()[index, 0, 0].tolist()):
            p = logits[step].masked_fill(~allowed[symbol], -math.inf).softmax(0)
            metric = torch.diag(p) - p[:, None] * p
            expected += jacobian[step].double().T @ metric @ jacobian[step].double()
        torch.testing.assert_close(found[index], expected, rtol=1e-3, atol=1e-5)


def test_the_bound_of_a_model_with_one_latent_value_is_the_numerical_integral():
    objective = made()
    model, data = native(objective), observed(objective)
    expected = integral(model, data)
    assert float(expected.std()) > 0.5
    choice = choose_proposal(model, data, seeded())
    bound = importance_bound(
        model, data, choice.sampler(model, data), samples=1500, generator=seeded(1)
    )
    assert bool(((bound.value - expected).abs() <= 4 * bound.stderr + 1e-3).all())
    assert float(bound.stderr.max()) < 0.05


def test_gauss_newton_steps_climb_to_the_mode():
    model = native(made())
    data = observed(made())
    location, _ = laplace(model, data, 12)
    grid = torch.linspace(-6, 6, 2401)
    with torch.no_grad():
        for index, y in enumerate(data.y):
            values = model.log_joint(y.expand(len(grid), *y.shape), grid[:, None])
            at = model.log_joint(y[None], location[index, None])
            start = model.log_joint(y[None], model.centre(data.x[index, None]))
            assert float(start) - 1e-6 <= float(at) <= float(values.max()) + 1e-3
            near = (grid - float(location[index])).abs() < 0.02
            # Never below its surroundings by more than the last step's length.
            assert float(values[near].max()) - float(at) < 0.05


def test_a_bracket_on_simulated_strings_holds_the_numerical_integral():
    model = native(made())
    ends = bracket(model, 8, Annealing(steps=20, chains=8), seeded(5))
    data, _ = model.simulate(8, seeded(5))
    expected = integral(model, data)
    assert set(data.y.unique().tolist()) == {0.0, 1.0}
    assert float((ends.lower - expected).mean()) < 0.05
    assert float((ends.upper - expected).mean()) > -0.05
    assert float(ends.gap.mean()) < 0.5


def scorer(objective: Objective, **changes: Any) -> LikelihoodScorer:
    settings = LikelihoodSettings(
        **{"images": 6, "samples": 2000, "k_images": 0, "annealing_images": 0} | changes
    )
    return LikelihoodScorer(objective, stored(), stored().flip(0), settings, 0, None)


def wide(objective: Objective) -> Density:
    density = build_density("gaussian")
    with torch.no_grad():
        density.fit(objective.encode(observed(objective).x), 0)
    return density


@pytest.mark.parametrize("name", ["vae", "rae"])
def test_a_density_completes_the_decoder_s_own_distribution(name):
    objective = made(name)
    density = wide(objective)
    scores = {s.metric: s for s in scorer(objective).completed("gaussian", density)}
    data = observed(objective).part(0, 6)
    grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    # On a grid in the density's own scale, which may be far from 1.
    mean, deviation = density.mean, density.covariance.sqrt()[0]
    z = (mean + deviation * grid)[:, None]
    with torch.no_grad():
        log_prior = density.log_prob(z)
        decoded = objective.decode(z.float())
        expected = [
            -objective.space.distortion(y.expand_as(decoded), decoded).double() + log_prior
            for y in data.y
        ]
    step = math.log(float(grid[1] - grid[0]) * float(deviation))
    found = float((torch.stack(expected).logsumexp(1) + step).mean())
    score = scores["log_prob"]
    assert (score.kind, score.model, score.density) == ("lower bound", "completed", "gaussian")
    assert score.value == pytest.approx(found, abs=0.02)
    assert score.trusted == "yes"
    assert scores["bits_per_dim"].status == "not applicable"


def test_the_released_loss_has_no_likelihood_and_says_so():
    for name in ("vae", "rae"):
        objective = made(name, space="sequence-released")
        assert scorer(objective).native() == []
        for score in scorer(objective).completed("gaussian", wide(objective)):
            assert (score.value, score.status) == (None, "not applicable")
            assert "no distribution over strings" in score.reason


def test_the_native_scores_of_a_vae_have_their_kind_and_annealing_beside_them():
    scores = scorer(
        made(latent_dim=2),
        samples=200,
        annealing_images=2,
        simulated_images=2,
        annealing=Annealing(steps=5, chains=2, budget=1),
    ).native()
    named = {score.metric: score for score in scores}
    assert named["log_prob"].kind == named["log_prob_annealed"].kind == "lower bound"
    assert named["log_prob"].ess_median and named["log_prob"].value < 0
    assert named["bits_per_dim"].value is None
    assert named["bracket_gap"].value is not None

"""Annealed importance sampling and the bracket of bidirectional Monte Carlo."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.errors import RunFailed
from aebench.bench.likelihood import annealing_path
from aebench.bench.likelihood.annealing import annealed_bound, bracket
from aebench.bench.likelihood.annealing_path import Annealing
from aebench.bench.likelihood.annealing_path import Path as AnnealingPath
from aebench.bench.likelihood.completion import completed
from aebench.bench.likelihood.model import LatentModel, Observed, native, observe
from aebench.models.densities.density import build_density
from torch import Tensor
from torch.distributions import Independent, Normal

pytestmark = pytest.mark.sensitive
LINEAR = runpy.run_path(str(Path(__file__).parent / "linear_gaussian.py"))
DATA, TRUTH = LINEAR["DATA"], LINEAR["TRUTH"]
# A start so wide that a coarse path cannot bridge it.
FAR = 20.0


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def settings(**changes: Any) -> Annealing:
    return Annealing(**{"steps": 40, "chains": 8, "leapfrog": 4} | changes)


def completed_autoencoder() -> LatentModel:
    objective = LINEAR["objective_at_truth"]("rae-l2")
    density = build_density("gaussian")
    # The codes' density and the noise of the truth, so that the truth is the closed form.
    density.fit(torch.randn(4000, 2, generator=seeded()), 0)
    density.mean, density.covariance = torch.zeros(2).double(), torch.eye(2).double()
    return completed(objective, density, torch.full((1, 1, 6), TRUTH.sigma))


def models() -> dict[str, LatentModel]:
    names = ("vae", "vae-iaf", "aef-linear")
    made = {name: native(LINEAR["objective_at_truth"](name)) for name in names}
    return {**made, "rae-l2 completed": completed_autoencoder()}


MODELS = models()


@pytest.mark.parametrize("name", MODELS)
def test_the_annealed_bound_is_within_three_errors_of_the_closed_form(name):
    model = MODELS[name]
    data = observe(model.space, DATA.test[:60])
    result = annealed_bound(model, data, settings(), seeded())
    error = result.value - TRUTH.log_density(data.x)
    # The bound lies below by about half its variance.
    bias = result.stderr.square().mean() / 2
    stderr = result.stderr.square().sum().sqrt() / len(error)
    assert abs(float(error.mean() + bias)) < 3 * float(stderr) + 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_the_bracket_contains_the_closed_form(name):
    model = MODELS[name]
    count = 40
    ends = bracket(model, count, settings(), seeded(3))
    data, _ = model.simulate(count, seeded(3))
    exact = TRUTH.log_density(data.y)
    below, above = exact - ends.lower, ends.upper - exact
    for side in (below, above):
        assert float(side.mean()) > -3 * float(side.std()) / count**0.5
    assert float(ends.gap.mean()) < 0.1


def test_a_coarse_path_gives_a_wide_bracket_around_the_truth(monkeypatch):
    monkeypatch.setattr(annealing_path, "START_WIDTH", FAR)
    model = MODELS["vae"]
    rough = Annealing(steps=1, chains=1, leapfrog=1)
    ends = bracket(model, 100, rough, seeded(1))
    exact = TRUTH.log_density(model.simulate(100, seeded(1))[0].y)
    assert float(ends.lower.mean()) < float(exact.mean()) - 0.5
    assert float(ends.upper.mean()) > float(exact.mean()) + 0.5


def test_the_bracket_closes_as_the_path_gets_finer(monkeypatch):
    monkeypatch.setattr(annealing_path, "START_WIDTH", FAR)
    model = MODELS["vae"]
    gaps = [
        float(bracket(model, 60, settings(steps=steps), seeded(2)).gap.mean()) for steps in (2, 60)
    ]
    assert gaps[0] > 3 * abs(gaps[1])


def test_the_bracket_contains_the_quadrature_of_a_nonlinear_decoder():
    truth = load_dataset("decoder-images").truth
    first = [t.float() for t in truth.first]
    second = [t.float() for t in truth.second]

    def observation(z: Tensor) -> Independent:
        hidden = torch.tanh(z @ first[0].T + first[1])
        mean = torch.sigmoid(hidden @ second[0].T + second[1]).unflatten(1, (1, 4, 4))
        return Independent(Normal(mean, truth.sigma, validate_args=False), 3)

    linear = LINEAR["linear_model"](torch.zeros(16, 2), torch.zeros(16), 1.0, (1, 4, 4))
    model = LatentModel(**{**vars(linear), "observation": observation})
    ends = bracket(model, 30, settings(), seeded())
    exact = truth.log_density(model.simulate(30, seeded())[0].y)
    assert float((exact - ends.lower).mean()) > -0.05
    assert float((ends.upper - exact).mean()) > -0.05
    assert float(ends.gap.mean()) < 0.5


def test_the_transitions_leave_the_posterior_as_it_is():
    model = MODELS["vae"]
    data = observe(model.space, DATA.test[:3])
    path = AnnealingPath.prepare(model, data, settings(chains=4000), seeded())
    covariance = LINEAR["POSTERIOR_COVARIANCE"]
    mean = LINEAR["posterior_mean"](data.x)
    noise = torch.randn(4000, 3, 2, generator=seeded(1), dtype=torch.float64)
    exact = (mean + noise @ torch.linalg.cholesky(covariance).T).float()
    point, generator = path.evaluate(exact), seeded(2)
    for _ in range(5):
        point, accepted = path.transition(point, 1.0, torch.full((3,), 0.9), generator)
    assert 0.5 < float(accepted.mean()) < 0.999
    moved = point.z.double()
    torch.testing.assert_close(moved.mean(0), mean, rtol=0, atol=0.02)
    centred = moved - moved.mean(0)
    spread = torch.einsum("kbi,kbj->bij", centred, centred) / len(centred)
    torch.testing.assert_close(spread, covariance.expand(3, 2, 2), rtol=0, atol=0.02)


def test_the_log_determinant_of_the_space_is_part_of_the_bound():
    model = MODELS["vae"]
    data = observe(model.space, DATA.test[:4])
    shifted = Observed(data.x, data.y, data.log_det + 3)
    plain, more = (
        annealed_bound(model, d, settings(steps=5), seeded()).value for d in (data, shifted)
    )
    torch.testing.assert_close(more, plain + 3)


def test_no_simulated_data_is_refused():
    with pytest.raises(ValueError, match="'count' is 0; expected at least 1"):
        bracket(MODELS["vae"], 0, settings(), seeded())


def test_data_that_is_not_a_number_fails_with_the_image():
    model = MODELS["vae"]
    data = observe(model.space, DATA.test[:4])
    broken = Observed(data.x, data.y, data.log_det.clone())
    broken.log_det[2] = float("nan")
    with pytest.raises(RunFailed, match="image 2 is nan; expected a finite number"):
        annealed_bound(model, broken, settings(steps=2), seeded())


def test_the_mean_acceptance_counts_every_image_once(monkeypatch):
    def forward(self, generator, *, adapt=False):
        # Of parts of two, two and one image the last alone accepts.
        return torch.zeros(2, len(self.data)), float(len(self.data) == 1)

    monkeypatch.setattr(AnnealingPath, "forward", forward)
    monkeypatch.setattr(AnnealingPath, "reverse", lambda self, z, _: torch.zeros(2, len(z)))
    model, path = MODELS["vae"], settings(steps=2, chains=2)
    data = observe(model.space, DATA.test[:5])
    assert annealed_bound(model, data, path, seeded(), chunk=4).acceptance == pytest.approx(0.2)
    assert bracket(model, 5, path, seeded(), chunk=4).acceptance == pytest.approx(0.2)

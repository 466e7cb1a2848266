"""The likelihood scores of a trained objective, as rows see them."""

from __future__ import annotations

import dataclasses
import math
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from aebench.bench.likelihood.annealing import Annealed
from aebench.bench.likelihood.annealing_path import Annealing
from aebench.bench.likelihood.importance import Bound, Choice
from aebench.bench.likelihood.scorer import LikelihoodScorer, LikelihoodSettings
from aebench.bench.likelihood.scores import (
    LikelihoodScore,
    bound_scores,
    doubt_of_annealing,
    log_prob_scores,
    warning,
)
from aebench.bench.records.rows import COLUMNS
from aebench.models import build
from aebench.models.densities.density import build_density

pytestmark = pytest.mark.sensitive
LINEAR = runpy.run_path(str(Path(__file__).parent / "linear_gaussian.py"))
DATA, TRUTH = LINEAR["DATA"], LINEAR["TRUTH"]
SMALL = LikelihoodSettings(
    images=100,
    samples=200,
    k_images=30,
    k_samples=1000,
    annealing_images=30,
    simulated_images=20,
    annealing=Annealing(steps=20, chains=4, leapfrog=3),
    tuning_images=32,
    noise_images=200,
)
# Without annealing and second bound.
PLAIN = dataclasses.replace(SMALL, k_images=0, annealing_images=0, simulated_images=0)


def likelihood_scores(objective, *, test, validation, densities, settings, seed, dims):
    """Returns all scores of an objective: its own, then completed by each density."""
    scorer = LikelihoodScorer(objective, test, validation, settings, seed, dims)
    scores = scorer.native()
    for name, density in densities.items():
        if scorer.completes(name):
            scores += scorer.completed(name, density)
    return scores


def scores_at_truth(
    name: str, settings: LikelihoodSettings = SMALL, densities: tuple[str, ...] = ()
) -> list[LikelihoodScore]:
    objective = LINEAR["objective_at_truth"](name)
    fitted = {}
    for density in densities:
        fitted[density] = build_density(density)
        with torch.no_grad():
            fitted[density].fit(objective.encode(DATA.train), 0)
    return likelihood_scores(
        objective,
        test=DATA.test,
        validation=DATA.validation,
        densities=fitted,
        settings=settings,
        seed=0,
        dims=None,
    )


def image_scores(
    name: str, dims: int | None = 64, k_images: int = 0, **options: Any
) -> list[LikelihoodScore]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (90, 1, 8, 8), generator=generator, dtype=torch.uint8)
    objective = build(name, backbone="tiny", image_shape=(1, 8, 8), latent_dim=2, **options)
    with torch.no_grad():
        objective.initialise(objective.space.prepare(pixels[:50], generator), generator)
    settings = dataclasses.replace(
        PLAIN, images=20, samples=50, k_images=k_images, tuning_images=8
    )
    return likelihood_scores(
        objective,
        test=pixels[:40],
        validation=pixels[40:],
        densities={},
        settings=settings,
        seed=0,
        dims=dims,
    )


@pytest.mark.parametrize("name", ["vae", "aef-linear"])
def test_a_native_bound_has_its_kind_its_k_and_the_truth_within_its_error(name):
    scores = scores_at_truth(name)
    exact = TRUTH.log_density(DATA.test[:100])
    wide, deep = (s for s in scores if s.metric == "log_prob")
    for score, samples, count in ((wide, 200, 100), (deep, 1000, 30)):
        assert (score.kind, score.model, score.samples_k) == ("lower bound", "native", samples)
        assert score.n_real == count
        assert score.reason == ""
        assert score.value == pytest.approx(float(exact[:count].mean()), abs=0.01)
        assert score.stderr == pytest.approx(float(exact[:count].std()) / count**0.5, rel=0.02)
    annealed = next(s for s in scores if s.metric == "log_prob_annealed")
    assert annealed.value == pytest.approx(float(exact[:30].mean()), abs=0.1)
    gap = next(s for s in scores if s.metric == "bracket_gap")
    assert abs(gap.value or math.nan) < 0.3
    assert gap.kind == ""
    assert gap.n_generated == 20


def test_a_second_estimate_of_more_images_leaves_the_first_as_it_is():
    more = dataclasses.replace(PLAIN, images=20, k_images=100, k_samples=32)
    alone = scores_at_truth("vae", dataclasses.replace(PLAIN, images=20))
    both = scores_at_truth("vae", more)
    assert [(s.metric, s.value) for s in both[: len(alone)]] == [
        (s.metric, s.value) for s in alone
    ]
    second = next(s for s in both[len(alone) :] if s.metric == "log_prob")
    exact = TRUTH.log_density(DATA.test[:100])
    assert (second.n_real, second.samples_k) == (100, 32)
    assert second.value == pytest.approx(float(exact.mean()), abs=0.02)
    partition = [image_scores("aef-center", space="logit", k_images=count) for count in (0, 40)]
    assert [s.value for s in partition[0]] == [s.value for s in partition[1]]


def test_every_score_fits_the_columns_of_a_result_row():
    for score in scores_at_truth("vae"):
        assert set(score.columns()) <= set(COLUMNS)
        assert score.status == "ok" or score.reason


def test_an_autoencoder_has_only_completed_likelihoods_one_for_each_density():
    scores = scores_at_truth("rae-l2", PLAIN, ("gaussian", "gmm-2"))
    bounds = [s for s in scores if s.metric == "log_prob"]
    assert [(s.model, s.density, s.kind) for s in bounds] == [
        ("completed", "gaussian", "lower bound"),
        ("completed", "gmm-2", "lower bound"),
    ]
    exact = float(TRUTH.log_density(DATA.test[:100]).mean())
    assert all(abs(s.value - exact) < 0.2 for s in bounds)


def test_a_bounded_objective_is_completed_by_fitted_densities_but_not_by_its_own_prior():
    scores = scores_at_truth("vae", PLAIN, ("prior", "gaussian"))
    bounds = [(s.model, s.density) for s in scores if s.metric == "log_prob"]
    assert bounds == [("native", ""), ("completed", "gaussian")]


def test_a_density_without_closed_form_gives_a_reason_and_no_value():
    objective = LINEAR["objective_at_truth"]("rae-l2")
    scores = likelihood_scores(
        objective,
        test=DATA.test,
        validation=DATA.validation,
        densities={"second-stage": build_density("second-stage")},
        settings=PLAIN,
        seed=0,
        dims=None,
    )
    assert [s.metric for s in scores] == ["log_prob", "bits_per_dim"]
    assert {s.status for s in scores} == {"not applicable"}
    assert "'second-stage' has no log density in closed form" in scores[0].reason


def test_a_model_whose_prior_has_no_density_has_no_native_likelihood():
    scores = image_scores("2svae")
    assert {(s.status, s.value) for s in scores} == {("not applicable", None)}


def test_an_exact_likelihood_is_the_objectives_own_at_the_same_dequantised_images():
    scores = image_scores("aef-center")
    nats, bits = scores
    assert (nats.kind, nats.samples_k, nats.n_real) == ("exact", None, 20)
    assert bits.value == pytest.approx(-nats.value / (64 * math.log(2)) + 8)


def test_scores_repeat_exactly():
    assert image_scores("vae") == image_scores("vae")


def test_bits_per_dimension_are_eight_for_the_uniform_density_on_the_unit_cube():
    nats, bits = log_prob_scores(torch.zeros(4), 784, kind="exact")
    assert (nats.value, nats.stderr, nats.unit) == (0.0, 0.0, "nats per image")
    assert (bits.value, bits.unit, bits.better) == (8.0, "bits per dimension", "lower")


def test_a_padded_view_or_a_vector_has_no_bits_per_dimension():
    scores = [s for s in image_scores("vae", dims=None) if s.metric == "bits_per_dim"]
    assert [(s.value, s.status) for s in scores] == [(None, "not applicable")]
    assert "native view" in scores[0].reason


def bound_with(ess: torch.Tensor) -> Bound:
    zeros = torch.zeros(len(ess), dtype=torch.float64)
    return Bound(zeros, zeros + 0.1, ess.double(), zeros - 0.5, 500)


def test_a_small_effective_sample_size_is_said_in_the_row():
    few = torch.cat([torch.full((90,), 200.0), torch.full((10,), 2.0)])
    assert "below 10 on 10% of the images" in warning(bound_with(few))
    assert "20 in the median" in warning(bound_with(torch.full((100,), 20.0)))
    assert warning(bound_with(torch.full((100,), 200.0))) == ""


def test_the_diagnostics_of_a_bound_have_known_values():
    ess = torch.arange(6.0, 106.0)
    scores = bound_scores(bound_with(ess), Choice("mode", 2.0, 0.0), None)
    values = {s.metric: s.value for s in scores}
    assert values["ess_below_10"] == pytest.approx(0.04)
    assert values["ess_5_percent"] == pytest.approx(10.95)
    assert values["log_prob_monte_carlo_error"] == pytest.approx(0.01)
    assert values["log_prob_gain_from_half"] == pytest.approx(0.5)
    assert values["proposal_scale"] == 2.0


def test_an_estimate_of_few_effective_samples_is_not_trusted_and_has_no_error_of_any_kind():
    bound = dataclasses.replace(
        bound_with(torch.full((100,), 1.5)), value=torch.randn(100).double()
    )
    scores = {s.metric: s for s in bound_scores(bound, Choice("encoder", 1.0, 0.0), 64)}
    for name in ("log_prob", "bits_per_dim", "log_prob_gain_from_half"):
        assert scores[name].trusted == "no"
        assert scores[name].value is not None and scores[name].stderr is None
    noise = scores["log_prob_monte_carlo_error"]
    assert (noise.value, noise.status) == (None, "not applicable")
    assert "Effective sample size 1.5" in noise.reason
    good = bound_scores(bound_with(torch.full((100,), 200.0)), Choice("mode", 1.0, 0.0), 64)
    assert all(s.trusted == "yes" for s in good if s.metric.startswith(("log_prob", "bits")))
    assert all(s.trusted == "" for s in image_scores("aef-corner") if s.kind == "exact")


def coarse(
    monkeypatch: pytest.MonkeyPatch, budget: int, simulated: int = 20
) -> dict[str, LikelihoodScore]:
    """Returns the scores of a referee whose path of 2 temperatures starts far too wide."""
    monkeypatch.setattr("aebench.bench.likelihood.annealing_path.START_WIDTH", 20.0)
    path = Annealing(steps=2, chains=4, leapfrog=3, budget=budget)
    settings = dataclasses.replace(SMALL, k_images=0, annealing=path, simulated_images=simulated)
    return {s.metric: s for s in scores_at_truth("vae", settings)}


def test_annealing_takes_more_temperatures_until_its_bracket_closes(monkeypatch):
    scores = coarse(monkeypatch, 64)
    steps = scores["annealing_steps"].value
    assert steps is not None and 2 < steps <= 128
    assert scores["bracket_gap"].value < 1
    assert scores["log_prob_annealed"].trusted == scores["bracket_gap"].trusted == "yes"
    exact = float(TRUTH.log_density(DATA.test[:30]).mean())
    assert scores["log_prob_annealed"].value == pytest.approx(exact, abs=0.5)


def test_annealing_without_simulated_data_is_trusted_once_it_reaches_the_bound(monkeypatch):
    scores = coarse(monkeypatch, 64, simulated=0)
    assert scores["annealing_steps"].value > 2
    assert scores["log_prob_annealed"].trusted == "yes" and "bracket_gap" not in scores


def test_a_referee_whose_budget_is_spent_says_so_and_is_not_trusted(monkeypatch):
    scores = coarse(monkeypatch, 1)
    assert scores["annealing_steps"].value == 2
    for name in ("log_prob_annealed", "log_prob_gain_from_annealing", "bracket_gap"):
        assert (scores[name].trusted, scores[name].stderr) == ("no", None)
        assert "nats wide with 2 temperatures; expected below 1" in scores[name].reason
    assert scores["log_prob"].trusted == "yes"


def test_annealing_that_ends_below_the_bound_it_judges_is_doubted():
    bound = bound_with(torch.full((50,), 200.0))
    noise = torch.linspace(-1, 1, 50).double()
    path = Annealing(steps=7)
    for shift, doubted in ((-2.0, True), (-0.1, False), (2.0, False)):
        result = Annealed(noise + shift, bound.stderr, bound.ess, 0.7)
        assert bool(doubt_of_annealing(result, bound, path)) == doubted
    result = Annealed(noise - 2, bound.stderr, bound.ess, 0.7)
    assert "2 nats below the importance bound with 7" in doubt_of_annealing(result, bound, path)


def test_the_referee_judges_the_bound_of_the_most_draws():
    path = Annealing(steps=5, chains=2, leapfrog=2)
    settings = dataclasses.replace(
        SMALL, k_images=100, k_samples=4, annealing_images=10, simulated_images=0, annealing=path
    )
    scores = scores_at_truth("vae", settings)
    each = {(s.metric, s.samples_k): s.each for s in scores if s.each is not None}
    annealed, bound = each["log_prob_annealed", 2], each["log_prob", 200]
    (gain,) = [s for s in scores if s.metric == "log_prob_gain_from_annealing"]
    assert gain.value == pytest.approx(float((annealed - bound[:10]).mean()))

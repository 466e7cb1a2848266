"""Bayesian optimisation from end to end, with no model: codes in two dimensions."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import logging
from pathlib import Path

import pytest
import torch
from aebench.bench.errors import RunFailed, UserError
from aebench.bench.interruption import Stopped
from aebench.bench.optimisation import search as module
from aebench.bench.optimisation.candidates import Candidates, Problem, judged
from aebench.bench.optimisation.merits import best_strings, mean_score, merits
from aebench.bench.optimisation.search import search, search_at_random
from aebench.bench.optimisation.surrogate import check_installed
from aebench.bench.suites.config import Optimisation

SETTINGS = Optimisation(
    trials=2, rounds=3, batch=6, codes=150, inducing=12, steps=30, minibatch=40, decodes=3
)
WORST = 50.0
PACKAGE = "aebench.bench.optimisation"


def draw(codes, generator):
    """Writes a code down to one digit after the point, with a little noise."""
    noisy = codes + 0.02 * torch.randn(codes.shape, generator=generator)
    return [f"{float(x):.1f} {float(y):.1f}" for x, y in noisy]


def judge(texts):
    """Scores the squared distance from (2, -1); what lies right of 3 is invalid."""
    points = [tuple(map(float, text.split())) for text in texts]
    return [x < 3 for x, _ in points], [(x - 2) ** 2 + (y + 1) ** 2 for x, y in points]


def problem(**changes):
    codes = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    codes = torch.cat([codes, torch.tensor([[3.3, 0.0], [0.0, -3.0]])])
    scores = torch.tensor([(float(x) - 2) ** 2 + (float(y) + 1) ** 2 for x, y in codes])
    texts = frozenset(f"{float(x):.1f} {float(y):.1f}" for x, y in codes)
    return dataclasses.replace(Problem(codes, scores, draw, judge, WORST, texts), **changes)


def equal(first, second):
    return all(
        a.texts == b.texts
        and a.rounds == b.rounds
        and all(
            torch.equal(getattr(a, name), getattr(b, name))
            for name in ("codes", "scores", "valid", "single_valid", "known")
        )
        for a, b in zip(first, second, strict=True)
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return search(problem(), SETTINGS, seed=0, folder=tmp_path_factory.mktemp("search"))


def test_the_search_finds_better_strings_than_random_draws(found, tmp_path):
    random = search_at_random(problem(), SETTINGS, seed=0, folder=tmp_path)
    assert [len(t.texts) for t in (*found, *random)] == [18] * 4
    assert merits(found)["best_1"].value < 0.3 < merits(random)["best_1"].value
    searched, drawn = (torch.cat([t.scores for t in trials]) for trials in (found, random))
    assert searched.median() < 0.5 * drawn.median()
    for trial in found:
        assert all(len(batch.unique(dim=0)) == 6 for batch in trial.codes.split(6))
        codes = problem().codes
        assert (trial.codes >= codes.amin(0)).all() and (trial.codes <= codes.amax(0)).all()
        for told in trial.rounds:
            assert told["explained"] > 0.5 and told["incumbent"] < problem().scores.median()


def test_random_draws_follow_the_gaussian_of_the_codes_and_go_on_in_each_round(tmp_path):
    settings = dataclasses.replace(SETTINGS, rounds=4, batch=250, trials=1, decodes=1)
    [drawn] = search_at_random(problem(), settings, seed=0, folder=tmp_path)
    codes = problem().codes
    error = codes.std(0) / 1000**0.5
    assert ((drawn.codes.mean(0) - codes.mean(0)).abs() < 5 * error).all()
    assert torch.allclose(drawn.codes.T.cov(), codes.T.cov(), atol=0.2)
    assert len(drawn.codes.unique(dim=0)) == 1000


def test_every_candidate_is_told_as_it_was_judged(found):
    for trial in found:
        assert trial.codes.dtype == torch.float32
        for text, valid, score, known in zip(
            trial.texts, trial.valid, trial.scores, trial.known, strict=True
        ):
            assert bool(known) == (text in problem().training)
            if valid:
                assert float(score) == judge([text])[1][0] and judge([text])[0][0]
            else:
                assert text == "" and float(score) == WORST


def test_trials_and_seeds_differ(found, tmp_path):
    assert not torch.equal(found[0].codes, found[1].codes)
    one = dataclasses.replace(SETTINGS, trials=1)
    [other] = search(problem(), one, seed=1, folder=tmp_path)
    assert not torch.equal(other.codes, found[0].codes)


def test_a_seed_repeats_a_search_and_more_trials_leave_the_first_as_it_is(found, tmp_path):
    one = dataclasses.replace(SETTINGS, trials=1)
    assert equal(search(problem(), one, seed=0, folder=tmp_path), found[:1])
    assert equal(search(problem(), SETTINGS, seed=0, folder=tmp_path), found)


@pytest.mark.parametrize("kind", [search, search_at_random])
def test_more_rounds_go_on_from_those_that_there_are_and_fewer_are_the_first(kind, tmp_path):
    counts = []

    def counting(codes, generator):
        counts.append(len(codes))
        return draw(codes, generator)

    def trials(folder, rounds):
        settings = dataclasses.replace(SETTINGS, trials=1, rounds=rounds)
        counts.clear()
        return kind(problem(draw=counting), settings, seed=0, folder=tmp_path / folder)

    two, three = trials("two", 2), trials("three", 3)
    assert equal(trials("two", 3), three) and len(counts) == SETTINGS.decodes
    assert equal(trials("two", 2), two) and not counts


def test_the_order_of_the_codes_does_not_matter(found, tmp_path):
    given = problem()
    order = torch.randperm(len(given.codes), generator=torch.Generator().manual_seed(3))
    shuffled = problem(codes=given.codes[order], scores=given.scores[order])
    assert equal(search(shuffled, SETTINGS, seed=0, folder=tmp_path), found)
    first = search_at_random(given, SETTINGS, seed=0, folder=tmp_path / "first")
    assert equal(search_at_random(shuffled, SETTINGS, seed=0, folder=tmp_path / "b"), first)


def test_the_count_of_threads_does_not_matter_and_is_left_as_it_was(found, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = search(problem(), SETTINGS, seed=0, folder=tmp_path)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert equal(again, found)


@pytest.mark.parametrize("kind", [pytest.param(search, marks=pytest.mark.long), search_at_random])
def test_a_search_stopped_after_any_round_ends_with_the_same_candidates(kind, tmp_path):
    whole = kind(problem(), SETTINGS, seed=0, folder=tmp_path / "whole")
    decoded = []
    stops = {3, 7, 13}  # Three decodes a round: between rounds, in one, in a later trial.

    def stopping(codes, generator):
        if len(decoded) in stops:
            raise Stopped
        decoded.append(codes)
        return draw(codes, generator)

    def go_on():
        return kind(problem(draw=stopping), SETTINGS, seed=0, folder=tmp_path / "parts")

    while stops:
        with pytest.raises(Stopped):
            go_on()
        stops.remove(len(decoded))
    assert equal(go_on(), whole)
    done = len(decoded)
    assert equal(go_on(), whole) and len(decoded) == done  # What is finished is read.


CHANGES = {
    "seed": ({}, {"seed": 1}),
    "score": ({"scores": problem().scores + 1}, {}),
    "code": ({"codes": problem().codes * 2}, {}),
    "worst": ({"worst": 49.0}, {}),
    "training": ({"training": frozenset()}, {}),
    "identity": ({"identity": "other weights"}, {}),
    "settings": ({}, {"settings": dataclasses.replace(SETTINGS, trials=1, decodes=4)}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_rounds_of_another_search_are_not_used(change, tmp_path, caplog):
    first = {"settings": dataclasses.replace(SETTINGS, trials=1), "seed": 0}
    search_at_random(problem(), folder=tmp_path, **first)
    changes, others = CHANGES[change]
    fresh = search_at_random(problem(**changes), folder=tmp_path / "b", **{**first, **others})
    with caplog.at_level(logging.WARNING):
        again = search_at_random(problem(**changes), folder=tmp_path, **{**first, **others})
    assert "the search starts again" in caplog.text and equal(again, fresh)


@pytest.mark.parametrize("library", ["rdkit", "networkx"])
def test_rounds_depend_on_the_versions_of_what_judges_molecules(library, monkeypatch):
    monkeypatch.setattr(module, "version", lambda name: "1")
    before = module._identity(problem(), SETTINGS, 0)
    monkeypatch.setattr(module, "version", lambda name: "2" if name == library else "1")
    assert module._identity(problem(), SETTINGS, 0) != before


def test_a_damaged_file_of_rounds_is_told_and_searched_again(found, tmp_path, caplog):
    whole = search_at_random(problem(), SETTINGS, seed=0, folder=tmp_path)
    path = tmp_path / "random-1.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING):
        again = search_at_random(problem(), SETTINGS, seed=0, folder=tmp_path)
    assert "random-1.safetensors" in caplog.text and equal(again, whole)


def test_progress_is_told_and_a_stop_is_heeded_between_proposals(tmp_path, monkeypatch):
    told = []
    search(problem(), SETTINGS, seed=0, folder=tmp_path / "whole", report=told.append)
    assert "bayesian trial 2 of 2, round 3: proposal 6 of 6" in told

    def stop(text):
        if "proposal 2" in text:
            monkeypatch.setattr(f"{PACKAGE}.acquisition.check_stop", _raise_stopped)

    with pytest.raises(Stopped):
        search(problem(), SETTINGS, seed=0, folder=tmp_path / "stopped", report=stop)


def _raise_stopped():
    raise Stopped


@pytest.mark.parametrize(
    ("drawn", "text", "valid", "single"),
    [
        (["b", "a", "b"], "b", True, True),
        (["b", "a", "c"], "a", True, True),  # As frequent as the others: the first.
        (["!", "!", "c"], "c", True, False),  # The most frequent one is invalid.
        (["", "", "a"], "a", True, False),
        (["!", "!!", "!"], "", False, False),
        (["c", "!", "!"], "c", True, True),
    ],
)
def test_the_most_frequent_valid_string_of_a_code_counts(drawn, text, valid, single):
    turns = iter(drawn)
    scores = {"a": 1.0, "b": 2.0, "c": 3.0}
    given = problem(
        draw=lambda codes, generator: [next(turns)] * len(codes),
        judge=lambda texts: (
            [not t.startswith("!") for t in texts],
            [scores.get(t, float("nan")) for t in texts],
        ),
        training=frozenset("a"),
    )
    found = judged(given, given.codes[:2], 3, torch.Generator(), {})
    assert found.texts == (text, text) and found.valid.tolist() == [valid] * 2
    assert found.single_valid.tolist() == [single] * 2
    assert found.scores.tolist() == [scores.get(text, WORST)] * 2
    assert found.known.tolist() == [text == "a"] * 2


def test_what_is_wrong_with_codes_scores_and_strings_is_told_in_a_line(tmp_path):
    bad = problem().codes.clone()
    bad[17, 1] = float("nan")
    kwargs = {"settings": SETTINGS, "seed": 0, "folder": tmp_path}
    for kind in (search, search_at_random):
        with pytest.raises(RunFailed, match="Latent code 17 is nan in dimension 1"):
            kind(problem(codes=bad), **kwargs)
        scores = problem().scores.clone()
        scores[5] = float("inf")
        with pytest.raises(UserError, match="training string 5 is inf"):
            kind(problem(scores=scores), **kwargs)
        with pytest.raises(UserError, match=r"\(202, 2\) and scores \(7,\)"):
            kind(problem(scores=scores[:7]), **kwargs)
        unscored = problem(judge=lambda texts: ([True] * len(texts), [float("nan")] * len(texts)))
        with pytest.raises(RunFailed, match="which is valid, is nan"):
            kind(unscored, **kwargs)
        with pytest.raises(RunFailed, match="6 codes were decoded to 1 strings"):
            kind(problem(draw=lambda codes, generator: ["0 0"]), **kwargs)
    few = problem(codes=problem().codes[:12], scores=problem().scores[:12])
    with pytest.raises(UserError, match="12 inducing points cannot be fitted to 11 codes"):
        search(few, **kwargs)


def test_without_botorch_the_extra_is_named(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "botorch" else find(n, *a)
    )
    for check in (
        check_installed,
        lambda: search(problem(), SETTINGS, seed=0, folder=tmp_path),
    ):
        with pytest.raises(UserError, match=r"'botorch'.*pip install aebench\[structured\]"):
            check()


def test_botorch_is_imported_only_inside_functions():
    for name in ("acquisition", "candidates", "merits", "search", "state", "surface", "surrogate"):
        source = Path(importlib.import_module(f"{PACKAGE}.{name}").__file__).read_text()
        at_the_top = [
            n for n in ast.parse(source).body if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        named = {getattr(n, "module", None) or n.names[0].name for n in at_the_top}
        heavy = {"botorch", "gpytorch", "linear_operator", "torch"}
        assert not {n.partition(".")[0] for n in named} & heavy


def trial(scores, texts, valid=None):
    count = len(scores)
    valid = [True] * count if valid is None else valid
    return Candidates(
        codes=torch.zeros(count, 1),
        texts=tuple(texts),
        valid=torch.tensor(valid),
        single_valid=torch.tensor([True, *[False] * (count - 1)]),
        scores=torch.tensor(scores, dtype=torch.float64),
        known=torch.tensor([text == "b" for text in texts]),
    )


def test_figures_of_merit_are_those_of_the_papers_table():
    first = trial([1.0, 3.0, 9.0, 9.0], ["a", "b", "", ""], [True, True, False, False])
    second = trial([5.0, 3.0, 2.0, 9.0], ["d", "b", "c", "e"])
    assert mean_score(first) == 2.0 and mean_score(second) == pytest.approx(10 / 3)
    found = merits([first, second])
    assert found["validity"].value == 0.75
    assert found["validity"].spread == pytest.approx(0.25 / 2**0.5)
    assert found["single_validity"].value == 0.25 and found["training_share"].value == 0.25
    assert found["mean_score"].value == pytest.approx(8 / 3)
    assert [found[f"best_{k}"].value for k in (1, 2, 3)] == [1.0, 2.0, 3.0]
    assert found["best_1"].spread is None and merits([first])["validity"].spread is None


def test_invalid_candidates_are_not_in_the_mean_score_where_a_valid_one_is_worse():
    # An invalid molecule has the score of the worst training molecule, here 5.
    found = trial(
        [1.0, 3.0, 5.0, 5.0, 7.0], ["a", "b", "", "", "c"], [True, True, False, False, True]
    )
    assert mean_score(found) == 2.0


def test_the_best_strings_have_distinct_scores_and_the_first_by_its_letters_stands_for_all():
    first = trial([1.0, 1.0 + 1e-15, 0.0], ["b", "a", ""], [True, True, False])
    second = trial([1.0, 4.0, 4.0], ["b", "z", "y"])
    assert best_strings([first, second]) == [("a", 1.0), ("y", 4.0)]
    found = merits([first, second])
    assert [found[f"best_{place}"].value for place in (1, 2, 3)] == [1.0, 4.0, None]


def test_a_trial_with_nothing_below_its_greatest_score_has_no_mean_score():
    empty = trial([9.0, 9.0], ["", ""], [False, False])
    assert mean_score(empty) is None
    found = merits([empty, trial([1.0, 2.0], ["a", "b"])])
    assert found["mean_score"].value is None and found["validity"].value == 0.5


def test_no_code_is_held_out_and_fitted_to():
    held_out, chosen = module._divide(202, dataclasses.replace(SETTINGS, codes=0), 0, "a trial")
    assert sorted([*held_out, *chosen]) == list(range(202)) and len(held_out) == 20
    held_out, chosen = module._divide(202, SETTINGS, 0, "a trial")
    assert len(chosen) == 150 and not set(held_out) & set(chosen)

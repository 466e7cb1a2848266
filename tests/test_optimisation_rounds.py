"""What the surrogate of each round of a search is fitted to, and judged on."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.optimisation import search as module
from aebench.bench.optimisation.surrogate import Surrogate

PLANTED = runpy.run_path(str(Path(__file__).with_name("test_optimisation.py")))
SETTINGS = dataclasses.replace(PLANTED["SETTINGS"], trials=1)


def judge_half(texts):
    """Finds every string invalid whose first number has an odd digit after the point."""
    _, scores = PLANTED["judge"](texts)
    return [text.split()[0][-1] in "02468" for text in texts], scores


def test_each_surrogate_is_fitted_to_the_training_codes_and_all_candidates_so_far(
    tmp_path, monkeypatch
):
    fitted = []
    fit = module.fit_surrogate

    def watch(codes, scores, *others):
        fitted.append((torch.from_numpy(codes), torch.from_numpy(scores)))
        return fit(codes, scores, *others)

    monkeypatch.setattr(module, "fit_surrogate", watch)
    problem = PLANTED["problem"](judge=judge_half)
    (found,) = module.search(problem, SETTINGS, seed=0, folder=tmp_path)
    assert [len(scores) for _, scores in fitted] == [150, 156, 162]
    known = {tuple(row) for row in torch.cat([problem.codes, problem.scores[:, None]], 1).tolist()}
    for turn, (codes, scores) in enumerate(fitted):
        rows = torch.cat([codes, scores[:, None]], 1).tolist()
        assert {tuple(row) for row in rows[:150]} <= known
        assert torch.equal(codes[150:], found.codes[: 6 * turn].double())
        assert torch.equal(scores[150:], found.scores[: 6 * turn])
    # What decoded to nothing valid is learned from, by the worst score.
    assert (fitted[-1][1][150:] == PLANTED["WORST"]).tolist() == (~found.valid[:12]).tolist()
    assert 0 < int(found.valid[:12].sum()) < 12


def test_each_surrogate_is_judged_on_codes_that_it_was_not_fitted_to(tmp_path, monkeypatch):
    fitted, judged = [], []
    fit, quality = module.fit_surrogate, Surrogate.quality

    def watch_fit(codes, *others):
        fitted.append(codes)
        return fit(codes, *others)

    def watch_quality(surrogate, codes, scores):
        judged.append((surrogate, codes, scores))
        return quality(surrogate, codes, scores)

    monkeypatch.setattr(module, "fit_surrogate", watch_fit)
    monkeypatch.setattr(Surrogate, "quality", watch_quality)
    problem = PLANTED["problem"]()
    settings = dataclasses.replace(SETTINGS, rounds=2, batch=1)
    (found,) = module.search(problem, settings, seed=0, folder=tmp_path)
    truth = {
        tuple(c): s for c, s in zip(problem.codes.tolist(), problem.scores.tolist(), strict=True)
    }
    assert len(fitted) == len(judged) == len(found.rounds) == 2
    for codes, (surrogate, held_out, scores), told in zip(
        fitted, judged, found.rounds, strict=True
    ):
        rows = set(map(tuple, held_out.tolist()))
        assert len(rows) == len(problem.codes) // 10
        assert rows.isdisjoint(map(tuple, codes.tolist()))
        assert scores.tolist() == [truth[tuple(row)] for row in held_out.tolist()]
        error = np.sqrt(np.mean((surrogate.surface.mean(held_out) - scores) ** 2))
        assert told["rmse"] == pytest.approx(error, rel=1e-12)

"""What the surrogate of each round of a search is fitted to."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import torch
from aebench.bench.optimisation import search as module

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

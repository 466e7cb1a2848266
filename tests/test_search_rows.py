"""The search over molecules seeks high scores, though what searches takes low ones for better."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from aebench.bench.evaluation.search_rows import Search
from aebench.bench.suites.config import Optimisation

# Penalised logP computed elsewhere, at equal distances on the line of codes.
KNOWN = runpy.run_path(str(Path(__file__).with_name("test_molecules.py")))["KNOWN"]
BEST, MIDDLE, WORST = TEXTS = ["CCCCCCCCCC", "c1ccccc1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C"]
NEAR = {"abs": 1e-3}


@pytest.fixture
def searched(tmp_path):
    """Returns a search on a line, on which the codes left of -1 decode to no molecule."""
    outputs = SimpleNamespace(
        form=SimpleNamespace(task="smiles"),
        settings=SimpleNamespace(
            optimisation=Optimisation(trials=1, rounds=1, batch=40, decodes=1)
        ),
        seed=0,
        training_texts=TEXTS,
        train_codes=torch.tensor([[-0.5], [0.5], [1.5]]),
        logits=lambda codes: codes,
        drawn=lambda logits, generator: logits,
        texts=lambda codes: [
            "C(" if x < -1 else TEXTS[min(int(x + 1), 2)] for x in codes[:, 0].tolist()
        ],
    )
    return Search(outputs, tmp_path, {"weights": "", "data": ""})


def test_what_searches_molecules_is_given_minus_their_scores(searched):
    problem = searched._problem
    assert problem.scores.tolist() == pytest.approx([-KNOWN[text] for text in TEXTS], **NEAR)
    assert problem.worst == pytest.approx(-KNOWN[WORST], **NEAR)
    valid, scores = problem.judge([MIDDLE, "C(", BEST])
    assert valid == [True, False, True]
    assert scores[::2] == pytest.approx([-KNOWN[MIDDLE], -KNOWN[BEST]], **NEAR)


def test_the_best_molecule_of_a_search_is_the_one_of_the_highest_score(searched):
    found = {score.metric: score for score in searched.scores("random", lambda told: None)}
    assert 0 < found["validity"].value < 1
    for name, text in zip(("best_1", "best_2", "best_3"), TEXTS, strict=True):
        assert (found[name].better, found[name].unit) == ("higher", "penalised logP")
        assert found[name].value == pytest.approx(KNOWN[text], **NEAR)

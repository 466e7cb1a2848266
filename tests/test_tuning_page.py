"""The page of a tuning says what its numbers are, and how far to believe them."""

from __future__ import annotations

import csv
import json
import runpy
from pathlib import Path

import pytest
from aebench.bench.suites.trials import Trials
from aebench.bench.tuning.page import page_text

TRIAL = runpy.run_path(str(Path(__file__).with_name("test_tune.py")))["trial"]


def page(*trials) -> str:
    return " ".join(page_text(Trials(Path("tuning.csv"), trials), ()).split())


def test_the_page_says_what_the_error_of_a_score_is_and_what_it_leaves_out():
    told = page(TRIAL(value=1076.31, stderr=7.31), TRIAL(1, value=1050.94, stderr=6.96))
    assert "| 1076.3 ± 7.3 prior | 1050.9 ± 7 prior |" in told
    assert "± is the standard error of that one score" in told
    assert "All trials of an objective share one seed" in told


@pytest.mark.parametrize(
    ("ends", "value", "near"),
    [
        ((-2.0, 2.0, False), -1.81, True),
        ((-2.0, 2.0, False), -1.79, False),
        ((-2.0, 2.0, False), 1.81, True),
        ((-2.0, 2.0, False), 1.79, False),
        # From 0.05 to 2 are 3.7 natural units: 5 % of them are a factor of 1.2.
        ((0.05, 2.0, True), 0.0555, True),
        ((0.05, 2.0, True), 0.065, False),
        ((0.05, 2.0, True), 1.7, True),
        ((0.05, 2.0, True), 1.6, False),
    ],
)
def test_a_chosen_value_near_an_end_of_its_range_is_marked(ends, value, near):
    ranges = json.dumps({"sigma": ends})
    best = TRIAL(1, value=4.0, options=json.dumps({"sigma": value}), ranges=ranges)
    told = page(TRIAL(value=5.0, ranges=ranges), best)
    assert (f"| sigma={value:g} (near an end of its range) |" in told) is near
    assert (f"| sigma={value:g} |" in told) is not near


def test_the_docs_name_what_tuned_rae_gp_loses_on_one_machine_and_across_two():
    root = Path(__file__).parents[1]
    path = root / "results" / "families-fashion-mnist-medium" / "results.csv"
    wanted = {"objective": "rae-gp", "metric": "fd", "images": "sample", "density": "gmm-10"}
    found = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if wanted.items() <= row.items():
                own = found.setdefault(int(row["seed"]), {})
                own["tuned" in row["variant"]] = float(row["value"]), row["device"]
    losses = {True: [], False: []}
    for own in found.values():
        losses[own[False][1] == own[True][1]].append(round(own[True][0] - own[False][0]))
    here, across = sorted(losses[True]), sorted(losses[False])
    told = " ".join((root / "docs" / "equal-care.md").read_text(encoding="utf-8").split())
    assert (len(here), len(across)) == (2, 3)
    assert f"the two on one machine lose {here[0]} and {here[1]} in FD" in told
    assert f"which compare a CPU with a GPU, lose {across[0]} to {across[-1]}" in told

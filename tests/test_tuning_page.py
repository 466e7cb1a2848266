"""The page of a tuning says what its numbers are, and how far to believe them."""

from __future__ import annotations

import runpy
from pathlib import Path

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

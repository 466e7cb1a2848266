"""A pytest fixture that trains a suite and fails where it got worse than a baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def aebench_guard(tmp_path: Path) -> Callable[..., str]:
    """Returns a function that carries out a suite and compares it with a baseline.

    It takes the suite, the baseline's folder, and the other arguments of `aebench.bench.run`. It
    returns the comparison as Markdown; where a score got worse or is missing, the test fails with
    it. Where a run failed, there is no comparison: the error is `run`'s own.
    """

    def guard(suite: Any, baseline: str | Path, **options: Any) -> str:  # noqa: ANN401
        from ..regression.check import check_baseline, read_pair
        from ..regression.outcome import render_outcome, render_sight
        from .running import run

        check_baseline(Path(baseline))  # Before the long work.
        out = options.pop("out", tmp_path / "aebench")
        run(suite, out=out, **options)
        pair = read_pair(Path(out), Path(baseline))
        outcome = pair.check()
        told = f"{render_sight(pair.trained)}\n{render_outcome(outcome)}"
        if outcome.is_regression:
            pytest.fail(told, pytrace=False)
        return told

    return guard

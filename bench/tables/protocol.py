"""Protocols that papers published, as packaged suites have them, and what share rows ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from ..comparison.labels import settings_of
from ..errors import UserError
from ..records.results import SETTINGS, Rows
from ..suites.config import Config
from ..suites.suite import load_suite
from ..suites.suite_files import read_suite_file, suite_names

PUBLISHED = "full"
# By what the published training like a row's is found, each where the suite has any like it.
ALIKE = ("dataset", "objective", "space")


@cache
def published_runs(suite: str) -> tuple[Config, ...]:
    """Returns the runs of a suite's published protocol, its full scale; none where it has none.

    Suites are packaged ones; of another suite nothing is known.
    """
    about = read_suite_file(suite)[1] if suite in suite_names() else {}
    if about.get("budget") or not about.get("paper"):
        return ()
    with suppress(UserError):
        return load_suite(suite, settings={"scale": PUBLISHED}).configs
    return ()


def published_share(rows: Rows, published: Sequence[Config]) -> str:
    """Returns the least and the most of the published examples that the runs saw, in per cent.

    Args:
        rows: Result rows.
        published: The published protocol, as `published_runs` gives it.

    Returns:
        Such as ``"25 to 100 %"``; empty where nothing is published, or the size of a batch is
        not on record.
    """
    unlike = trainings(rows)[[*ALIKE, SETTINGS, "steps"]].drop_duplicates().to_dict("records")
    batches = [settings_of(row[SETTINGS]).get("training", {}).get("batch_size") for row in unlike]
    if not published or None in batches:
        return ""
    shares = [
        100 * row["steps"] * batch / _published_examples(published, row)
        for row, batch in zip(unlike, batches, strict=True)
    ]
    low, high = (f"{end:.3g}" for end in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def trainings(rows: Rows) -> Rows:
    """Keeps trainings that did not diverge; all if all did."""
    known = rows[rows["status"] != "diverged"]
    return known if len(known) else rows


def _published_examples(published: Sequence[Config], row: Mapping[Any, Any]) -> int:
    """Returns how many examples, each as often as it is seen, the training like a row's takes."""
    for name in ALIKE:
        published = [run for run in published if getattr(run, name) == row[name]] or published
    return max(run.training.steps * run.training.batch_size for run in published)

"""The regression check: exact metrics first, then trained rows against the baseline's seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comparison.columns import comparable
from ..comparison.labels import suite_titles
from ..comparison.significance import holm, mean
from ..comparison.table import format_number, text_table
from ..errors import UserError
from ..files.storage import write_atomically
from ..records.provenance import now
from ..records.results import Rows, read_results, write_results
from .exact import ADVICE, Exact, check_exact, write_expected
from .trained import Change, changes_of

ABOUT = "baseline.json"
SCHEMA = 1  # Of that file; the rows beside it have their own.
# Chance of a false alarm in a check without any regression, over all of its rows together.
ALARM = 0.001


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        exact: The first layer.
        worse: Scores that got worse beyond what seeds explain.
        compared: How many scores were compared.
        notes: What could not be compared, and why.
    """

    exact: Exact
    worse: tuple[Change, ...]
    compared: int
    notes: tuple[str, ...]

    @property
    def is_regression(self) -> bool:
        """Whether anything got worse."""
        return bool(self.exact.broken or self.worse)


def check_results(directory: Path, baseline: Path) -> Outcome:
    """Compares a results folder with a baseline.

    Raises:
        UserError: A folder is missing, or the baseline is of another suite or schema.
    """
    check_baseline(baseline)
    found, stored = read_results(directory), read_results(baseline)
    notes = [*found.warnings, *(f"Baseline: {warning}" for warning in stored.warnings)]
    _check_suites(found.rows, stored.rows, baseline)
    changes, more = changes_of(stored.rows, found.rows)
    adjusted = holm([change.p_value() for change in changes])
    worse = [c for c, p in zip(changes, adjusted, strict=True) if p < ALARM]
    exact = check_exact(baseline)
    notes += [*more, *exact.notes]
    return Outcome(exact, tuple(worse), len(changes), tuple(notes))


def update_baseline(directory: Path, baseline: Path, reason: str) -> list[Path]:
    """Writes the rows of a results folder as the new baseline, with the reason on record.

    Raises:
        UserError: The reason is empty, or the folder has rows that cannot be used.
    """
    if not reason.strip():
        raise UserError("A new baseline needs a reason: `--update --reason TEXT`.")
    results = read_results(directory)
    if results.warnings:
        raise UserError(f"'{directory}' is not whole: {results.warnings[0]}")
    rows = results.rows
    names = rows["dataset"] + "/" + rows["split"]
    written = [
        *write_results(baseline / "results.csv", rows[comparable(rows)]),
        *write_expected(baseline, set(names)),
    ]
    history = _about(baseline).get("history", []) if (baseline / ABOUT).is_file() else []
    entry = {"date": now(), "reason": reason.strip(), "suites": suite_titles(rows)}
    content = {"schema": SCHEMA, "history": [*history, entry]}
    write_atomically(baseline / ABOUT, json.dumps(content, indent=1) + "\n")
    return [*written, baseline / ABOUT]


def check_baseline(baseline: Path) -> None:
    """Raises unless the folder holds a baseline of this schema.

    Raises:
        UserError: It does not.
    """
    if not baseline.is_dir():
        raise UserError(f"No baseline at '{baseline}'. {ADVICE}")
    schema = _about(baseline).get("schema")
    if schema != SCHEMA:
        raise UserError(
            f"Baseline '{baseline}' has schema {schema}; this version reads {SCHEMA}. {ADVICE}"
        )


def render_outcome(outcome: Outcome) -> str:
    """Returns the outcome as Markdown."""
    exact, worse = outcome.exact, outcome.worse
    parts = [
        f"## Regression check: {'something got worse' if outcome.is_regression else 'passed'}",
        f"Exact: {len(exact.broken)} of {exact.checked} values differ. Trained: {len(worse)} of "
        f"{outcome.compared} scores are worse than the baseline's seeds explain (one-sided, "
        f"Holm-corrected, {ALARM:g} for the whole check).",
    ]
    if exact.broken:
        table = text_table("exact", "Exact values", ("what", "baseline", "now"), exact.broken)
        parts.append(table.as_markdown())
    if worse:
        header = ("score", "baseline", "now", "worse by", "seed sd")
        table = text_table("worse", "Trained scores", header, map(_worse_line, worse))
        parts.append(table.as_markdown())
    parts += [f"- {note}" for note in outcome.notes]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _worse_line(change: Change) -> tuple[str, ...]:
    before, after = (
        f"{format_number(mean(seeds))} ({len(seeds)})" if seeds else ""
        for seeds in (change.before, change.after)
    )
    by = format_number(change.difference) if after else ""
    return change.name, before, after or change.lost, by, format_number(change.spread)


def _about(baseline: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((baseline / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"'{baseline / ABOUT}' cannot be read: {error}. {ADVICE}") from error


def _check_suites(found: Rows, stored: Rows, baseline: Path) -> None:
    ours, theirs = suite_titles(found), suite_titles(stored)
    if not set(ours) & set(theirs):
        raise UserError(
            f"The results are of {', '.join(ours)}, the baseline '{baseline}' of "
            f"{', '.join(theirs)}; expected the same suite and scale."
        )

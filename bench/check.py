"""The regression check: exact metrics first, then trained rows against the baseline's seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .check_exact import ADVICE, Exact, check_exact, write_expected
from .errors import UserError
from .labels import suite_title
from .protocol import FLOOR
from .provenance import now
from .results import KEY, read_results, write_results
from .rows import SCHEMA
from .significance import Seeds, holm
from .storage import write_atomically
from .tables import Cell, Table, format_number
from .tables_wide import seed_values

if TYPE_CHECKING:
    import pandas as pd

ABOUT = "baseline.json"
# Chance of a false alarm in a check without any regression, over all of its rows together.
ALARM = 0.001
FLOOR_TOLERANCE = 0.01
SCORE_KEY = tuple(name for name in KEY if name not in ("run", "seed"))
POOL = ("dataset", "latent_dim", "images", "density", "metric", "kind", "features")


@dataclass(frozen=True)
class Change:
    """One score in the baseline and now.

    Attributes:
        name: What was scored.
        before: The baseline's value for each seed.
        after: The new value for each seed.
        spread: Standard deviation over seeds: the larger of the score's own and the one pooled
            over all objectives, from the baseline.
        freedom: Degrees of freedom of the pooled spread.
        better: Direction of better.
        lost: Why new seeds have no value, such as ``"diverged"``.
        exact: Whether the value has no seed in it, as the floor.
    """

    name: str
    before: Seeds
    after: Seeds
    spread: float
    freedom: int
    better: str
    lost: str = ""
    exact: bool = False

    @property
    def difference(self) -> float:
        """The change of the mean, positive where it got worse."""
        sign = 1.0 if self.better == "lower" else -1.0
        return sign * (_mean(self.after) - _mean(self.before))

    def p_value(self) -> float:
        """Returns the one-sided p-value of a change for the worse."""
        from scipy.stats import t

        if self.lost:
            return 0.0
        if self.exact:
            return float(
                abs(self.difference) <= FLOOR_TOLERANCE * max(1e-9, abs(_mean(self.before)))
            )
        if not self.after or self.freedom < 1:
            return 1.0
        error = self.spread * np.sqrt(1 / len(self.before) + 1 / len(self.after))
        if error == 0:
            return 0.0 if self.difference > 1e-9 * abs(_mean(self.before)) else 1.0
        return float(t.sf(self.difference / error, self.freedom))


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
        *write_results(baseline / "results.csv", rows),
        *write_expected(baseline, set(names)),
    ]
    titles = sorted({suite_title(row) for row in rows[["suite", "scale"]].to_dict("records")})
    history = _about(baseline).get("history", []) if (baseline / ABOUT).is_file() else []
    entry = {"date": now(), "reason": reason.strip(), "suites": titles}
    content = {"schema": SCHEMA, "history": [*history, entry]}
    write_atomically(baseline / ABOUT, json.dumps(content, indent=1) + "\n")
    return [*written, baseline / ABOUT]


def changes_of(before: pd.DataFrame, after: pd.DataFrame) -> tuple[list[Change], list[str]]:
    """Returns each score that both have, and a note for each that only the baseline has."""
    spreads = _pooled_spreads(before)
    then = dict(iter(before.groupby(list(SCORE_KEY), dropna=False)))
    now_rows = dict(iter(after.groupby(list(SCORE_KEY), dropna=False)))
    lost = _diverged(after)
    changes, missing = [], []
    for key, old in then.items():
        first = old.iloc[0]
        if first["better"] not in ("lower", "higher") or not seed_values(old):
            continue
        new = now_rows.get(key)
        what = _name(first)
        gone = lost.get((first["dataset"], first["objective"], first["variant"]), "")
        values = seed_values(new) if new is not None else {}
        failed = "" if values else gone or _failure(new)
        if not values and not failed:
            missing.append(f"{what} is in the baseline but not here; run the whole suite.")
            continue
        pooled, freedom = spreads.get(tuple(first[name] for name in POOL), (0.0, 0))
        before_values = seed_values(old)
        own = (
            float(np.std(list(before_values.values()), ddof=1)) if len(before_values) > 1 else 0.0
        )
        spread = max(own, pooled)
        exact = first["objective"] == FLOOR
        better = str(first["better"])
        changes.append(Change(what, before_values, values, spread, freedom, better, failed, exact))
        if not exact and not failed and freedom < 1:
            missing.append(
                f"{what}: the baseline has one seed, which tells no spread; not tested."
            )
    return changes, _shortened(missing)


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
        f"## Regression check: {'something got worse' if outcome.is_regression else 'passed'}"
    ]
    parts.append(
        f"Exact: {len(exact.broken)} of {exact.checked} values differ. Trained: {len(worse)} of "
        f"{outcome.compared} scores are worse than the baseline's seeds explain (one-sided, "
        f"Holm-corrected, {ALARM:g} for the whole check)."
    )
    if exact.broken:
        lines = tuple((name, (Cell(old), Cell(new))) for name, old, new in exact.broken)
        header = (("", "baseline"), ("", "now"))
        parts.append(Table("exact", "Exact values", (), "what", header, lines).as_markdown())
    if worse:
        parts.append(_worse_table(worse).as_markdown())
    parts += [f"- {note}" for note in outcome.notes]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _worse_table(worse: tuple[Change, ...]) -> Table:
    header = tuple(("", name) for name in ("baseline", "now", "worse by", "seed sd"))
    lines = []
    for change in worse:
        before = f"{format_number(_mean(change.before))} ({len(change.before)})"
        after = (
            f"{format_number(_mean(change.after))} ({len(change.after)})" if change.after else ""
        )
        by = format_number(change.difference) if change.after else ""
        cells = (before, after or change.lost, by, format_number(change.spread))
        lines.append((change.name, tuple(Cell(cell) for cell in cells)))
    return Table("worse", "Trained scores", (), "score", header, tuple(lines))


def _about(baseline: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((baseline / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"'{baseline / ABOUT}' cannot be read: {error}. {ADVICE}") from error


def _check_suites(found: pd.DataFrame, stored: pd.DataFrame, baseline: Path) -> None:
    names = [
        {suite_title(row) for row in rows[["suite", "scale"]].to_dict("records")}
        for rows in (found, stored)
    ]
    if not names[0] & names[1]:
        raise UserError(
            f"The results are of {', '.join(sorted(names[0]))}, the baseline '{baseline}' of "
            f"{', '.join(sorted(names[1]))}; expected the same suite and scale."
        )


def _pooled_spreads(rows: pd.DataFrame) -> dict[tuple[object, ...], tuple[float, int]]:
    """Returns the standard deviation over seeds pooled over objectives, with its freedom."""
    good = rows[(rows["status"] == "ok") & (rows["objective"] != FLOOR)]
    groups = good.groupby(list(SCORE_KEY), dropna=False)["value"]
    squares = (good["value"] - groups.transform("mean")) ** 2
    pools = good.assign(square=squares, one=1 / groups.transform("size")).groupby(list(POOL))
    found: dict[tuple[object, ...], tuple[float, int]] = {}
    for key, own in pools:
        freedom = len(own) - round(float(own["one"].sum()))
        if freedom > 0:
            found[tuple(key)] = (float(np.sqrt(own["square"].sum() / freedom)), freedom)
    return found


def _diverged(rows: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    lost = rows[rows["status"] == "diverged"]
    names = zip(lost["dataset"], lost["objective"], lost["variant"], strict=True)
    return dict.fromkeys(names, "diverged")


def _failure(rows: pd.DataFrame | None) -> str:
    statuses = set() if rows is None else set(rows["status"]) - {"ok"}
    return ", ".join(sorted(statuses))


def _name(row: pd.Series[str]) -> str:
    parts = [row["dataset"], row["objective"], row["variant"], f"d = {row['latent_dim']}"]
    parts += [row["images"], row["density"], row["metric"]]
    return " ".join(str(part) for part in parts if part)


def _mean(seeds: Seeds) -> float:
    return float(np.mean(list(seeds.values()))) if seeds else float("nan")


def _shortened(notes: list[str], most: int = 20) -> list[str]:
    rest = len(notes) - most
    return notes[:most] + ([f"... and {rest} more such scores."] if rest > 0 else [])

"""The regression check: exact metrics first, then trained rows against the baseline's seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comparison.columns import comparable, without_floor
from ..comparison.labels import suite_titles
from ..errors import UserError
from ..files.storage import write_atomically
from ..records.provenance import now
from ..records.results import Results, Rows, read_results, write_results
from ..records.trainings import COMMITTED, Trainings, read_trainings, write_committed
from .exact import ADVICE, COMMAND, EXPECTED, check_exact, write_expected
from .outcome import Outcome
from .scores import scores_of
from .sight import GROSS_SPREADS, seeds_needed
from .trained import Trained, compare_trained, score_spreads

ABOUT = "baseline.json"
# What a baseline keeps of a training beside its rows: what must be equal, and the code.
EQUAL = ("data", "structure", "weights")
TRAINED = (*EQUAL, "training_code")
SCHEMA = 1  # Of that file; the rows beside it have their own.


@dataclass(frozen=True)
class Pair:
    """A results folder and the baseline that it is checked against, before any test.

    Attributes:
        trained: The scores of both.
        baseline: The baseline's folder.
        notes: What of the results could not be read, or is of other code than today's.
    """

    trained: Trained
    baseline: Path
    notes: tuple[str, ...]

    def check(self) -> Outcome:
        """Returns the outcome of both layers.

        Raises:
            UserError: A file of the baseline is missing or cannot be read.
        """
        exact = check_exact(self.baseline)
        return Outcome(exact, self.trained, (*self.notes, *exact.notes))


def read_pair(directory: Path, baseline: Path) -> Pair:
    """Reads a results folder and a baseline.

    Raises:
        UserError: A folder is missing, or the baseline is damaged, of another suite or schema,
            or can detect nothing.
    """
    from .todays import stale_notes

    check_baseline(baseline)
    found, stored = read_results(directory), whole_results(baseline)
    _check_suites(found.rows, stored.rows, baseline)
    check_sight(stored.rows, f"The baseline '{baseline}'")
    notes = (*found.warnings, *stale_notes(directory, found.rows))
    return Pair(compare_trained(stored.rows, found.rows), baseline, notes)


@dataclass(frozen=True)
class Written:
    """A baseline that was written.

    Attributes:
        paths: Its files.
        trained: Its scores beside themselves, which tells what it can see.
        notes: What could not be stored, or is of other code than today's.
    """

    paths: tuple[Path, ...]
    trained: Trained
    notes: tuple[str, ...]


def update_baseline(directory: Path, baseline: Path, reason: str) -> Written:
    """Writes the rows of a results folder as the new baseline, with the reason on record.

    Raises:
        UserError: The reason is empty, the folder has rows that cannot be used or that can
            detect nothing, or what would be overwritten is no baseline.
    """
    from .todays import stale_notes

    if not reason.strip():
        raise UserError("A new baseline needs a reason: `--update --reason TEXT`.")
    _check_target(baseline)
    rows = whole_results(directory).rows
    rows = rows[comparable(rows)]
    check_sight(rows, f"A baseline of '{directory}'")
    # What reads comes first, so that nothing is written where a file is damaged.
    trainings = _trainings(directory, set(rows["run"]))
    history = _about(baseline)["history"] if (baseline / ABOUT).exists() else []
    more, notes = write_expected(baseline, set(rows["dataset"] + "/" + rows["split"]))
    paths = write_results(baseline / "results.csv", rows)
    paths += write_committed(baseline / COMMITTED, trainings)
    entry = {"date": now(), "reason": reason.strip(), "suites": suite_titles(rows)}
    content = {"schema": SCHEMA, "history": [*history, entry]}
    write_atomically(baseline / ABOUT, json.dumps(content, indent=1) + "\n")
    written = (*paths, *more, baseline / ABOUT)
    stale = stale_notes(directory, rows)
    return Written(written, compare_trained(rows, rows), (*notes, *stale))


def _check_target(baseline: Path) -> None:
    """Raises unless the path is free, a baseline, half of one, or a folder without results.

    A writer that was killed leaves the expected values and the rows, which no results folder has
    together, without the history that is written last.
    """
    if baseline.exists() and not baseline.is_dir():
        raise UserError(
            f"'{baseline}' is a file; expected the folder of a baseline. Name another one after "
            "`--against`."
        )
    results = [name for name in ("results.csv", "runs") if (baseline / name).exists()]
    is_half = results == ["results.csv"] and (baseline / EXPECTED).exists()
    if results and not is_half and not (baseline / ABOUT).exists():
        raise UserError(
            f"'{baseline}' has {results[0]} but no {ABOUT}, so it holds results and is no "
            "baseline; expected one, or a folder without results. Name another one after "
            "`--against`."
        )


def _trainings(directory: Path, runs: set[str]) -> Trainings:
    """Returns what `--equivalent` compares of the trainings of the runs."""
    known = {run: o for run, o in read_trainings(directory).items() if run in runs}
    kept = (*TRAINED, "evaluation")
    found = {run: {n: o[n] for n in kept if n in o} for run, o in known.items()}
    # Real images that were scored as if they were generated have no training.
    return {run: o for run, o in found.items() if {*TRAINED} <= {*o} or o.get("evaluation")}


def check_sight(rows: Rows, what: str) -> None:
    """Raises unless the rows, as a baseline, can detect a change of some trained score.

    Args:
        rows: The baseline's.
        what: What they are, in words.

    Raises:
        UserError: They cannot.
    """
    scatter = score_spreads(scores_of(rows))
    if len(without_floor(rows)) == 0 or any(spread.freedom for spread in scatter.values()):
        return
    needed = seeds_needed(1.0, GROSS_SPREADS, max(1, len(scatter)))
    seeds = ",".join(map(str, range(needed)))
    raise UserError(
        f"{what} can detect no change of a trained score: it has one seed of each, or no "
        "trusted one, and one seed tells no spread. Two show gross changes, a test takes "
        f"{needed}: `aebench run SUITE --seeds {seeds}`, then `--update`."
    )


def whole_results(directory: Path) -> Results:
    """Returns the results of a folder of which nothing is damaged or left out.

    Raises:
        UserError: The folder is missing, or something in it could not be used.
    """
    results = read_results(directory)
    if results.warnings:
        raise UserError(f"'{directory}' is not whole: {results.warnings[0]}")
    return results


def check_baseline(baseline: Path) -> None:
    """Raises unless the folder holds a baseline of this schema.

    Raises:
        UserError: It does not.
    """
    if not (baseline / ABOUT).exists():
        raise UserError(f"No baseline at '{baseline}'; expected a folder with '{ABOUT}'. {ADVICE}")
    schema = _about(baseline).get("schema")
    if schema != SCHEMA:
        raise UserError(
            f"Baseline '{baseline}' has schema {schema}; this version reads {SCHEMA}. {ADVICE}"
        )


def _about(baseline: Path) -> dict[str, Any]:
    try:
        about = dict(json.loads((baseline / ABOUT).read_text(encoding="utf-8")))
        return {**about, "history": list(about.get("history", []))}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"'{baseline / ABOUT}' cannot be read: {error}. Restore it, or remove it with "
            f"'results.csv' and then use {COMMAND}."
        ) from error


def _check_suites(found: Rows, stored: Rows, baseline: Path) -> None:
    ours, theirs = suite_titles(found), suite_titles(stored)
    if not set(ours) & set(theirs):
        raise UserError(
            f"The results are of {', '.join(ours)}, the baseline '{baseline}' of "
            f"{', '.join(theirs)}; expected the same suite and scale."
        )

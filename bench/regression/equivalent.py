"""Puts on record that digests of code stand for the same training and scores, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comparison.columns import without_floor
from ..errors import RunFailed, UserError
from ..files.storage import canonical_json, write_atomically
from ..records import equivalence
from ..records.equivalence import Pair, same_scores, same_training_code
from ..records.provenance import now
from ..records.results import Record, Rows, read_results, records_of
from ..records.trainings import Origin, Trainings, read_trainings
from .check import EQUAL, TRAINED, whole_results
from .same_scores import check_same_scores, compared_ways


@dataclass(frozen=True)
class Recorded:
    """What was put on record.

    Attributes:
        codes: Pairs of digests of training code, the baseline's first, that were not on record
            before.
        evaluations: The same of evaluation code.
        trainings: How many trainings were compared.
        scores: How many rows were compared.
        unknown: Of how many rows the baseline does not say which code scored them.
        path: The record.
    """

    codes: tuple[Pair, ...]
    evaluations: tuple[Pair, ...]
    trainings: int
    scores: int
    unknown: int
    path: Path


def record_equivalence(directory: Path, baseline: Path) -> Recorded:
    """Records the code of a results folder as equivalent to that of a baseline.

    Every training of the baseline has to be there with the same weights to the bit, and every
    row with the same score. The digests of training code are of one objective, backbone and
    space each: those that were compared are recorded, no others. Those of evaluation code are
    recorded with what was scored.

    Args:
        directory: The results folder.
        baseline: A stored baseline, or another results folder.

    Raises:
        UserError: A folder is missing or damaged.
        RunFailed: A training or a score differs or was not compared, or the record cannot be
            written.
    """
    before, after = whole_results(baseline).rows, read_results(directory).rows
    old, new = read_trainings(baseline), read_trainings(directory)
    runs = _compared(without_floor(before), without_floor(after), old, new, baseline)
    rows = records_of(before)
    check_same_scores(rows, records_of(after))
    rows = [row for row in rows if row["status"] != "diverged"]  # Those have no score.
    pairs = {(old[run]["training_code"], new[run]["training_code"]) for run in runs}
    codes = tuple(sorted(pair for pair in pairs if not same_training_code(*pair)))
    scored = _scored(rows, old, new)
    evaluations = _evaluations(scored, old)
    if codes or evaluations:
        own = after[after["run"].isin(runs)]
        entry = _evidence(before[before["run"].isin(runs)], own, codes, old, new)
        _write({**entry, "evaluations": evaluations, "scores": len(rows)})
    return Recorded(
        codes,
        tuple((e["codes"][0], e["codes"][1]) for e in evaluations),
        len(runs),
        len(rows),
        len(rows) - sum(map(len, scored.values())),
        equivalence.FILE,
    )


def _scored(rows: Iterable[Record], old: Trainings, new: Trainings) -> dict[Pair, list[Record]]:
    """Returns the rows by the evaluation code of both folders, as far as both say it."""
    found: dict[Pair, list[Record]] = {}
    for row in rows:
        made = [own.get(row["run"], {}).get("evaluation", {}) for own in (old, new)]
        if all(made):
            found.setdefault((made[0]["code"], made[1]["code"]), []).append(row)
    return found


def _evaluations(scored: dict[Pair, list[Record]], old: Trainings) -> list[dict[str, Any]]:
    """Returns an entry for each pair of evaluation code that shows something new."""
    found = []
    for codes, rows in sorted(scored.items()):
        settings = {row["run"]: old[row["run"]]["evaluation"]["settings"] for row in rows}
        if not all(same_scores(*codes, [row], settings[row["run"]]) for row in rows):
            compared = compared_ways(rows, settings)
            found.append({"codes": [*codes], "compared": compared, "rows": len(rows)})
    return found


def _compared(
    before: Rows, after: Rows, old: Trainings, new: Trainings, baseline: Path
) -> list[str]:
    """Returns the runs of the baseline, all of them trained again to the same weights."""
    runs = sorted(set(before["run"]))
    if not runs or not all(_is_whole(old.get(run, {})) for run in runs):
        raise UserError(
            f"'{baseline}' does not say what its rows were made from; `aebench check DIR "
            "--against BASELINE --update --reason TEXT` writes a baseline that does."
        )
    names = dict(zip(before["run"], before["objective"], strict=True))
    for run in runs:
        what = f"Nothing was recorded: the training of '{names[run]}' (run {run})"
        if run not in set(after["run"]) or not _is_whole(new.get(run, {})):
            raise RunFailed(f"{what} was not compared; `aebench run` it first.")
        lost = [name for name in EQUAL if old[run][name] != new[run][name]]
        if lost or _reasons(before, run) != _reasons(after, run):
            raise RunFailed(f"{what} differs in {lost[0] if lost else 'how it diverged'}.")
    return runs


def _is_whole(origin: Origin) -> bool:
    return {*TRAINED} <= origin.keys()


def _reasons(rows: Rows, run: str) -> set[str]:
    return set(rows[(rows["run"] == run) & (rows["status"] == "diverged")]["reason"])


def _evidence(
    before: Rows, after: Rows, codes: Iterable[Pair], old: Trainings, new: Trainings
) -> dict[str, object]:
    pairs = {
        (str(row["objective"]), str(row["space"]), str(row["backbone"])): [
            old[row["run"]]["training_code"],
            new[row["run"]]["training_code"],
        ]
        for row in before.to_dict("records")
    }
    return {
        "date": now(),
        "codes": [list(pair) for pair in codes],
        "models": [[*model, *pair] for model, pair in sorted(pairs.items())],
        "compared": "SHA-256 of the selected weights, of the data and of the backbone's structure",
        "trainings": int(before["run"].nunique()),
        "commits": [sorted(set(rows["commit"])) for rows in (before, after)],
        "versions": [sorted(set(rows["versions"])) for rows in (before, after)],
        "devices": [sorted(set(rows["device"])) for rows in (before, after)],
    }


def _write(entry: dict[str, object]) -> None:
    entries = [*equivalence.read_entries(), entry]
    try:
        # A line for each entry, to which the next one adds its own.
        lines = ",\n".join(map(canonical_json, entries))
        write_atomically(equivalence.FILE, f"[\n{lines}\n]\n")
    except OSError as error:
        raise RunFailed(
            f"'{equivalence.FILE}' cannot be written: {error.strerror or error}. Equivalence is "
            "recorded in a checkout of the code that it speaks of."
        ) from error
    equivalence.forget()

"""Puts on record that two digests of training code stand for the same training, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..comparison.columns import without_floor
from ..errors import RunFailed, UserError
from ..files.storage import write_atomically
from ..records import equivalence
from ..records.equivalence import Pair, same_training_code
from ..records.provenance import now
from ..records.results import Rows, read_results
from ..records.trainings import COMMITTED, Origin, Trainings, read_committed, read_trainings
from .check import EQUAL, TRAINED, check_baseline


@dataclass(frozen=True)
class Recorded:
    """What was put on record.

    Attributes:
        codes: Pairs of digests, the baseline's first, that were not on record before.
        trainings: How many trainings were compared.
        path: The record.
    """

    codes: tuple[Pair, ...]
    trainings: int
    path: Path


def record_equivalence(directory: Path, baseline: Path) -> Recorded:
    """Records the training code of a results folder as equivalent to that of a baseline.

    Every training of the baseline has to be there with the same weights to the bit. The digests
    are of one objective, backbone and space each: those that were compared are recorded, no
    others.

    Raises:
        UserError: A folder is missing or damaged.
        RunFailed: A training differs or was not compared, or the record cannot be written.
    """
    check_baseline(baseline)
    before, after = read_results(baseline).rows, read_results(directory).rows
    old, new = read_committed(baseline / COMMITTED), read_trainings(directory)
    runs = _compared(without_floor(before), without_floor(after), old, new, baseline)
    pairs = {(old[run]["training_code"], new[run]["training_code"]) for run in runs}
    codes = tuple(sorted(pair for pair in pairs if not same_training_code(*pair)))
    if codes:
        own = after[after["run"].isin(runs)]
        _write(codes, _evidence(before[before["run"].isin(runs)], own, codes, old, new))
    return Recorded(codes, len(runs), equivalence.FILE)


def _compared(
    before: Rows, after: Rows, old: Trainings, new: Trainings, baseline: Path
) -> list[str]:
    """Returns the runs of the baseline, all of them trained again to the same weights."""
    runs = sorted(set(before["run"]))
    if not runs or any(run not in old for run in runs):
        raise UserError(
            f"'{baseline}' does not say what its rows were made from; "
            "`aebench check DIR --against BASELINE --update --reason TEXT` writes it."
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


def _write(codes: Iterable[Pair], entry: dict[str, object]) -> None:
    entries = [*equivalence.read_entries(), entry]
    try:
        write_atomically(equivalence.FILE, json.dumps(entries, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise RunFailed(
            f"'{equivalence.FILE}' cannot be written: {error.strerror or error}. Equivalence is "
            "recorded in a checkout of the code that it speaks of."
        ) from error
    equivalence.known_pairs.cache_clear()

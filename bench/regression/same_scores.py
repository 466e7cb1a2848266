"""Whether a results folder has every score of another one, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import RunFailed
from ..files.storage import canonical_json
from ..records.equivalence import Compared, ways
from ..records.results import KEY, Record
from ..records.rows import COLUMNS
from .scores import Score

# What a row says of the circumstances that it was made in; all else has to be the same.
CIRCUMSTANCES = (
    *("schema", "suite", "scale", "recipe", "train_seconds", "compute_seconds"),
    *("device", "commit", "versions", "date"),
)
PLACE = tuple(name for name in KEY if name not in CIRCUMSTANCES)
SAME = tuple(name for name in COLUMNS if name not in (*PLACE, *CIRCUMSTANCES))


def check_same_scores(before: Iterable[Record], after: Iterable[Record]) -> None:
    """Raises unless every row of one folder is in the other; rows that it has more do not count.

    Raises:
        RunFailed: A row is missing or differs; the message names the score.
    """
    found: dict[str, list[Record]] = {}
    for row in after:
        found.setdefault(_text(row, PLACE), []).append(row)
    for row in before:
        same = found.get(_text(row, PLACE), [])
        if not any(_text(row, SAME) == _text(own, SAME) for own in same):
            raise RunFailed(
                f"Nothing was recorded: '{Score(row).name}' (run {row['run']}) "
                f"{_difference(row, same)}."
            )


def compared_ways(rows: Iterable[Record], settings: Mapping[str, Mapping[str, Any]]) -> Compared:
    """Returns what a comparison of rows shows of the code that made them.

    Args:
        rows: The rows that were compared.
        settings: For each run the settings that it was scored by.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        own = found.setdefault(row["images"], {})
        for name, value in ways(row, settings[row["run"]]).items():
            own.setdefault(name, set()).add(value)
    return {i: {n: sorted(values) for n, values in own.items()} for i, own in found.items()}


def _text(row: Record, names: Iterable[str]) -> str:
    return canonical_json([row[name] for name in names])


def _difference(row: Record, found: list[Record]) -> str:
    if not found:
        return "was not scored"
    name = next(n for n in SAME if _text(row, [n]) != _text(found[0], [n]))
    return f"differs in {name}: {row[name]!r} in the baseline, {found[0][name]!r} now"

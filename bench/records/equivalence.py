"""Which digests of code stand for code that trains or scores the same, bit for bit.

The record is packaged with the code that it speaks of, so that whoever has the code has it, and
a results folder made before a refactoring goes on whole wherever it was committed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError

FILE = Path(__file__).with_name("assets") / "equivalent.json"
# With the metric, the images and the settings that are text: which code makes a row.
WAYS = ("density", "features", "kind", "model")
Pair = tuple[str, str]
Compared = dict[str, dict[str, list[str]]]  # By images: the ways in which they were scored.


def same_training_code(one: str, other: str) -> bool:
    """Returns whether two digests of training code are equal or on record as equivalent."""
    return one == other or other in training_alike(one)


def standard_code(code: str) -> str:
    """Returns one digest that stands for all that are equivalent to a digest."""
    return min(training_alike(code))


def training_alike(code: str) -> set[str]:
    """Returns all digests of training code that are equivalent to one, itself included."""
    return _group(code, known_pairs())


def same_scores(
    one: str, other: str, rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> bool:
    """Returns whether two digests of evaluation code are equal or give the same rows on record.

    Args:
        one: A digest of evaluation code.
        other: Another.
        rows: What was scored.
        settings: The settings that it was scored by.
    """
    return one == other or other in scoring_alike(one, rows, settings)


def scoring_alike(
    code: str, rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> set[str]:
    """Returns all digests of evaluation code that give the same rows as one, itself included.

    Where the record leads from one to another over several versions, each step has to have
    compared a row of the same kind.

    Args:
        code: A digest of evaluation code.
        rows: What was scored; without any, no other code is known to score alike.
        settings: The settings that it was scored by.
    """
    kinds = {json.dumps([row["images"], ways(row, settings)], sort_keys=True) for row in rows}
    found = [_scoring_alike(code, *json.loads(kind)) for kind in sorted(kinds)]
    return set.intersection(*found) if found else {code}


def ways(row: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns what decides, beside its images, which code makes a row: no counts, no numbers.

    A score that has a value is another way than one that does not apply, so the metric goes by
    the name of the row's status.
    """
    texts = {name: value for name, value in settings.items() if isinstance(value, str)}
    own = {name: str(row[name]) for name in WAYS}
    return {**texts, **own, str(row["status"]): str(row["metric"])}


def known_pairs() -> tuple[Pair, ...]:
    """Returns the pairs of digests of training code on record.

    Raises:
        UserError: The record is damaged.
    """
    return _known()[0]


def forget() -> None:
    """Reads the record anew when it is asked next."""
    _known.cache_clear()


def read_entries() -> Sequence[dict[str, Any]]:
    """Returns the entries of the record, oldest first, each with its evidence.

    ``codes`` are pairs of training code; ``evaluations`` are pairs of evaluation code, each with
    what was compared.

    Raises:
        UserError: The record is damaged.
    """
    try:
        found = json.loads(FILE.read_text(encoding="utf-8"))
        for entry in found:
            _read_trainings(entry)
            _read_evaluations(entry)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"'{FILE}' is damaged ({error}); restore it.") from error
    return list(found)


@functools.cache
def _known() -> tuple[tuple[Pair, ...], tuple[tuple[Pair, Compared], ...]]:
    entries = read_entries()
    trainings = [pair for entry in entries for pair in _read_trainings(entry)]
    return tuple(trainings), tuple(e for entry in entries for e in _read_evaluations(entry))


def _read_trainings(entry: Mapping[str, Any]) -> list[Pair]:
    return [_pair(codes) for codes in entry["codes"]]


def _read_evaluations(entry: Mapping[str, Any]) -> list[tuple[Pair, Compared]]:
    return [(_pair(e["codes"]), _compared(e["compared"])) for e in entry.get("evaluations", [])]


def _pair(codes: Sequence[Any]) -> Pair:
    one, other = codes
    if not (isinstance(one, str) and isinstance(other, str)):
        raise ValueError("a digest is no text")
    return one, other


def _compared(found: Mapping[str, Mapping[str, Any]]) -> Compared:
    lists = {images: dict(own.items()) for images, own in found.items()}
    if not all(isinstance(names, list) for own in lists.values() for names in own.values()):
        raise ValueError("what was compared is no list")
    return lists


def _scoring_alike(code: str, images: str, row: Mapping[str, str]) -> set[str]:
    """Returns all codes that steps which compared such a row lead to from one."""
    return _group(
        code, (pair for pair, compared in _known()[1] if _covers(compared.get(images, {}), row))
    )


def _covers(compared: Mapping[str, Sequence[str]], row: Mapping[str, str]) -> bool:
    return all(value in compared.get(name, ()) for name, value in row.items())


def _group(code: str, pairs: Iterable[Pair]) -> set[str]:
    """Returns all codes that pairs lead to from one, itself included."""
    group, pairs = {code}, tuple(pairs)
    while more := {c for pair in pairs if group & {*pair} for c in pair} - group:
        group |= more
    return group

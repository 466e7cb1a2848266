"""Which digests of training code stand for code that trains the same, bit for bit.

The record is packaged with the code that it speaks of, so that whoever has the code has it, and
a results folder made before a refactoring goes on whole wherever it was committed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError

FILE = Path(__file__).with_name("assets") / "equivalent.json"
Pair = tuple[str, str]


def same_training_code(one: str, other: str) -> bool:
    """Returns whether two digests of training code are equal or on record as equivalent."""
    return one == other or standard_code(one) == standard_code(other)


def standard_code(code: str) -> str:
    """Returns one digest that stands for all that are equivalent to a digest."""
    group, pairs = {code}, known_pairs()
    while more := {c for pair in pairs if group & {*pair} for c in pair} - group:
        group |= more
    return min(group)


@functools.cache
def known_pairs() -> tuple[Pair, ...]:
    """Returns the pairs of digests on record.

    Raises:
        UserError: The record is damaged.
    """
    found = [pair for entry in read_entries() for pair in entry["codes"]]
    return tuple((str(one), str(other)) for one, other in found)


def read_entries() -> Sequence[dict[str, Any]]:
    """Returns the entries of the record, oldest first, each with ``codes`` and its evidence.

    Raises:
        UserError: The record is damaged.
    """
    try:
        found = json.loads(FILE.read_text(encoding="utf-8"))
        for entry in found:
            if not all(len(pair) == 2 for pair in entry["codes"]):
                raise ValueError("an entry is no pair")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"'{FILE}' is damaged ({error}); restore it.") from error
    return list(found)

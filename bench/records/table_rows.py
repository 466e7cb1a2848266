"""Rows of a ``results.csv``: each is whole, or named."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.csv_cells import from_cell
from .encoding import READABLE, TYPES, Record, check_record, checksum, todays
from .recipe import Recipes
from .rows import BadRow, OtherSchema

Sums = dict[str, bool]  # The checksums of a table's rows, and whether the row was seen.


def read_table(path: Path, warnings: list[str], recipes: Recipes) -> list[Record]:
    """Returns the whole rows of a ``results.csv``, without its runs' directories.

    Args:
        path: The file.
        warnings: Gets a line for each thing that could not be used.
        recipes: Gets the settings of rows of an older schema.
    """
    sums = path.with_name(path.name + ".sha256")
    known = _sums(sums) if sums.is_file() else None
    records: list[Record] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for cells in csv.DictReader(stream):
                records.append(_record_of(cells, known, path, len(records) + 1, warnings))
    except (UnicodeDecodeError, csv.Error) as error:
        warnings.append(
            f"'{path}', after record {len(records)}: {error}; the rest is left out. Restore the "
            "file, or `aebench run` again."
        )
    lost = sum(not is_seen for is_seen in known.values()) if known else 0
    bad = sum(not record for record in records)
    if lost > bad:
        warnings.append(f"'{path}': {lost - bad} rows were removed by hand; restore the file.")
    runs = path.parent / "runs"
    return [todays(record, runs / record["run"], recipes) for record in records if record]


def _sums(path: Path) -> Sums:
    return dict.fromkeys(path.read_text(encoding="ascii", errors="replace").split(), False)


def _record_of(
    cells: Mapping[Any, Any], known: Sums | None, path: Path, at: int, warnings: list[str]
) -> Record:
    try:
        return _checked_cells(cells, known)
    except (ValueError, TypeError) as error:
        warnings.append(
            f"'{path}', record {at}: {error}; left out. Restore the file, or `aebench run` again."
        )
        return {}


def _checked_cells(cells: Mapping[Any, Any], known: Sums | None) -> Record:
    if None in cells or None in cells.values():
        raise BadRow("has more or fewer cells than columns (half-written?)")
    schema = cells.get("schema")
    if str(schema) not in map(str, READABLE):
        raise OtherSchema(schema)
    record = check_record({k: from_cell(v, TYPES.get(k, "str")) for k, v in cells.items()})
    if known is not None:
        own = checksum(record)[:16]
        if own not in known:
            raise BadRow("was edited by hand (its checksum is not in the .sha256 file beside it)")
        known[own] = True
    return record

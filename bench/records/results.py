"""Result rows on disk: whole rows in, one data frame out, and everything else named."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import UserError
from ..files.csv_cells import csv_text as csv_text
from ..files.csv_cells import from_cell
from ..files.storage import canonical_json, write_atomically
from .migration import OLDER_COLUMNS, OLDEST, migrated, with_lost_recipes
from .rows import COLUMNS, SCHEMA, BadRow, OtherSchema, Row

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]
Rows: TypeAlias = "pd.DataFrame"  # Result rows with the columns of `COLUMNS`, or some of them.
TYPES: dict[str, str] = {field.name: str(field.type) for field in fields(Row)}
NAMED = 3  # Warnings repeated in an error.
NAME = re.compile(r"\w[\w.-]{0,199}")  # A run's name is the name of a folder.
LARGEST = 2**63 - 1
STATUSES = ("ok", "diverged", "failed", "not applicable")
TRUSTED = ("yes", "no", "")
READABLE = {SCHEMA: COLUMNS, OLDEST: OLDER_COLUMNS}
# What makes a row that row: everything that is neither the score nor how it was come by.
KEY = (
    *("suite", "scale", "run", "dataset", "split", "image_shape", "space", "objective"),
    *("variant", "latent_dim", "seed", "density", "images", "metric", "kind", "model"),
    *("samples_k", "n_real", "n_generated", "features"),
)
ORDER = (
    *("suite", "scale", "dataset", "split", "latent_dim", "objective", "variant", "space", "seed"),
    *("images", "density", "metric", "kind", "model", "samples_k", "n_real", "n_generated"),
    *("features", "image_shape", "run"),
)


@dataclass(frozen=True)
class Results:
    """What a results folder holds.

    Attributes:
        rows: One line for each whole row, columns as in ``COLUMNS``.
        warnings: One line for each thing that could not be used, with what to do.
        table_is_sound: Whether every row of ``results.csv`` could be used; if not, the file
            should be left for its owner to look at.
    """

    rows: pd.DataFrame
    warnings: tuple[str, ...] = ()
    table_is_sound: bool = True


def read_results(directory: Path) -> Results:
    """Reads every whole row of a results folder.

    Rows of ``runs/*/result.json`` take precedence over the same rows in ``results.csv``.

    Args:
        directory: The folder of one suite's results.

    Returns:
        The rows, sorted by what they are, with a warning for each file or row left out.

    Raises:
        UserError: The folder does not exist, or holds no rows at all.
    """
    if not directory.is_dir():
        raise UserError(
            f"No results folder at '{directory}'; expected the --out of `aebench run`."
        )
    warnings: list[str] = []
    table = directory / "results.csv"
    records = _read_table(table, warnings) if table.is_file() else []
    table_is_sound = not warnings
    for run in sorted(path for path in directory.glob("runs/*") if path.is_dir()):
        records += _read_run(run, warnings)
    if not records:
        found = " ".join(warnings[:NAMED]) or "Run `aebench run` first."
        found += f" {len(warnings) - NAMED} more like these." if len(warnings) > NAMED else ""
        raise UserError(f"No result rows in '{directory}'. {found}")
    # The later one counts: runs are read after the table.
    unique = {tuple(record[name] for name in KEY): record for record in records}
    rows = frame(with_lost_recipes(unique.values()))
    return Results(rows, tuple(warnings), table_is_sound)


def has_results(folder: Path) -> bool:
    """Returns whether a folder holds runs or a table of result rows, not some other table."""
    if any(folder.glob("runs/*/result.json")):
        return True
    try:
        with (folder / "results.csv").open(encoding="utf-8", errors="replace") as file:
            names = next(csv.reader([file.readline(10_000)]), [])
    except OSError:
        return False
    return {"suite", "objective", "run"} <= set(names)


def frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Returns records as a data frame in column order, sorted by what the rows are."""
    import pandas as pd

    rows = pd.DataFrame([dict(record) for record in records], columns=list(COLUMNS))
    for name, kind in TYPES.items():
        if kind == "int | None":
            rows[name] = rows[name].astype("Int64")
        elif kind == "float | None":
            rows[name] = rows[name].astype("float64")
    return rows.sort_values(list(ORDER), kind="stable", ignore_index=True)


def records_of(rows: pd.DataFrame) -> list[Record]:
    """Returns a data frame's lines as records with plain Python values, ``None`` where empty."""
    return [
        {str(name): _plain(value, TYPES[str(name)]) for name, value in line.items()}
        for line in rows[list(COLUMNS)].astype(object).to_dict("records")
    ]


def check_record(record: Mapping[str, Any]) -> Record:
    """Returns the record if it is a whole row of this schema, or of an older one as it is.

    Raises:
        BadRow: A column is missing, unknown, of another type or contradicts the status.
    """
    columns = _columns_of(record.get("schema"))
    missing = [name for name in columns if name not in record]
    unknown = [name for name in record if name not in columns]
    if missing or unknown:
        raise BadRow(f"columns missing: {missing}, unknown: {unknown}")
    for name in columns:
        if not _is_typed(record[name], TYPES[name]):
            raise BadRow(f"column '{name}' is {record[name]!r}; expected {TYPES[name]}")
    for name in ("run", "recipe"):
        if not NAME.fullmatch(record.get(name, record["run"])):
            raise BadRow(f"{name} is {record[name]!r}; expected letters, digits, '_', '-' and '.'")
    for name, known in (("status", STATUSES), ("trusted", TRUSTED)):
        if record.get(name, known[-1]) not in known:
            texts = ", ".join(text or "nothing" for text in known)
            raise BadRow(f"{name} is {record[name]!r}; expected one of {texts}")
    if (record["status"] == "ok") != (record["value"] is not None):
        raise BadRow(f"value is {record['value']} with status '{record['status']}'")
    if record.get("trusted") == "no" and record["stderr"] is not None:
        raise BadRow(f"stderr is {record['stderr']} of an estimate that is not trusted")
    return {name: _plain(record[name], TYPES[name]) for name in columns}


def _columns_of(schema: object) -> tuple[str, ...]:
    if isinstance(schema, bool) or not isinstance(schema, int) or schema not in READABLE:
        raise OtherSchema(schema)
    return READABLE[schema]


def encode_result(run: str, records: Iterable[Mapping[str, Any]]) -> str:
    """Returns the text of a ``result.json``: the rows with their checksum."""
    rows = [check_record(record) for record in records]
    document = {"schema": SCHEMA, "run": run, "rows": rows, "checksum": checksum(rows)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def decode_result(text: str, folder: Path | None = None) -> list[Record]:
    """Returns the rows of a ``result.json``; those of an older schema as rows of this one.

    Args:
        text: The file's.
        folder: The run's directory, which says what older rows do not.

    Raises:
        OtherSchema: The text is of another version.
        BadRow: The text is cut off or was edited.
    """
    try:
        document = json.loads(text)
        rows = document["rows"]
        _columns_of(document["schema"])
        if document["checksum"] != checksum(rows):
            raise BadRow("was edited after it was written (its checksum differs)")
        return [_todays(check_record(row), folder) for row in rows]
    except BadRow:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRow("is half-written or not a result file") from error


def _todays(record: Record, folder: Path | None) -> Record:
    return record if record["schema"] == SCHEMA else migrated(record, folder)


def checksum(value: object) -> str:
    """Returns the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_results(path: Path, rows: pd.DataFrame) -> list[Path]:
    """Writes ``results.csv`` and, beside it, one short checksum for each row.

    Whoever is killed between the two leaves rows without checksums, not with those of others.

    Returns:
        The two files written.
    """
    records = records_of(rows)
    sums = path.with_name(path.name + ".sha256")
    # Removed first: old checksums beside new rows would accuse every row of being edited.
    sums.unlink(missing_ok=True)
    write_atomically(path, csv_text([COLUMNS, *(record.values() for record in records)]))
    write_atomically(sums, "".join(checksum(record)[:16] + "\n" for record in records))
    return [path, sums]


def _read_run(run: Path, warnings: list[str]) -> list[Record]:
    path = run / "result.json"
    again = f"`aebench run` evaluates it again once '{path}' is removed; left out."
    if not path.is_file():
        warnings.append(f"Run '{run.name}' has no result.json: unfinished; `aebench run` goes on.")
        return []
    try:
        return decode_result(path.read_text(encoding="utf-8"), run)
    except (BadRow, UnicodeDecodeError) as error:
        warnings.append(f"'{path}': {error}; {again}")
        return []


def _read_table(path: Path, warnings: list[str]) -> list[Record]:
    sums = path.with_name(path.name + ".sha256")
    known = _sums(sums) if sums.is_file() else None
    records: list[Record] = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for cells in csv.DictReader(stream):
                records.append(_record_of(cells, known, path, len(records) + 1, warnings))
    except (UnicodeDecodeError, csv.Error) as error:
        warnings.append(
            f"'{path}', after record {len(records)}: {error}; the rest is left out. Restore the "
            "file, or `aebench run` again."
        )
    seen = {checksum(record)[:16] for record in records if record}
    lost = len(known - seen) if known else 0
    bad = sum(not record for record in records)
    if lost > bad:
        warnings.append(f"'{path}': {lost - bad} rows were removed by hand; restore the file.")
    runs = path.parent / "runs"
    return [_todays(record, runs / record["run"]) for record in records if record]


def _sums(path: Path) -> set[str]:
    return set(path.read_text(encoding="ascii", errors="replace").split())


def _record_of(
    cells: Mapping[Any, Any], known: set[str] | None, path: Path, at: int, warnings: list[str]
) -> Record:
    try:
        return _checked_cells(cells, known)
    except (ValueError, TypeError) as error:
        warnings.append(
            f"'{path}', record {at}: {error}; left out. Restore the file, or `aebench run` again."
        )
        return {}


def _checked_cells(cells: Mapping[Any, Any], known: set[str] | None) -> Record:
    if None in cells or None in cells.values():
        raise BadRow("has more or fewer cells than columns (half-written?)")
    schema = cells.get("schema")
    if schema not in map(str, READABLE):
        raise OtherSchema(schema)
    record = check_record({k: from_cell(v, TYPES.get(k, "str")) for k, v in cells.items()})
    if known is not None and checksum(record)[:16] not in known:
        raise BadRow("was edited by hand (its checksum is not in the .sha256 file beside it)")
    return record


def _is_typed(value: object, kind: str) -> bool:
    if value is None:
        return kind.endswith("None")
    if kind.startswith("int"):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if kind.startswith("float"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    return isinstance(value, str)


def _plain(value: Any, kind: str) -> object:  # noqa: ANN401
    if value is None or value != value or str(value) == "<NA>":
        return None
    if kind.startswith("int"):
        return int(value)
    return float(value) if kind.startswith("float") else str(value)

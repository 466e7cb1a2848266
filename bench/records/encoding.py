"""Result rows as JSON with a checksum: whole rows in and out; what is not whole is named."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..files.storage import canonical_json
from .migration import OLDER_COLUMNS, OLDEST, migrated, older_settings
from .recipe import Recipes, Settings, recipe_of
from .rows import COLUMNS, SCHEMA, BadRow, OtherSchema, Row

Record = dict[str, Any]
Origin = dict[str, Any]  # What the rows of a run were made from.
TYPES: dict[str, str] = {field.name: str(field.type) for field in fields(Row)}
NAME = re.compile(r"\w[\w.-]{0,199}")  # A run's name is the name of a folder.
LARGEST = 2**63 - 1
STATUSES = ("ok", "diverged", "failed", "not applicable")
TRUSTED = ("yes", "no", "")
READABLE = {SCHEMA: COLUMNS, OLDEST: OLDER_COLUMNS}
_NAMES = {schema: frozenset(columns) for schema, columns in READABLE.items()}
_TEXTS = frozenset(name for name, kind in TYPES.items() if kind == "str")
_EMPTY = "<NA>"  # How pandas writes a missing cell.


def check_record(record: Mapping[str, Any]) -> Record:
    """Returns the record if it is a whole row of this schema, or of an older one as it is.

    Raises:
        BadRow: A column is missing, unknown, of another type or contradicts the status.
    """
    columns = columns_of_schema(record.get("schema"))
    if record.keys() != _NAMES[record["schema"]]:
        missing = [name for name in columns if name not in record]
        unknown = [name for name in record if name not in columns]
        raise BadRow(f"columns missing: {missing}, unknown: {unknown}")
    whole = {
        # Most cells are texts, which few rows have for themselves: equal ones are kept once.
        name: sys.intern(value)
        if type(value := record[name]) is str and name in _TEXTS and value != _EMPTY
        else _cell(name, value)
        for name in columns
    }
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
    return whole


def _cell(name: str, value: object) -> object:
    if not _is_typed(value, TYPES[name]):
        raise BadRow(f"column '{name}' is {value!r}; expected {TYPES[name]}")
    return plain(value, TYPES[name])


def columns_of_schema(schema: object) -> tuple[str, ...]:
    """Returns the columns of a schema that can be read.

    Raises:
        OtherSchema: It cannot be.
    """
    if isinstance(schema, bool) or not isinstance(schema, int) or schema not in READABLE:
        raise OtherSchema(schema)
    return READABLE[schema]


def encode_result(
    run: str,
    records: Iterable[Mapping[str, Any]],
    settings: Settings | None = None,
    origin: Mapping[str, Any] | None = None,
) -> str:
    """Returns the text of a ``result.json``: the rows with their checksum.

    Args:
        run: The run's name.
        records: Its rows.
        settings: What the rows' recipe is the digest of.
        origin: What the rows were made from, see `records.trainings`.
    """
    rows = [check_record(record) for record in records]
    document = {"schema": SCHEMA, "run": run, "rows": rows, "checksum": checksum(rows)}
    if settings is not None:
        document["settings"] = settings
    if origin is not None:
        document["origin"] = dict(origin)
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def decode_result(text: str, folder: Path | None = None) -> tuple[list[Record], Recipes]:
    """Returns the rows of a ``result.json`` and their recipes' settings, as `decode_run` does."""
    rows, recipes, _ = decode_run(text, folder)
    return rows, recipes


def decode_run(text: str, folder: Path | None = None) -> tuple[list[Record], Recipes, Origin]:
    """Returns the rows of a ``result.json``, their recipes' settings, and their origin.

    The last two are empty where the file does not say them.

    Args:
        text: The file's.
        folder: The run's directory, which says what rows of an older schema do not.

    Raises:
        OtherSchema: The text is of another version.
        BadRow: The text is cut off or was edited.
    """
    try:
        document = json.loads(text)
        rows, settings = document["rows"], document.get("settings", {})
        columns_of_schema(document["schema"])
        if document["checksum"] != checksum(rows):
            raise BadRow("was edited after it was written (its checksum differs)")
        recipes: Recipes = {}
        found = [todays(check_record(row), folder, recipes) for row in rows]
        recipes |= {recipe: settings for recipe in [recipe_of(settings)] if settings}
        origin = document.get("origin")
        return found, recipes, origin if isinstance(origin, dict) else {}
    except BadRow:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRow("is half-written or not a result file") from error


def todays(record: Record, folder: Path | None, recipes: Recipes) -> Record:
    """Returns a whole row as one of today's; adds the settings of an older row to the recipes."""
    if record["schema"] == SCHEMA:
        return record
    settings = older_settings(record, folder)
    recipes[recipe_of(settings)] = settings
    return migrated(record, settings)


def checksum(value: object) -> str:
    """Returns the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _is_typed(value: object, kind: str) -> bool:
    if value is None:
        return kind.endswith("None")
    if kind.startswith("int"):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if kind.startswith("float"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    return isinstance(value, str)


def plain_column(values: Iterable[Any], kind: str) -> list[Any]:
    """Returns the values of a column as plain Python, as `plain` does."""
    if kind == "str":
        return [v if type(v) is str and v != _EMPTY else plain(v, kind) for v in values]
    return [plain(value, kind) for value in values]


def plain(value: Any, kind: str) -> object:  # noqa: ANN401
    """Returns a value of a column as plain Python; ``None`` where the cell is empty."""
    is_number = type(value) in (int, float)
    if value is None or (not is_number and str(value) == _EMPTY) or value != value:
        return None
    if kind.startswith("int"):
        return int(value)
    return float(value) if kind.startswith("float") else str(value)

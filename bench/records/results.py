"""Result rows on disk: whole rows in, one data frame out, and everything else named."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import UserError
from ..files.csv_cells import csv_text
from ..files.storage import canonical_json, write_atomically
from .encoding import TYPES, Origin, decode_run, plain_column
from .encoding import Record as Record
from .encoding import checksum as checksum
from .migration import with_lost_recipes
from .recipe import Recipes, recipe_of
from .rows import COLUMNS, BadRow
from .table_rows import read_table
from .trainings import COMMITTED

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = "pd.DataFrame"  # Result rows with the columns of `COLUMNS`, or some of them.
NAMED = 3  # Warnings repeated in an error.
RECIPES = "recipes.json"
SETTINGS = "settings"  # The column of a frame with the settings that a row's recipe stands for.
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
        rows: One line for each whole row, columns as in ``COLUMNS``, and ``settings``: what its
            recipe stands for, canonical JSON, empty where that is not known.
        warnings: One line for each thing that could not be used, with what to do.
        table_is_sound: Whether every row of ``results.csv`` could be used; if not, the file
            should be left for its owner to look at, or to restore where it is lost.
        origins: What the rows in a run's directory were made from, by run, as far as its
            ``result.json`` says it.
    """

    rows: pd.DataFrame
    warnings: tuple[str, ...] = ()
    table_is_sound: bool = True
    origins: Mapping[str, Origin] = field(default_factory=dict)


def read_results(directory: Path) -> Results:
    """Reads every whole row of a results folder.

    The rows of a run are those of its ``result.json``; ``results.csv`` says them where there is
    none.

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
    recipes: Recipes = {}
    table = directory / "results.csv"
    records = read_table(table, warnings, recipes) if table.is_file() else []
    if not table.is_file():
        warnings += _lost_table(table)
    table_is_sound = not warnings
    _read_recipes(directory / RECIPES, warnings, recipes)
    own_rows: list[Record] = []
    replaced: set[str] = set()
    origins: dict[str, Origin] = {}
    for run in sorted(path for path in directory.glob("runs/*") if path.is_dir()):
        own, more, origins[run.name] = _read_run(run, warnings)
        recipes |= more
        if own:
            replaced.add(run.name)
            own_rows += own
    records = [record for record in records if record["run"] not in replaced] + own_rows
    if not records:
        found = " ".join(warnings[:NAMED]) or "Run `aebench run` first."
        found += f" {len(warnings) - NAMED} more like these." if len(warnings) > NAMED else ""
        raise UserError(f"No result rows in '{directory}'. {found}")
    rows = frame(with_lost_recipes(without_repeats(records)), recipes)
    return Results(rows, tuple(warnings), table_is_sound, origins)


def without_repeats(records: Iterable[Record]) -> list[Record]:
    """Returns records of which each run has every score of a recipe once: the latest.

    A row that says why a score is missing goes where the same run has that score, and a row of
    a schema that did not name its recipe where the same run has a row that does.
    """
    alike: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        alike.setdefault(_key(record), []).append(record)
    latest = [_latest(own) for own in alike.values()]
    scored = {_score_of(r) for own in latest for r in own if r["status"] == "ok"}
    return [
        record
        for own in latest
        for record in own
        if (record["status"] in ("ok", "diverged") or _score_of(record) not in scored)
        and (
            record["compute_seconds"] is not None
            or all(other["compute_seconds"] is None for other in own)
        )
    ]


def _latest(records: list[Record]) -> list[Record]:
    """Returns, of records of one score of a run, the latest of each recipe, the oldest first."""
    if len(records) == 1:
        return records
    found = sorted(records, key=lambda record: (record["date"], canonical_json(record)))
    return list({record["recipe"]: record for record in found}.values())


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in KEY)


def _score_of(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("run", "images", "density", "metric", "model"))


def has_results(folder: Path) -> bool:
    """Returns whether a folder holds runs or a table of result rows, not some other table."""
    if any(folder.glob("runs/*/result.json")):
        return True
    try:
        with (folder / "results.csv").open(encoding="utf-8-sig", errors="replace") as file:
            names = next(csv.reader([file.readline(10_000)]), [])
    except OSError:
        return False
    return {"suite", "objective", "run"} <= set(names)


def frame(records: Iterable[Mapping[str, Any]], recipes: Recipes | None = None) -> pd.DataFrame:
    """Returns records as a data frame in column order, sorted by what the rows are.

    Args:
        records: The rows.
        recipes: Settings by recipe, as far as they are known; the frame's column ``settings``.
    """
    import pandas as pd

    many = list(records)
    rows = pd.DataFrame({name: [record.get(name) for record in many] for name in COLUMNS})
    texts = {recipe: canonical_json(settings) for recipe, settings in (recipes or {}).items()}
    rows[SETTINGS] = [texts.get(recipe, "") for recipe in rows["recipe"]]
    for name, kind in TYPES.items():
        if kind == "int | None":
            rows[name] = rows[name].astype("Int64")
        elif kind == "float | None":
            rows[name] = rows[name].astype("float64")
    return rows.sort_values(list(ORDER), kind="stable", ignore_index=True)


def joined(many: Iterable[Rows]) -> Rows:
    """Returns the rows of several folders as one frame; a run that lies in two counts once."""
    parts = list(many)
    recipes = {
        recipe: json.loads(text)
        for rows in parts
        for recipe, text in zip(rows["recipe"], rows[SETTINGS], strict=True)
        if text
    }
    return frame(without_repeats(r for rows in parts for r in records_of(rows)), recipes)


def records_of(rows: pd.DataFrame) -> list[Record]:
    """Returns a data frame's lines as records with plain Python values, ``None`` where empty."""
    cells = rows[list(COLUMNS)].astype(object)
    columns = [plain_column(cells[name].tolist(), TYPES[name]) for name in COLUMNS]
    return [dict(zip(COLUMNS, line, strict=True)) for line in zip(*columns, strict=True)]


def write_results(
    path: Path,
    rows: pd.DataFrame,
    records: Sequence[Record] | None = None,
    sums: Sequence[str] | None = None,
) -> list[Path]:
    """Writes ``results.csv`` and, beside it, a short checksum for each row and ``recipes.json``.

    Whoever is killed in between leaves rows without checksums, not with those of others.

    Args:
        path: The file.
        rows: The rows.
        records: What `records_of` gives of them, where that was called before.
        sums: The checksum of each record, where they were taken before.

    Returns:
        The files written.
    """
    records = records_of(rows) if records is None else records
    sums = list(map(checksum, records)) if sums is None else sums
    file = path.with_name(path.name + ".sha256")
    # Removed first: old checksums beside new rows would accuse every row of being edited.
    file.unlink(missing_ok=True)
    write_atomically(path, csv_text([COLUMNS, *(record.values() for record in records)]))
    write_atomically(file, "".join(f"{own[:16]}\n" for own in sums))
    texts = dict(zip(rows["recipe"], rows[SETTINGS], strict=True))
    recipes = {recipe: json.loads(text) for recipe, text in sorted(texts.items()) if text}
    content = json.dumps(recipes, indent=1, sort_keys=True, allow_nan=False)
    write_atomically(path.with_name(RECIPES), content + "\n")
    return [path, file, path.with_name(RECIPES)]


def _lost_table(table: Path) -> list[str]:
    """Returns a warning where what stands beside a table is there without it."""
    beside = (table.with_name(f"{table.name}.sha256"), table.with_name(COMMITTED))
    left = " and ".join(f"'{path.name}'" for path in beside if path.is_file())
    if not left:
        return []
    return [
        f"'{table}' is lost, but not what was written with it ({left}). Restore it, or remove "
        "that, too, to do without its rows."
    ]


def _read_recipes(path: Path, warnings: list[str], recipes: Recipes) -> None:
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sound = {recipe: own for recipe, own in found.items() if recipe_of(own) == recipe}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        found, sound = {"": None}, {}
    recipes |= sound
    if len(sound) < len(found):
        warnings.append(
            f"'{path}' was edited or cut short: methods that differ in a setting are told apart "
            "by their digests. Restore the file, or `aebench report` where the runs are."
        )


def _read_run(run: Path, warnings: list[str]) -> tuple[list[Record], Recipes, Origin]:
    path = run / "result.json"
    again = f"`aebench run` evaluates it again once '{path}' is removed; left out."
    if not path.is_file():
        warnings.append(f"Run '{run.name}' has no result.json: unfinished; `aebench run` goes on.")
        return [], {}, {}
    try:
        return decode_run(path.read_text(encoding="utf-8"), run)
    except (BadRow, UnicodeDecodeError) as error:
        warnings.append(f"'{path}': {error}; {again}")
        return [], {}, {}

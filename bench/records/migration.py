"""Rows of older schemas as rows of today's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .recipe import Settings, recipe_of, recipe_settings, reference_settings
from .rows import COLUMNS, SCHEMA

Record = dict[str, Any]
OLDEST = 1
# The columns that schema 2 added, with what stands in them where nothing is known.
ADDED: Record = {"recipe": "", "compute_seconds": None, "trusted": ""}
OLDER_COLUMNS = tuple(name for name in COLUMNS if name not in ADDED)
# What schema 1 said of a bound whose error was understated.
DOUBTED = "Effective sample size"
# Settings among an older row's columns; none of them depends on the seed.
SETTINGS = (
    *("dataset", "split", "image_shape", "space", "backbone", "backbone_hash", "objective"),
    *("variant", "latent_dim", "selection", "steps"),
)


def migrated(record: Mapping[str, Any], settings: Settings) -> Record:
    """Returns a row of schema 1 as one of today's.

    Args:
        record: A whole row of schema 1.
        settings: What its recipe is the digest of.
    """
    row = {**ADDED, **record, "schema": SCHEMA, "recipe": recipe_of(settings)}
    if record["kind"] == "lower bound" and record["status"] == "ok":
        doubtful = record["reason"].startswith(DOUBTED)
        row |= {"trusted": "no", "stderr": None} if doubtful else {"trusted": "yes"}
    return {name: row[name] for name in COLUMNS}


def older_settings(record: Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Returns the settings of a row of schema 1, which did not name its recipe.

    They are those on record in the run's directory. Where they are not, they are the settings
    among the row's columns, which make no recipe of today: what they leave unsaid may differ.

    Args:
        record: A whole row of schema 1.
        folder: The run's directory, where there may be one.
    """
    if record["objective"] == "floor":
        return reference_settings("floor", record["dataset"], record["split"])
    try:
        if folder is None:
            raise FileNotFoundError
        training = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        return recipe_settings(
            training["config"],
            evaluation["identity"]["settings"],
            space=record["space"],
            split=record["split"],
            data=training["data"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"schema": OLDEST} | {name: record[name] for name in SETTINGS}


def with_lost_recipes(records: Iterable[Record]) -> list[Record]:
    """Gives rows of older runs that diverged the recipe of the runs that they belong to.

    A run that diverged has taken fewer steps than it was asked for; where the others of its
    like agree on one recipe, it is its own, too.
    """
    found = list(records)
    lost = [r for r in found if r["status"] == "diverged" and r["compute_seconds"] is None]
    like: dict[tuple[Any, ...], set[str]] = {_model(record): set() for record in lost}
    for record in found if lost else ():
        if record["status"] != "diverged" and (own := _model(record)) in like:
            like[own].add(record["recipe"])
    for record in lost:
        others = like[_model(record)]
        record["recipe"] = next(iter(others)) if len(others) == 1 else record["recipe"]
    return found


def _model(record: Mapping[str, Any]) -> tuple[Any, ...]:
    names = (*("suite", "scale"), *(name for name in SETTINGS if name != "steps"))
    return tuple(record[name] for name in names)

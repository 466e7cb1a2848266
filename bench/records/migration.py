"""Rows of older schemas as rows of today's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .recipe import Settings, floor_settings, recipe_of, recipe_settings
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


def migrated(record: Mapping[str, Any], folder: Path | None = None) -> Record:
    """Returns a row of schema 1 as one of today's.

    Its recipe is that of the settings on record beside it. Where they are not, it is made of
    the settings among its columns, and no recipe of today equals it: what such a row leaves
    unsaid may differ.

    Args:
        record: A whole row of schema 1.
        folder: The run's directory, where there may be one.
    """
    row = {**ADDED, **record, "schema": SCHEMA}
    row["recipe"] = recipe_of(_settings(record, folder))
    if record["kind"] == "lower bound" and record["status"] == "ok":
        doubtful = record["reason"].startswith(DOUBTED)
        row |= {"trusted": "no", "stderr": None} if doubtful else {"trusted": "yes"}
    return {name: row[name] for name in COLUMNS}


def with_lost_recipes(records: Iterable[Record]) -> list[Record]:
    """Gives rows of older runs that diverged the recipe of the runs that they belong to.

    A run that diverged has taken fewer steps than it was asked for; where the others of its
    like agree on one recipe, it is its own, too.
    """
    found = list(records)
    like: dict[tuple[Any, ...], set[str]] = {}
    for record in found:
        if record["status"] != "diverged":
            like.setdefault(_model(record), set()).add(record["recipe"])
    for record in found:
        others = like.get(_model(record), set())
        if record["status"] == "diverged" and record["compute_seconds"] is None:
            record["recipe"] = next(iter(others)) if len(others) == 1 else record["recipe"]
    return found


def _model(record: Mapping[str, Any]) -> tuple[Any, ...]:
    names = (*("suite", "scale"), *(name for name in SETTINGS if name != "steps"))
    return tuple(record[name] for name in names)


def _settings(record: Mapping[str, Any], folder: Path | None) -> Settings:
    if record["objective"] == "floor":
        return floor_settings(record["dataset"], record["split"])
    try:
        if folder is None:
            raise FileNotFoundError
        training = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
        text = (folder / "evaluation.json").read_text(encoding="utf-8")
        evaluation = json.loads(text)["identity"]["settings"]
        return recipe_settings(training, evaluation, record["space"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"schema": OLDEST} | {name: record[name] for name in SETTINGS}

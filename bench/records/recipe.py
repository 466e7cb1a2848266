"""The recipe of a row: every setting of training and evaluation but the seed, as one digest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..files.storage import canonical_json

Settings = dict[str, Any]
Recipes = dict[str, Settings]  # Settings by recipe.
MOST_NAMED = 6  # Settings in the name of a recipe.
# Neither changes a number: a label, and what tells the runs of one method apart.
LABELS = ("suite", "scale", "seed")
# What is scored, and how often: a row says it in columns of its own, which are its score's
# identity. Or pictures alone. Asking for one more metric makes no other method of a run.
IN_COLUMNS = (
    *("densities", "metrics", "features", "images", "likelihood_images", "likelihood_samples"),
    *("likelihood_k_images", "likelihood_k_samples", "annealing_images"),
    *("sheet_images", "temperatures"),
)


def recipe_settings(
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    *,
    space: str,
    split: str,
    data: str,
) -> Settings:
    """Returns the settings that make two rows the same method, whatever their seeds.

    All rows of a run share one recipe, so that they stand in one line of a table: a setting of
    the evaluation counts for all scores of a run, also for those that do not depend on it.

    Args:
        training: Everything that decides the weights, as in a run's ``config.json``.
        evaluation: The settings of the evaluation.
        space: The space that the run was trained in, also where the objective chose it.
        split: The split in force, as the row names it.
        data: Digest of the data. It counts for a user's own, whose name is that of a place on
            one machine; the data sets of this package are their names.
    """
    kept = {name: value for name, value in training.items() if name not in LABELS}
    kept |= {"space": space, "split": split}
    if ":" in kept["dataset"]:
        kept["data"] = data[:16]
    scored = {name: value for name, value in evaluation.items() if name not in IN_COLUMNS}
    return {**kept, "evaluation": scored}


def reference_settings(name: str, dataset: str, split: str) -> Settings:
    """Returns the settings of real images that are scored as if they were generated."""
    return {"objective": name, "dataset": dataset, "split": split}


def recipe_of(settings: Mapping[str, Any]) -> str:
    """Returns the recipe of settings: 16 hex digits."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:16]


def without_name(settings: Mapping[str, Any], name: str) -> Settings:
    """Returns settings without one of the objective's options or of the training."""
    tables = {k: v for k, v in settings.items() if k in ("options", "training")}
    less = {k: {n: v for n, v in table.items() if n != name} for k, table in tables.items()}
    return {**settings, **less}


def recipe_notes(recipes: Recipes) -> dict[str, str]:
    """Returns for each recipe the settings in which it differs from the others, as text.

    Two recipes never have the same text: where it does not tell them apart, or their settings
    are not known, it ends with the digest.

    Args:
        recipes: The settings of each, empty where they are not known.
    """
    flat = {recipe: _flat(settings) for recipe, settings in recipes.items()}
    names = sorted({name for own in flat.values() for name in own})
    differing = [
        n for n in names if len({canonical_json(own.get(n)) for own in flat.values()}) > 1
    ]
    notes = {}
    for recipe, own in flat.items():
        texts = [f"{_short(n, differing)}={value_text(own[n])}" for n in differing if n in own]
        few = len(texts) <= MOST_NAMED and recipes[recipe] and "schema" not in own
        notes[recipe] = ", ".join(texts) if few else ""
    counts = Counter(notes.values())
    return {
        recipe: note if counts[note] == 1 and note else f"{note} #{recipe[:6]}".strip()
        for recipe, note in notes.items()
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Settings:
    """Returns nested settings as one table with dotted names."""
    found: Settings = {}
    for name, value in settings.items():
        whole = f"{prefix}{name}"
        found |= _flat(value, f"{whole}.") if isinstance(value, Mapping) else {whole: value}
    return found


def _short(name: str, names: list[str]) -> str:
    """Returns the last part of a dotted name, the whole one where that is shared."""
    last = name.rpartition(".")[2]
    return last if [n.rpartition(".")[2] for n in names].count(last) == 1 else name


def value_text(value: object) -> str:
    """Returns a setting's value in short: of a number six digits at most."""
    return f"{value:g}" if isinstance(value, float) else str(value)

"""The recipe of a row: every setting of training and evaluation but the seed, as one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..files.storage import canonical_json

Settings = dict[str, Any]
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
    training: Mapping[str, Any], evaluation: Mapping[str, Any], space: str
) -> Settings:
    """Returns the settings that make two rows the same method, whatever their seeds.

    All rows of a run share one recipe, so that they stand in one line of a table.

    Args:
        training: Everything that decides the weights, as in a run's ``config.json``.
        evaluation: The settings of the evaluation.
        space: The space that the run was trained in, also where the objective chose it.
    """
    kept = {name: value for name, value in training.items() if name not in LABELS}
    scored = {name: value for name, value in evaluation.items() if name not in IN_COLUMNS}
    return {**kept, "space": space, "evaluation": scored}


def floor_settings(dataset: str, split: str) -> Settings:
    """Returns the settings of real images that are scored as if they were generated."""
    return {"objective": "floor", "dataset": dataset, "split": split}


def recipe_of(settings: Mapping[str, Any]) -> str:
    """Returns the recipe of settings: 16 hex digits."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:16]

"""The columns that all rows of a run share, and the one row of a run that diverged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...models.backbones.backbone import count_parameters
from ...models.backbones.pretrained import PretrainedBackbone
from ..errors import UserError
from ..files.storage import canonical_json
from ..records.provenance import now
from ..records.recipe import Settings, recipe_of, recipe_settings
from ..records.results import Record
from ..records.rows import SCHEMA, TUNED, Row
from ..suites.config import OWN_BUDGET, Config

if TYPE_CHECKING:
    from ...models.objectives.objective import Objective
    from ..data.dataset import Dataset
    from .directory import TrainingRecord


ONE_SCORE = ("images", "density", "metric", "features", "kind", "model", "samples_k")


def check_distinct(rows: Iterable[Record]) -> None:
    """Checks that no score of a run is there twice: one of two would stand for the other.

    Raises:
        UserError: Two metrics call a score by the same name.
    """
    counts = Counter(tuple(row[column] for column in ONE_SCORE) for row in rows)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise UserError(
            f"Two metrics have a score '{twice[0][2]}'; give that of your own another name."
        )


def place_columns(config: Config, data: Dataset, run: str, settings: Settings) -> dict[str, Any]:
    """Returns the columns that say what was asked for and on which data."""
    return {
        "schema": SCHEMA,
        "suite": config.suite,
        "scale": OWN_BUDGET if config.own_budget else config.scale,
        "run": run,
        "recipe": recipe_of(settings),
        "dataset": config.dataset,
        "split": data.split,
        "image_shape": "x".join(map(str, data.image_shape)),
    }


def base_columns(
    config: Config, data: Dataset, objective: Objective, training: TrainingRecord
) -> dict[str, Any]:
    """Returns the columns that say what a run is and how it was trained.

    Args:
        config: The run.
        data: Its data set.
        objective: Built for it.
        training: What is recorded of the training.
    """
    total = count_parameters(objective)
    shared = count_parameters(objective.backbone)
    compute = training.compute_seconds
    settings = run_settings(config, data, objective)
    return place_columns(config, data, config.digest, settings) | {
        "space": objective.space.name,
        "backbone": config.network,
        "backbone_hash": training.structure,
        "objective": config.objective,
        "variant": variant(config),
        "latent_dim": config.latent_dim,
        "seed": config.seed,
        "selection": "as given" if config.is_given else config.training.selection,
        "parameters_backbone": shared,
        "parameters_outside": total - shared,
        "steps": training.steps,
        "train_seconds": round(training.seconds, 3),
        "compute_seconds": None if compute is None else round(compute, 3),
        "device": training.device,
        "commit": training.commit,
        "versions": training.versions,
    }


def run_settings(config: Config, data: Dataset, objective: Objective) -> Settings:
    """Returns the settings of a run that its recipe is the digest of."""
    settings = recipe_settings(
        config.training_record(),
        config.evaluation.record(),
        space=objective.space.name,
        split=data.split,
        data=data.digest,
    )
    if isinstance(objective.backbone, PretrainedBackbone):
        # A name says where it lies on one machine, not what it is.
        settings["backbone_hash"] = objective.backbone.structure_hash()
        settings["input_range"] = objective.backbone.input_range
    return settings


def variant(config: Config) -> str:
    """Returns the run's options as canonical JSON, with noise, precision and tuning, if any."""
    training, settings = config.training, dict(config.options)
    if training.noise_sigma > 0:
        settings["noise_sigma"] = training.noise_sigma
    if training.precision != "float32":
        settings["precision"] = training.precision
    if config.tuned:
        settings[TUNED] = True
    return canonical_json(settings) if settings else ""


def lost_row(base: Mapping[str, Any], reason: str) -> Record:
    """Returns the row of a run that diverged, with the term and the step as its reason."""
    row = Row(
        **base,
        images="test",
        metric="loss",
        value=None,
        unit="objective's own scale",
        better="lower",
        status="diverged",
        reason=reason,
        date=now(),
    )
    return row.as_dict()

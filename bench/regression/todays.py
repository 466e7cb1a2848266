"""Which runs today's code would not train or score so: their digests on record against its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...metrics.extractor import EXTRACTORS
from ...models.building import build
from ..comparison.columns import without_floor
from ..data.dataset import find_source
from ..errors import UserError
from ..evaluation.identity import evaluation_identity
from ..records.code import training_code
from ..records.equivalence import same_scores, same_training_code
from ..records.results import Record, Rows, records_of
from ..records.trainings import Origin, read_trainings, rows_by_run
from ..suites.config import Evaluation, Optimisation


def stale_notes(directory: Path, rows: Rows) -> tuple[str, ...]:
    """Returns a line on the trained runs of other code than today's; nothing without such runs.

    Where today's code is not known, as that of an objective whose plug-in is not loaded, or of a
    folder without a record, nothing is said.

    Args:
        directory: The results folder.
        rows: Its rows.
    """
    own = rows_by_run(records_of(without_floor(rows)))
    try:
        found = {run: origin for run, origin in read_trainings(directory).items() if run in own}
    except UserError as error:
        return (f"Whether today's code would give these scores is not known. {error}",)
    codes: dict[str, str] = {}
    stale = [run for run in found if _is_stale(found[run], own[run], codes)]
    if not stale:
        return ()
    return (
        f"{len(stale)} of {len(own)} runs in '{directory}' are of other code than today's, so "
        "that their scores say nothing of it. If they should, `aebench run` with `--rerun-stale`, "
        "or into a fresh folder, trains them again.",
    )


def _is_stale(origin: Origin, rows: list[Record], codes: dict[str, str]) -> bool:
    """Says whether code is known to be another now; ``codes`` keeps what was built before."""
    config, row = origin.get("config", {}), rows[0]
    names = ("objective", "backbone", "space", "dataset")
    key = " ".join(str({**config, **row}.get(name)) for name in names)
    try:
        now = codes[key] = codes.get(key) or _training_code(config, row)
        if not same_training_code(str(origin["training_code"]), now):
            return True
        return not _same_scores(origin, rows)
    except (UserError, ValueError, TypeError, KeyError):
        return False


def _training_code(config: Mapping[str, Any], row: Record) -> str:
    channels, height, width = map(int, row["image_shape"].split("x"))
    model = build(
        config["objective"],
        backbone=config["backbone"],
        image_shape=(channels, height, width),
        latent_dim=config["latent_dim"],
        space=row["space"],
        form=find_source(config["dataset"]).form,
        backbone_options=config["backbone_options"],
        **config["options"],
    )
    return training_code(model, model.backbone, model.space)


def _same_scores(origin: Origin, rows: list[Record]) -> bool:
    then = origin.get("evaluation")
    if not then:  # It diverged.
        return True
    search = Optimisation(**then["settings"].get("optimisation", {}))
    settings = Evaluation(**{**then["settings"], "optimisation": search})
    code = str(evaluation_identity(settings, origin["data"])["code"])
    # Without the plug-in of an extractor the code that is here is not the one that would score.
    known = all(name.partition("@")[0] in EXTRACTORS for name in settings.features)
    return not known or same_scores(then["code"], code, rows, then["settings"])

"""One run from its config to its directory: train, evaluate, write."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...models.building import build
from ..data.dataset import Dataset, load_dataset
from ..errors import RunFailed, UserError
from ..evaluation.artefacts import has_artefacts, load_densities, save_artefacts
from ..evaluation.evaluation import Evaluator
from ..evaluation.identity import evaluation_identity, weights_digest
from ..evaluation.outputs import Outputs
from ..evaluation.record import EvaluationRecord
from ..files.checkpoint import BadCheckpoint, OtherSchema, load_checkpoint, save_checkpoint
from ..files.storage import canonical_json, write_atomically
from ..interruption import check_stop
from ..records.provenance import code_digest, commit, device_name, versions
from ..records.results import Record, decode_result, encode_result
from ..records.rows import SCHEMA, BadRow
from ..records.rows import OtherSchema as OtherRows
from ..suites.config import Config
from ..training.state import SavedStates
from ..training.term_sums import Diverged
from ..training.trainer import Progress, Trainer
from .run_rows import base_columns, lost_row

if TYPE_CHECKING:
    from torch import Tensor

Outcome = Literal["trained", "evaluated", "complete", "stale", "diverged"]
TRAINING_MODULES = ("trainer", "engine", "precision", "term_sums", "batches", "plateau")
RECORDED = frozenset(
    {"diverged", "training_code", "data", "structure", "steps", "seconds", "device", "commit"}
    | {"versions"}
)
LOGGER = logging.getLogger("aebench")


@dataclass(frozen=True)
class Request:
    """What a worker needs: a config, where to write, and how.

    Attributes:
        config: The run.
        out: The suite's results folder.
        device: ``cpu`` or ``cuda``.
        rerun_stale: Whether a run of older training code is trained again.
    """

    config: Config
    out: Path
    device: str = "cpu"
    rerun_stale: bool = False

    @property
    def folder(self) -> Path:
        """The run's directory."""
        return self.out / "runs" / self.config.digest


class Run:
    """A run with its data and its objective at hand.

    Raises:
        UserError: A name, a size or a file that the config asks for cannot be used.
    """

    def __init__(self, request: Request) -> None:
        self.request, self.config, self.folder = request, request.config, request.folder
        config = self.config
        self.data = dataset(config.dataset, config.split)
        try:
            self.objective = build(
                config.objective,
                backbone=config.backbone,
                image_shape=self.data.image_shape,
                latent_dim=config.latent_dim,
                seed=config.seed,
                space=config.space or ("real" if self.data.default_space == "real" else None),
                preset=self.data.preset,
                alpha=self.data.alpha,
                backbone_options=config.backbone_options,
                **config.options,
            )
            self.training_images = config.training.train_images or len(self.data.train)
            if config.training.batch_size > min(self.training_images, len(self.data.train)):
                raise ValueError(
                    f"'training.batch_size' is {config.training.batch_size}; expected at most "
                    f"the {min(self.training_images, len(self.data.train))} training images."
                )
        except (ValueError, TypeError) as error:
            raise UserError(f"Run '{config.label}': {error}") from error
        self.structure = self.objective.backbone.structure_hash()
        self.objective.to(request.device)
        kinds = (type(self.objective), type(self.objective.backbone), type(self.objective.space))
        modules = [c.__module__ for kind in kinds for c in kind.__mro__]
        modules = [m for m in modules if not m.startswith(("torch", "builtins", "abc"))]
        own = [f"aebench.bench.training.{name}" for name in TRAINING_MODULES]
        self.training_code = code_digest([*modules, *own])

    def execute(
        self,
        report: Callable[[str], None],
        watch: Callable[[Progress], None] | None = None,
    ) -> Outcome:
        """Trains and evaluates as far as the directory lacks it.

        Args:
            report: Called with the name of each stage.
            watch: Called at each validation.

        Raises:
            Stopped: A stop was asked for; what was done is saved.
            UserError: The directory is of another version, or of other data.
        """

        def stage(name: str) -> None:
            check_stop()
            report(name)

        self._written()  # Refuses what a newer version wrote before the long work.
        weights, record = self._trained()
        stale = bool(record) and record["training_code"] != self.training_code
        if stale and self.request.rerun_stale:
            weights, record, stale = {}, {}, False
        outcome: Outcome = "stale" if stale else "complete"
        if not record:
            stage("training")
            weights, record = self._train(watch)
            outcome = "trained"
        SavedStates(self.folder, "").remove()
        if record["diverged"]:
            self._write_lost(record)
            return "diverged"
        if self._evaluate(weights, record, stage) and outcome == "complete":
            outcome = "evaluated"
        return outcome

    def _train(
        self, watch: Callable[[Progress], None] | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        write_atomically(self.folder / "config.json", canonical_json(self._description()))
        trainer = Trainer(
            self.objective,
            self.config.training,
            train=self.data.train,
            validation=self.data.validation,
            seed=self.config.seed,
            folder=self.folder,
            identity=canonical_json(self._description()),
        )
        diverged = ""
        try:
            trainer.run(watch)
        except Diverged as error:
            diverged = str(error)
        record: dict[str, Any] = {
            "diverged": diverged,
            "training_code": self.training_code,
            "data": self.data.digest,
            "structure": self.structure,
            "steps": trainer.step,
            "best_step": trainer.best_step,
            "best_loss": repr(trainer.best_loss),
            "seconds": trainer.seconds,
            "device": device_name(self.request.device),
            "commit": commit(),
            "versions": versions(),
        }
        weights = {} if diverged else trainer.selected_weights()
        save_checkpoint(self._checkpoint_path(), weights, record)
        return {k: v.cpu() for k, v in weights.items()}, record

    def _trained(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        path = self._checkpoint_path()
        if not path.exists():
            return {}, {}
        try:
            weights, record = load_checkpoint(path)
            if not record.keys() >= RECORDED:
                raise BadCheckpoint(f"{path} is not the checkpoint of a run.")
        except OtherSchema as error:
            raise UserError(str(error)) from error
        except BadCheckpoint as error:
            LOGGER.warning("aebench: %s The run is trained again.", error)
            return {}, {}
        changed = record["structure"] != self.structure or record["data"] != self.data.digest
        if changed and self.request.rerun_stale:
            return {}, {}
        if changed:
            what = "data" if record["structure"] == self.structure else "backbone"
            raise UserError(
                f"Run '{self.config.label}' in {self.folder} was trained on another {what} than "
                "is here now; --rerun-stale trains it again."
            )
        return weights, record

    def _evaluate(
        self,
        weights: dict[str, Tensor],
        record: dict[str, Any],
        report: Callable[[str], None],
    ) -> bool:
        """Writes the rows; returns whether anything was computed."""
        try:
            self.objective.load_state_dict(weights)
        except RuntimeError as error:
            raise RunFailed(
                f"The weights in {self._checkpoint_path()} do not fit the objective as it is now; "
                "--rerun-stale trains it again."
            ) from error
        settings = self.config.evaluation
        identity = evaluation_identity(settings, self.data.digest, weights_digest(weights))
        known = EvaluationRecord(self.folder / "evaluation.json", identity)
        fitted = load_densities(self.folder, identity)
        sigma = self.config.training.noise_sigma
        data = self._trained_part()
        outputs = Outputs(self.objective, data, settings, self.config.seed, fitted, sigma)
        base = self._base(record)
        evaluator = Evaluator(outputs, base, settings, known, self.request.device)
        missing = [item for item in evaluator.items() if item.key not in known.items]
        rows = [{**row, **base} for row in evaluator.rows(report)]
        pictured = has_artefacts(self.folder, outputs, identity)
        if not missing and self._written() == rows and pictured:
            return False
        report("pictures")
        save_artefacts(self.folder, outputs, identity, evaluator.prd_curves())
        self._write_rows(rows)
        return True

    def _trained_part(self) -> Dataset:
        """Returns the data with the images trained on: those that densities are fitted to."""
        count = self.config.training.train_images
        if not count:
            return self.data
        labels = self.data.train_labels
        return replace(
            self.data,
            train=self.data.train[:count],
            train_labels=None if labels is None else labels[:count],
        )

    def _base(self, record: dict[str, Any]) -> dict[str, Any]:
        return base_columns(self.config, self.data, self.objective, self.structure, record)

    def _written(self) -> list[Record]:
        try:
            return decode_result((self.folder / "result.json").read_text(encoding="utf-8"))
        except OtherRows as error:
            if error.newer:
                raise UserError(f"'{self.folder / 'result.json'}' has {error}.") from error
            return []
        except (OSError, BadRow, UnicodeDecodeError):
            return []

    def _write_rows(self, rows: list[Record]) -> None:
        write_atomically(self.folder / "result.json", encode_result(self.config.digest, rows))

    def _write_lost(self, record: dict[str, Any]) -> None:
        row = lost_row(self._base(record), record["diverged"])
        written = self._written()
        if len(written) != 1 or {**written[0], "date": row["date"]} != row:
            self._write_rows([row])

    def _description(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "suite": self.config.suite,
            "config": self.config.training_record(),
            "hyperparameters": self.objective.hyperparameters,
            "structure": self.structure,
            "data": self.data.digest,
            "training_code": self.training_code,
        }

    def _checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.safetensors"


@lru_cache(maxsize=4)
def dataset(name: str, split: str) -> Dataset:
    """Returns a data set, kept in memory for the next run of the same process."""
    return load_dataset(name, split)

"""One run from its config to its directory: train, evaluate, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...models.backbones.backbone import BACKBONES
from ...models.backbones.pretrained import PretrainedBackbone, pretrained_backbone
from ...models.building import build
from ...models.objectives.objective import OBJECTIVES
from ..data.dataset import Dataset, load_dataset
from ..errors import RunFailed, UserError
from ..evaluation.artefacts import has_artefacts, load_densities, save_artefacts
from ..evaluation.evaluation import Evaluator
from ..evaluation.identity import evaluation_identity, weights_digest
from ..evaluation.outputs import Outputs
from ..evaluation.record import EvaluationRecord
from ..evaluation.text_outputs import TextOutputs
from ..evaluation.texts import TextEvaluator
from ..files import checkpoint
from ..files.storage import canonical_json
from ..interruption import check_stop
from ..records.code import training_code
from ..records.provenance import commit, device_name, versions
from ..records.trainings import Origin, run_origin
from ..suites.config import Config
from ..training.batches import check_batch_size
from ..training.engine import driven
from ..training.state import SavedStates
from ..training.term_sums import Diverged
from ..training.trainer import Progress, Trainer
from .directory import RunDirectory, TrainingRecord
from .objective_form import check_built, lacking
from .option_kinds import of_declared_kinds
from .request import Outcome, Request, Today, standing
from .run_rows import base_columns, check_distinct, lost_row, run_settings

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.densities.density import Density
    from ...models.objectives.objective import Objective


class Run:
    """A run with its data and its objective at hand.

    Args:
        request: What is asked for.
        data: The data; those that the config names where they are not given.

    Raises:
        UserError: A name, a size or a file that the config asks for cannot be used.
    """

    def __init__(self, request: Request, data: Dataset | None = None) -> None:
        self.request, self.config = request, request.config
        self.directory = RunDirectory(request.folder)
        self.data = data or dataset(self.config.dataset, self.config.split)
        try:
            self.objective = _build(self.config, self.data)
        except (ValueError, TypeError) as error:
            raise UserError(f"Run '{self.config.label}': {error}") from error
        self.structure = self.objective.backbone.structure_hash()
        self.settings = run_settings(self.config, self.data, self.objective)
        self.objective.to(request.device)
        model = self.objective
        self.training_code = training_code(model, model.backbone, model.space)
        self.commit = commit()  # Before the training, which another commit may overtake.

    @property
    def today(self) -> Today:
        """What the run would be trained by and on now."""
        return Today(self.training_code, self.structure, self.data.digest)

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

        self.directory.rows()  # Refuses what a newer version wrote before the long work.
        weights, training = self.directory.training()
        outcome: Outcome = "trained"
        if training is not None:
            outcome = self._standing(training)
        if self.config.is_given and (training is None or outcome != "complete"):
            training, outcome = self._take_as_given(), "complete"
        if training is None or (outcome != "complete" and self.request.rerun_stale):
            stage("training")
            weights, training = self._train(watch)
            outcome = "trained"
        # Where a stale run stays as it is, they are those of a training that takes its place.
        if not outcome.startswith("stale"):
            SavedStates(self.directory.path, "").remove()
        if training.diverged:
            self._write_lost(training)
            return "diverged"
        if self._evaluate(weights, training, stage) and outcome == "complete":
            outcome = "evaluated"
        return outcome

    def _standing(self, training: TrainingRecord) -> Outcome:
        """Says whether today's code would train this run in the same way.

        Raises:
            UserError: Data or backbone are others now, and training again was not asked for.
        """
        then = Today(training.training_code, training.structure, training.data)
        return standing(self.request, then, self.today, str(self.directory.path))

    def _train(
        self, watch: Callable[[Progress], None] | None
    ) -> tuple[dict[str, Tensor], TrainingRecord]:
        description = self._description()
        self.directory.describe(description)
        trainer = Trainer(
            self.objective,
            self.config.training,
            train=self.data.train,
            validation=self.data.validation,
            seed=self.config.seed,
            folder=self.directory.path,
            identity=canonical_json(description),
        )
        diverged = ""
        try:
            trainer.run(watch)
        except Diverged as error:
            diverged = str(error)
        training = TrainingRecord(
            diverged=diverged,
            training_code=self.training_code,
            data=self.data.digest,
            structure=self.structure,
            steps=trainer.step,
            best_step=trainer.best_step,
            best_loss=repr(trainer.best_loss),
            seconds=trainer.seconds,
            compute_seconds=trainer.clock.read(),
            device=device_name(self.request.device),
            commit=self.commit,
            versions=versions(),
        )
        weights = {} if diverged else trainer.selected_weights()
        self.directory.save_training(weights, training)
        return {k: v.cpu() for k, v in weights.items()}, training

    def _take_as_given(self) -> TrainingRecord:
        """Records a training of no steps; the weights stay where they are."""
        self.directory.describe(self._description())
        training = TrainingRecord(
            diverged="",
            training_code=self.training_code,
            data=self.data.digest,
            structure=self.structure,
            steps=0,
            seconds=0.0,
            compute_seconds=0.0,
            device=device_name(self.request.device),
            commit=self.commit,
            versions=versions(),
        )
        self.directory.save_training({}, training)
        return training

    def _evaluate(
        self, weights: dict[str, Tensor], training: TrainingRecord, report: Callable[[str], None]
    ) -> bool:
        """Writes the rows; returns whether anything was computed."""
        digest = f"{training.structure} {training.training_code}"
        if not self.config.is_given:
            self._load(weights)
            digest = weights_digest(weights)
        settings, folder = self.config.evaluation, self.directory.path
        identity = evaluation_identity(settings, self.data.digest, digest)
        known = EvaluationRecord(folder / "evaluation.json", identity)
        base = base_columns(self.config, self.data, self.objective, training)
        evaluator = self._evaluator(load_densities(folder, identity), base, known)
        outputs = evaluator.outputs
        missing = [item for item in evaluator.items() if item.key not in known.items]
        rows = [{**row, **base} for row in evaluator.rows(report)]
        check_distinct(rows)
        pictured = has_artefacts(folder, outputs, identity)
        if not missing and self.directory.rows() == rows and pictured:
            return False
        report("pictures")
        save_artefacts(folder, outputs, identity, evaluator.arrays())
        self.directory.write_rows(rows, self.settings, self._origin(training, identity))
        return True

    def _load(self, weights: dict[str, Tensor]) -> None:
        try:
            self.objective.load_state_dict(weights)
        except RuntimeError as error:
            raise RunFailed(
                f"The weights in {self.directory.checkpoint} do not fit the objective as it is "
                "now; --rerun-stale trains it again."
            ) from error

    def _evaluator(
        self, fitted: dict[str, Density], base: Mapping[str, Any], known: EvaluationRecord
    ) -> Evaluator:
        """Returns what scores the trained objective: images and vectors, or texts."""
        config = self.config
        made = (self.objective, self._trained_part(), config.evaluation, config.seed, fitted)
        rest = (base, config.evaluation, known, self.request.device)
        if self.data.form:
            return TextEvaluator(TextOutputs(*made), *rest)
        return Evaluator(Outputs(*made, config.training.noise_sigma, driven), *rest)

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

    def _write_lost(self, training: TrainingRecord) -> None:
        base = base_columns(self.config, self.data, self.objective, training)
        row = lost_row(base, training.diverged)
        written = self.directory.rows()
        if len(written) != 1 or {**written[0], "date": row["date"]} != row:
            self.directory.write_rows([row], self.settings, self._origin(training))

    def _origin(
        self, training: TrainingRecord, identity: Mapping[str, Any] | None = None
    ) -> Origin:
        """Returns what rows are made from: the training, and the evaluation unless it diverged."""
        made = {
            "structure": training.structure,
            "data": training.data,
            "training_code": training.training_code,
        }
        if identity is None:
            return run_origin(self._description() | made, {}, "")
        settings = self.config.evaluation.record()
        evaluation = {"code": identity["code"], "settings": settings}
        return run_origin(self._description() | made, evaluation, identity["weights"])

    def _description(self) -> dict[str, Any]:
        return {
            "schema": checkpoint.SCHEMA,
            "suite": self.config.suite,
            "config": self.config.training_record(),
            "hyperparameters": self.objective.hyperparameters,
            "structure": self.structure,
            "data": self.data.digest,
            "training_code": self.training_code,
        }


def _build(config: Config, data: Dataset) -> Objective:
    """Returns the objective of a run.

    Raises:
        UnknownName: A name is not registered.
        ValueError: A size, an option or the objective's constructor does not fit, or there are
            too few images for a batch.
    """
    kind = OBJECTIVES.get(config.objective)
    if told := lacking(kind):
        raise ValueError(told)
    config.check_given()
    space = space_of(config, data)
    options = of_declared_kinds(kind.in_space(space), config.options, "options")
    network = config.backbone_options
    backbone: str | PretrainedBackbone = config.backbone
    if config.is_given:
        sizes = (data.image_shape, config.latent_dim)
        backbone, network = pretrained_backbone(config.backbone, *sizes, network), {}
    else:
        network = of_declared_kinds(BACKBONES.get(config.backbone), network, "backbone_options")
    objective = build(
        config.objective,
        backbone=backbone,
        image_shape=data.image_shape,
        latent_dim=config.latent_dim,
        seed=config.seed,
        space=space,
        form=data.form,
        preset=data.preset,
        alpha=data.alpha,
        backbone_options=network,
        **options,
    )
    check_built(objective)
    if config.is_given:
        return objective
    images = min(config.training.train_images or len(data.train), len(data.train))
    check_batch_size(config.training.batch_size, images)
    return objective


def space_of(config: Config, data: Dataset) -> str:
    """Returns the name of the space in which a run models its data."""
    own = OBJECTIVES.get(config.objective).default_space
    return config.space or (own if data.default_space == "unit" else data.default_space)


@lru_cache(maxsize=4)
def dataset(name: str, split: str) -> Dataset:
    """Returns a data set, kept in memory for the next run of the same process."""
    return load_dataset(name, split)

"""References for every sample score: real images, whole or damaged, against other real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ...metrics.damage import add_noise, blur
from ...metrics.devices import lacks_memory
from ...models.streams import stream
from ..comparison.labels import FLOOR
from ..errors import RunFailed, UserError
from ..evaluation.evaluation import Evaluator, Item
from ..evaluation.identity import evaluation_identity
from ..evaluation.outputs import RealImages
from ..evaluation.record import EvaluationRecord
from ..files.locking import held
from ..files.storage import write_atomically
from ..interruption import check_stop
from ..records.code import code_digest
from ..records.encoding import checksum, encode_result
from ..records.provenance import commit, device_name, versions
from ..records.recipe import Settings, reference_settings
from ..records.trainings import run_origin
from ..suites.config import Config, Evaluation
from .known import KnownRows
from .preflight import check_evaluation
from .request import Request
from .run_rows import place_columns
from .runner import dataset

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.dataset import Dataset

BLUR = 1.0  # Standard deviation in pixels.
NOISE = 20.0  # Standard deviation in grey levels, of 255.
SEED = 0


@dataclasses.dataclass(frozen=True)
class RealOutputs(RealImages):
    """Held-out real images, as they are or damaged, in the place of generated ones.

    Attributes:
        name: ``floor`` for images or vectors as they are, ``blur`` or ``noise``.
    """

    data: Dataset
    settings: Evaluation
    name: str = FLOOR
    densities: tuple[str, ...] = ()
    noise_sigma: float = 0.0

    def images(self, kind: str, density: str = "") -> Tensor:
        """Returns the held-out images or vectors as stored, damaged as the name says."""
        if self.name == "blur":
            return blur(self.heldout, BLUR)
        if self.name == "noise":
            return add_noise(self.heldout, NOISE, stream(SEED, "reference/noise"))
        return self.heldout

    @property
    def code(self) -> str:
        """The digest of the code of the damage; empty where there is none."""
        package = "aebench.metrics"
        return "" if self.name == FLOOR else code_digest([f"{package}.damage"], [package])


class FloorEvaluator(Evaluator):
    """Scores real images as if they were generated."""

    def items(self) -> list[Item]:  # type: ignore[override]
        """Returns the metrics that compare two sets of images."""
        return [i for i in self.scored_items() if i.images == "reconstruction"]


def write_floors(requests: Sequence[Request], known: KnownRows | None) -> None:
    """Computes the references of each data set and counts that the requests score.

    Args:
        requests: All runs of a suite.
        known: What is committed beside the runs, a reference among which is not computed again;
            none where all are.

    Raises:
        RunFailed: Memory does not suffice.
        Stopped: A stop was asked for; what was scored is kept.
    """
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(checksum(_key(request.config)), []).append(request)
    for group in groups.values():
        config = group[0].config
        data = dataset(config.dataset, config.split)
        if data.form:  # Real texts against real texts have no distance to compare with.
            continue
        settings = _merged([r.config.evaluation for r in group])
        for outputs in _references(data, settings):
            try:
                _write(group[0], outputs, known)
            except (RuntimeError, MemoryError) as error:
                if not lacks_memory(error):
                    raise
                raise RunFailed(
                    f"{outputs.name.capitalize()} of the scores on '{config.dataset}': out of "
                    f"memory on {group[0].device}, even for single images."
                ) from error


def _references(data: Dataset, settings: Evaluation) -> Iterator[RealOutputs]:
    """Yields the floor and, for 8-bit images, what is damaged."""
    yield RealOutputs(data, settings)
    if data.test.dtype == torch.uint8 and not RealOutputs(data, settings).are_vectors:
        yield from (RealOutputs(data, settings, name) for name in ("blur", "noise"))


def _merged(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Returns an evaluation with the metrics and extractors of all, which one reference serves.

    Nothing else that differs between them changes a reference: it has default settings there.
    """
    metrics = dict.fromkeys(name for e in evaluations for name in e.metrics)
    features = dict.fromkeys(name for e in evaluations for name in e.features)
    return Evaluation(
        metrics=tuple(metrics), features=tuple(features), images=evaluations[0].images
    )


def _widened(outputs: RealOutputs, known: Mapping[str, Any]) -> RealOutputs:
    """Returns outputs asked for what is on record, too, where all of it can be scored here.

    Without it a part of a suite would leave the references with its own scores alone.
    """
    settings = outputs.settings
    metrics = dict.fromkeys([*known.get("metrics", ()), *settings.metrics])
    features = dict.fromkeys([*known.get("features", ()), *settings.features])
    wide = dataclasses.replace(settings, metrics=tuple(metrics), features=tuple(features))
    if wide == settings:
        return outputs
    try:
        check_evaluation(wide, pictured=outputs.are_pictures)
    except (UserError, ValueError):
        return outputs
    return dataclasses.replace(outputs, settings=wide)


def _write(request: Request, outputs: RealOutputs, known: KnownRows | None) -> None:
    config, data = request.config, outputs.data
    key = _key(config) if outputs.name == FLOOR else [*_key(config), outputs.name]
    run = f"{FLOOR}-{checksum(key)[:16]}"
    folder = request.out / "runs" / run
    if known is not None and known.has_reference(run, outputs.settings, _identity(outputs)):
        return
    outputs = _widened(outputs, (known or KnownRows(request.out)).evaluated(run))
    settings, identity = outputs.settings, _identity(outputs)
    evaluation = {"code": identity["code"], "settings": settings.record()}
    origin = run_origin({"data": data.digest}, evaluation, "")
    recipe = reference_settings(outputs.name, config.dataset, data.split)
    base = _base(config, data, run, recipe, request.device)
    record = EvaluationRecord(folder / "evaluation.json", identity)
    made: Any = outputs
    evaluator = FloorEvaluator(made, base, settings, record, request.device)
    if not evaluator.items():  # Nothing of the suite compares two sets of images.
        return
    with held(folder) as mine:
        if not mine:
            return
        rows = evaluator.rows(lambda stage: check_stop())
        text = encode_result(run, rows, recipe, origin)
        path = folder / "result.json"
        if rows and (not path.exists() or path.read_bytes() != text.encode()):
            write_atomically(path, text)


def _identity(outputs: RealOutputs) -> dict[str, Any]:
    """Returns what a reference's rows depend on: the code of its damage belongs to it."""
    identity = evaluation_identity(outputs.settings, outputs.data.digest)
    return {**identity, "code": identity["code"] + outputs.code}


def _key(config: Config) -> list[Any]:
    return [config.dataset, config.split, config.scale, config.evaluation.images]


def _base(
    config: Config, data: Dataset, run: str, recipe: Settings, device: str
) -> dict[str, Any]:
    texts = ("backbone", "backbone_hash", "variant", "selection")
    counts = ("latent_dim", "seed", "parameters_backbone", "parameters_outside", "steps")
    return {
        **place_columns(config, data, run, recipe),
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(counts, 0),
        "space": data.default_space,
        "objective": recipe["objective"],
        "train_seconds": 0.0,
        "compute_seconds": None,
        "device": device_name(device),
        "commit": commit(),
        "versions": versions(),
    }

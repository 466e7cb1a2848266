"""The floor of every sample score: real images against other real images at the same counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...metrics.devices import lacks_memory
from ..comparison.columns import FLOOR
from ..errors import RunFailed
from ..evaluation.evaluation import Evaluator, Item
from ..evaluation.identity import evaluation_identity
from ..evaluation.outputs import RealImages
from ..evaluation.record import EvaluationRecord
from ..files.locking import held
from ..files.storage import write_atomically
from ..interruption import check_stop
from ..records.provenance import commit, device_name, versions
from ..records.recipe import floor_settings
from ..records.results import checksum, encode_result
from ..records.trainings import run_origin
from ..suites.config import Config, Evaluation
from .known import KnownRows
from .request import Request
from .run_rows import place_columns
from .runner import dataset

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class RealOutputs(RealImages):
    """Held-out real images in the place of generated ones."""

    data: Dataset
    settings: Evaluation
    densities: tuple[str, ...] = ()
    noise_sigma: float = 0.0

    def images(self, kind: str, density: str = "") -> Tensor:
        """Returns the held-out images or vectors as stored, (N, C, H, W)."""
        return self.heldout


class FloorEvaluator(Evaluator):
    """Scores held-out real images as if they were generated."""

    def items(self) -> list[Item]:  # type: ignore[override]
        """Returns the metrics that compare two sets of images."""
        return [i for i in self.scored_items() if i.images == "reconstruction"]


def write_floors(requests: Sequence[Request], known: KnownRows | None = None) -> None:
    """Computes the floor of each data set and counts that the requests score.

    Args:
        requests: All runs of a suite.
        known: What is committed beside the runs; a floor that is there is not computed again.

    Raises:
        RunFailed: Memory does not suffice.
        Stopped: A stop was asked for; what was scored is kept.
    """
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(checksum(_floor_key(request.config)), []).append(request)
    for digest, group in groups.items():
        config = group[0].config
        data = dataset(config.dataset, config.split)
        # Runs of one suite may ask for different metrics; one floor serves them all.
        settings = _merged([r.config.evaluation for r in group])
        try:
            _write_floor(group[0], settings, data, digest, known)
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            raise RunFailed(
                f"Floor of the scores on '{config.dataset}': out of memory on "
                f"{group[0].device}, even for single images."
            ) from error


def _merged(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Returns the first evaluation with the metrics and extractors of all."""
    metrics = dict.fromkeys(name for e in evaluations for name in e.metrics)
    features = dict.fromkeys(name for e in evaluations for name in e.features)
    return dataclasses.replace(
        evaluations[0], metrics=tuple(metrics), features=tuple(features), likelihood_images=0
    )


def _write_floor(
    request: Request, settings: Evaluation, data: Dataset, digest: str, known: KnownRows | None
) -> None:
    run = f"floor-{digest[:16]}"
    folder = request.out / "runs" / run
    outputs: Any = RealOutputs(data, settings)
    identity = evaluation_identity(settings, data.digest)
    if known is not None and known.has_floor(run, settings, identity):
        return
    evaluation = {"code": identity["code"], "settings": dataclasses.asdict(settings)}
    origin = run_origin({"data": data.digest}, evaluation, "")
    base = _base(request.config, data, run, request.device)
    with held(folder) as mine:
        if not mine:
            return
        record = EvaluationRecord(folder / "evaluation.json", identity)
        evaluator = FloorEvaluator(outputs, base, settings, record, request.device)
        rows = evaluator.rows(lambda stage: check_stop())
        recipe = floor_settings(request.config.dataset, data.split)
        text = encode_result(run, rows, recipe, origin)
        path = folder / "result.json"
        if rows and (not path.exists() or path.read_bytes() != text.encode()):
            write_atomically(path, text)


def _floor_key(config: Config) -> list[Any]:
    return [config.dataset, config.split, config.scale, config.evaluation.images]


def _base(config: Config, data: Dataset, run: str, device: str) -> dict[str, Any]:
    texts = ("backbone", "backbone_hash", "variant", "selection")
    counts = ("latent_dim", "seed", "parameters_backbone", "parameters_outside", "steps")
    return {
        **place_columns(config, data, run, floor_settings(config.dataset, data.split)),
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(counts, 0),
        "space": data.default_space,
        "objective": FLOOR,
        "train_seconds": 0.0,
        "compute_seconds": None,
        "device": device_name(device),
        "commit": commit(),
        "versions": versions(),
    }

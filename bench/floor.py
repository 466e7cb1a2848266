"""The floor of every sample score: real images against other real images at the same counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .config import Config
from .evaluation import Evaluator, Item
from .evaluation_identity import evaluation_identity
from .evaluation_record import EvaluationRecord
from .locking import held
from .provenance import commit, device_name, versions
from .results import checksum, encode_result
from .rows import SCHEMA
from .runner import Request, dataset
from .storage import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from .data import Dataset


@dataclasses.dataclass(frozen=True)
class RealOutputs:
    """Held-out real images in the place of generated ones."""

    data: Dataset
    count: int
    densities: tuple[str, ...] = ()

    @property
    def real(self) -> Tensor:
        """The first test images."""
        return self.data.test[: self.count]

    @property
    def heldout(self) -> Tensor:
        """The first validation images."""
        return self.data.validation[: self.count]

    def images(self, kind: str, density: str = "") -> Tensor:
        """Returns the held-out images, uint8 (N, C, H, W)."""
        return self.heldout


class FloorEvaluator(Evaluator):
    """Scores held-out real images as if they were generated."""

    def items(self) -> list[Item]:  # type: ignore[override]
        """Returns the metrics that compare two sets of images."""
        return [i for i in self.scored_items() if i.images == "reconstruction"]


def write_floors(requests: Sequence[Request]) -> None:
    """Computes the floor of each data set and counts that the requests score."""
    groups = {checksum(_floor_key(r.config)): r for r in requests}
    for request in groups.values():
        data = dataset(request.config.dataset, request.config.split)
        if data.default_space != "real":
            _write_floor(request, data)


def _write_floor(request: Request, data: Dataset) -> None:
    config = request.config
    digest = checksum(_floor_key(config))[:16]
    folder = request.out / "runs" / f"floor-{digest}"
    identity = evaluation_identity(config.evaluation, data.digest)
    with held(folder) as mine:
        if not mine:
            return
        record = EvaluationRecord(folder / "evaluation.json", identity)
        outputs: Any = RealOutputs(data, config.evaluation.images)
        base = _base(config, data, f"floor-{digest}", request.device)
        rows = FloorEvaluator(outputs, base, config.evaluation, record, request.device).rows(
            lambda stage: None
        )
        text = encode_result(f"floor-{digest}", rows)
        path = folder / "result.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)


def _floor_key(config: Config) -> list[Any]:
    settings = config.evaluation
    names = [list(settings.metrics), list(settings.features), settings.images]
    return [config.dataset, config.split, config.scale, *names]


def _base(config: Config, data: Dataset, run: str, device: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "suite": config.suite,
        "scale": config.scale,
        "run": run,
        "dataset": config.dataset,
        "split": config.split,
        "image_shape": "x".join(map(str, data.image_shape)),
        "space": "unit",
        "backbone": "",
        "backbone_hash": "",
        "objective": "floor",
        "variant": "",
        "latent_dim": 0,
        "seed": 0,
        "selection": "",
        "parameters_backbone": 0,
        "parameters_outside": 0,
        "steps": 0,
        "train_seconds": 0.0,
        "device": device_name(device),
        "commit": commit(),
        "versions": versions(),
    }

"""What the rows of an evaluation depend on; rows of another identity are computed anew."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..files.storage import canonical_json
from ..records.provenance import code_digest
from ..suites.config import Evaluation

if TYPE_CHECKING:
    from torch import Tensor

EVALUATION_MODULES = ("outputs", "evaluation", "interpolation", "likelihood_rows")
LIKELIHOOD_MODULES = (
    *("scorer", "scores", "importance", "completion", "annealing", "model"),
    "proposal",
)
# Settings that choose items; all others change the items' values.
CHOICES = ("densities", "metrics", "features", "sheet_images", "temperatures")


def evaluation_identity(settings: Evaluation, data: str, weights: str = "") -> dict[str, Any]:
    """Returns digests of code, data and weights, and the settings that change values.

    Args:
        settings: The evaluation's settings.
        data: Digest of the data set.
        weights: Digest of the model's weights; empty where there is no model.
    """
    names = [f"evaluation.{name}" for name in EVALUATION_MODULES]
    if settings.likelihood_images:
        names += [f"likelihood.{name}" for name in LIKELIHOOD_MODULES]
    kept = {k: v for k, v in dataclasses.asdict(settings).items() if k not in CHOICES}
    code = code_digest([*(f"aebench.bench.{name}" for name in names), *metric_modules()])
    identity = {"code": code, "data": data, "settings": kept, "weights": weights}
    return dict(json.loads(canonical_json(identity)))


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of named tensors on the CPU, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()


def metric_modules() -> list[str]:
    """Returns the modules of all registered metrics and extractors."""
    from ...metrics.extractor import EXTRACTORS, scan_extractors
    from .metric_lookup import metrics

    scan_extractors()
    found = {m.function.__module__ for m in metrics().values()}
    return sorted(found | {kind.__module__ for kind in EXTRACTORS.values()})

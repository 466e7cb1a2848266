"""What the rows of an evaluation depend on; rows of another identity are computed anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ...metrics.extractor import (
    EXTRACTORS,
    MissingWeights,
    build_extractor,
    scan_extractors,
)
from ...models.densities.density import DENSITIES
from ..files.storage import canonical_json
from ..records.code import EVALUATION, evaluation_code
from ..suites.config import Evaluation
from .metric_lookup import TEXTS, find_metric, metrics

if TYPE_CHECKING:
    from torch import Tensor

TEXT_EVALUATION = f"{EVALUATION}.texts"
SEARCH = "optimisation"  # Its settings change the search's items alone, which are named by them.
# Settings that choose items; all others but the search's change the items' values.
CHOICES = ("densities", "metrics", "features", "sheet_images", "temperatures")


def evaluation_identity(settings: Evaluation, data: str, weights: str = "") -> dict[str, Any]:
    """Returns digests of code, data and weights, and the settings that change values.

    Args:
        settings: The evaluation's settings.
        data: Digest of the data set.
        weights: Digest of the model's weights; empty where there is no model.
    """
    kept = {k: v for k, v in settings.record().items() if k not in (*CHOICES, SEARCH)}
    parts = _parts() | ({TEXT_EVALUATION} if asks_for_texts(settings) else set())
    code = evaluation_code(parts, likelihoods=settings.likelihood_images > 0)
    identity = {"code": code, "data": data, "settings": kept, "weights": weights}
    return dict(json.loads(canonical_json(identity)))


def has_other_weights(rows: Iterable[Mapping[str, Any]], extractors: Iterable[str]) -> bool:
    """Returns whether rows are of features whose extractor has other weights by now.

    Where its weights are not here, the rows stand.

    Args:
        rows: Rows of scores.
        extractors: Names of extractors.
    """
    then = {str(row["features"]) for row in rows}
    now = {identity for name in extractors if (identity := _extractor_identity(name))}
    names = {identity.rpartition(":")[0] for identity in now}
    return any(own.rpartition(":")[0] in names for own in then - now)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of named tensors on the CPU, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()


def asks_for_texts(settings: Evaluation) -> bool:
    """Returns whether something is asked for that only texts have."""
    needs = {need for name in settings.metrics for need in find_metric(name).needs}
    return settings.optimisation.trials > 0 or bool(needs & TEXTS)


@cache
def _extractor_identity(name: str) -> str:
    try:
        return build_extractor(name).identity
    except MissingWeights:
        return ""


def _parts() -> set[str]:
    """Returns the modules of all registered metrics, extractors and densities."""
    scan_extractors()
    functions = [metric.function for metric in metrics().values()]
    found = [*functions, *EXTRACTORS.values(), *(density for _, density in DENSITIES.items())]
    return {part.__module__ for part in found}

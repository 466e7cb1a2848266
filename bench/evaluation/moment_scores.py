"""Scores a set of images against the stored mean and covariance of real ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ...metrics.frechet import SINGULAR, frechet_distance_from_moments, moments
from ...metrics.registry import Metric
from ..data.images import GivenSet, read_set
from ..data.stored_moments import StoredMoments
from ..errors import UserError
from .given_features import features_of
from .metric_lookup import Score, find_metric, metrics, not_applicable
from .sets import describe, in_order, label

FRECHET = "frechet"
NO_IMAGES = "takes the features of each image; the real set is a mean and a covariance"
NO_COUNT = "of how many real images the moments are is not known, so no error is given"


def evaluate_moments(
    real: Path,
    stored: StoredMoments,
    generated: Path | GivenSet,
    *,
    names: list[str],
    features: str | None = None,
    weights: Path | None = None,
    download: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Scores a set against stored moments: the Fréchet distance, which needs no more.

    Args:
        real: The file of the moments.
        stored: The moments.
        generated: Folder or array file of the generated images, or of their features; or what
            was read.
        names: Metrics; none for all that take two sets, of which the others do not apply.
        features: Name of the extractor of both; needed unless features are given.
        weights: Weights file of the extractor, instead of the usual places.
        download: Whether missing weights may be fetched.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        The scores with their conditions, as JSON has them.

    Raises:
        UserError: Another metric was named, or the moments are of other features.
    """
    if others := [name for name in names if name != FRECHET]:
        raise UserError(f"Metric '{others[0]}': {NO_IMAGES}.")
    given = read_set(generated) if isinstance(generated, Path) else generated
    items = in_order("generated", given.items)
    if features is None and items.ndim == 4:
        raise UserError(
            f"{real} holds a mean and a covariance, which do not say of which features they are; "
            "name their extractor with '--features'."
        )
    sets = {"generated": items}
    found, how, published = features_of(sets, given.path, features, weights, device, download)
    scores = [_distance(find_metric(FRECHET), stored, found["generated"], real)]
    if not names:
        both = [m for m in metrics().values() if set(m.needs) == {"real", "generated"}]
        scores += [not_applicable(m, NO_IMAGES) for m in both if m.name != FRECHET]
    return {
        "real": {"path": str(real), "count": None, "shape": str(len(stored.mean))},
        "generated": describe(given.path, items, given.note),
        **how,
        "seed": None,
        "scores": [{**asdict(s), "label": label(s.metric, published)} for s in scores],
    }


def _distance(metric: Metric, stored: StoredMoments, rows: Any, origin: Path) -> Score:  # noqa: ANN401
    if rows.shape[1] != len(stored.mean):
        raise UserError(
            f"{origin} is of {len(stored.mean)} features and the generated set has "
            f"{rows.shape[1]}; expected the same."
        )
    own = moments(rows)
    try:
        value = frechet_distance_from_moments(
            mean_real=stored.mean,
            cov_real=stored.cov,
            mean_generated=_numpy(own.mean),
            cov_generated=_numpy(own.cov),
        )
    except ValueError as error:
        raise UserError(f"Metric '{metric.name}': {error}") from error
    reason = SINGULAR if len(rows) <= rows.shape[1] else NO_COUNT
    return Score("fd", value, None, metric.unit, metric.better, "ok", reason)


def _numpy(values: Any) -> np.ndarray:  # noqa: ANN401
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)

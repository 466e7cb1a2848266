"""The one likelihood of each run that tables show, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..records.results import Rows
from .labels import metric_short

TRAINED_NOISE = (
    "In unit space a native model keeps the pixel noise that its weights were trained with; only "
    "completed models have theirs fitted."
)
SIGNS = (
    "= exact, ≤ from a lower bound on the likelihood, c completed after training with a density "
    "and noise."
)
STUDY = ("suite", "scale", "dataset")
RUN = ("run", "recipe", "backbone_hash")
MODEL = ("model", "density")


def one_likelihood(rows: Rows, metric: str = "bits_per_dim") -> Rows:
    """Keeps one likelihood for each run: native before completed, then the most samples.

    All of a suite, scale and data set are over one count of test images, which no other suite
    decides.
    """
    return likelihoods_of_models(rows, metric).drop_duplicates(RUN)


def likelihoods_of_models(rows: Rows, metric: str = "bits_per_dim") -> Rows:
    """Keeps one likelihood for each run and model: itself, or completed with a density.

    They are in the order of preference of `one_likelihood`.
    """
    own = rows[rows["metric"] == metric].copy()
    if len(own) == 0:
        return own
    own["place"] = likelihood_places(own)
    counts = {key: _image_count(same) for key, same in own.groupby(list(STUDY))}
    studies = zip(*(own[name].tolist() for name in STUDY), strict=True)
    images = [counts[key] for key in studies]
    own = own[(own["n_real"] == images) | own["n_real"].isna()]
    order = own.assign(
        rank=own["model"].map({"native": 0}).fillna(1), k=-own["samples_k"].fillna(0)
    )
    order = order.sort_values(["rank", "k", "density"], kind="stable")
    return own.loc[order.drop_duplicates([*RUN, *MODEL]).index]


def of_one_likelihood(own: Rows, rows: Rows) -> Rows:
    """Keeps, of the diagnostics of a run's likelihoods, those of the one that tables show.

    Of several counts of samples on the same images they are those of the most.

    Args:
        own: Rows of scores, of which those of a model say how its likelihood was estimated.
        rows: All rows of the same runs.
    """
    likelihood = one_likelihood(rows)
    if len(likelihood) == 0:  # There are no bits per dimension but of 8-bit images.
        likelihood = one_likelihood(rows, "log_prob")
    shown = set(_keys(likelihood))
    runs = {key[: len(RUN)] for key in shown}
    known = [
        key in shown or not model or key[: len(RUN)] not in runs
        for key, model in zip(_keys(own), own["model"].tolist(), strict=True)
    ]
    kept = own.loc[known]
    order = kept.assign(k=-kept["samples_k"].fillna(0)).sort_values("k", kind="stable")
    fewer = order.duplicated([*RUN, *MODEL, "metric", "n_real"]) & (order["model"] != "")
    return kept.drop(index=order.index[fewer])


def _keys(rows: Rows) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[name].tolist() for name in (*RUN, *MODEL)), strict=True))


def _image_count(rows: Rows) -> int:
    """Returns how many images most estimates have; of two counts, that with the most draws."""
    draws = rows["n_real"] * rows["samples_k"].fillna(1)
    counts = rows.assign(draws=draws).groupby("n_real")["draws"].agg(["size", "max"])
    order = counts.reset_index().sort_values(["size", "max", "n_real"])
    return int(order["n_real"].iloc[-1]) if len(order) else 0


def likelihood_places(rows: Rows) -> list[str]:
    """Returns what heads each likelihood's column: the score and the space of its density."""
    pairs = zip(rows["metric"].tolist(), rows["space"].tolist(), strict=True)
    return [f"{metric_short(metric)}, {space}" for metric, space in pairs]


def bound_sign(row: Mapping[Any, Any]) -> str:
    """Returns what stands before a likelihood: a sign for a bound, a letter for ``completed``."""
    letter = "c " if row["model"] == "completed" else ""
    if row["kind"] != "lower bound":
        return letter
    return letter + ("≤ " if row["better"] == "lower" else "≥ ")


def likelihood_sign(row: Mapping[Any, Any]) -> str:
    """Returns the sign of any likelihood: that of `bound_sign`, or ``=`` where it is exact."""
    return bound_sign(row).strip() or "="


def noise_notes(rows: Rows) -> list[str]:
    """Returns what a caption says of the pixel noise of likelihoods, by the spaces among rows."""
    native = (rows["model"] == "native") & (rows["space"] == "unit") & (rows["kind"] != "")
    return [TRAINED_NOISE] if native.any() else []

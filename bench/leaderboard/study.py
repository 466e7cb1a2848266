"""The study that the page opens with: one sentence, and the points of its chart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..comparison.columns import columns_of, without_floor
from ..comparison.costs import device_note, device_word, on_one_device
from ..comparison.labels import axis_title
from ..comparison.numbers import estimate_text, format_number, kept_digits
from ..comparison.ranges import AT_LEAST_0
from ..comparison.samples import better_density, better_samples, references_of, sampled
from ..comparison.scored import compute_seconds, scores_by, seed_values
from ..comparison.significance import half_width, separated_from_best
from ..comparison.table import Table, text_table
from ..pages.families import largest_study
from ..records.results import Rows
from .cards import Model

# What the parts of an objective's name say of its family, the first that fits.
FAMILIES = (
    ("autoencoding flow", r"aef"),
    ("variational", r"(\d+s|c|g)?vae|iwae"),
    ("Wasserstein", r"wae"),
    ("regularised", r"(c|g)?rae|ae"),
)
OTHER = "other"
HEADER = ("model", "family", "FD of samples ↓", "density", "{word} s", "seeds")
CHART = (
    "Points: mean over seeds; bars: Student's 95 % interval of it. Samples are those of the "
    "objective's own density or of a mixture of ten Gaussians, whichever has the lower mean. "
    "Ahead: by paired t-tests over seeds, Holm-corrected for these comparisons."
)


@dataclass(frozen=True)
class Opening:
    """What the page opens with.

    Attributes:
        sentence: What the study says; empty where there is none.
        notes: What was measured and on what, a sentence or two each.
        points: One for each model with a score and a cost.
        axes: Titles of the axes of cost and score, and which way is better.
        table: The same points.
    """

    sentence: str = ""
    notes: list[str] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    table: Table | None = None


def family_of(objective: str) -> str:
    """Returns the family of an objective, by its name.

    Example:
        >>> [family_of(name) for name in ("2svae", "vae-iaf", "rae-gp", "ae", "wae-mmd", "mine")]
        ['variational', 'variational', 'regularised', 'regularised', 'Wasserstein', 'other']
    """
    parts = re.split(r"[^a-z0-9]+", objective.lower())
    for family, pattern in FAMILIES:
        if any(re.fullmatch(pattern, part) for part in parts):
            return family
    return OTHER


def opening_of(rows: Rows, models: Mapping[str, Model]) -> Opening:
    """Returns what the largest comparison of families says; nothing where there is none.

    Args:
        rows: Result rows of any number of suites.
        models: The model of each run.
    """
    study = largest_study(rows)
    if study is None:
        return Opening()
    placed = on_one_device(study.placed)
    fd = sampled(placed)
    columns = columns_of(better_samples(fd, better_density(fd)))[0]
    columns = [column for column in columns if len(without_floor(column.rows))]
    if not columns:
        return Opening()
    column = max(columns, key=lambda column: column.rows["method"].nunique())
    trained = without_floor(column.rows)
    points = sorted(_points(trained, models), key=lambda point: point["mean"])
    first, word = trained.iloc[0], device_word(placed)
    real = references_of(column.rows)
    floor = real.loc[real["objective"] == "floor", "value"]
    notes = [
        f"{int(first['n_generated']):,} samples against {int(first['n_real']):,} test images, "
        f"features {first['features']}; lower is better.",
        *([f"Real images score {format_number(float(floor.iloc[0]))}."] if len(floor) else []),
        CHART,
        device_note(placed),
    ]
    digits = (kept_digits(point["mean"], point["half"]) for point in points)
    return Opening(
        _sentence(column.rows, points),
        [note for note in notes if note],
        [
            {**p, "mean": mean, "half": half, "seconds": kept_digits(p["seconds"], None)[0]}
            for p, (mean, half) in zip(points, digits, strict=True)
        ],
        {"x": f"{word} seconds of one training", "y": _axis(first.to_dict()), "unit": f"{word} s"},
        _table(points, word) if points else None,
    )


def _points(rows: Rows, models: Mapping[str, Model]) -> list[dict[str, Any]]:
    firsts = {str(row["method"]): row for row in rows.to_dict("records")[::-1]}
    points = []
    for method, scores in scores_by(rows, "method").items():
        values, seconds = list(seed_values(scores).values()), compute_seconds(scores)
        if values:
            half, first = half_width(values), firsts[method]
            points.append(
                {
                    "name": str(method),
                    "family": family_of(str(first["objective"])),
                    "mean": float(np.mean(values)),
                    "half": half,
                    "seconds": seconds,
                    "density": str(first["density"]),
                    "seeds": len(values),
                    "card": models[str(first["run"])].key,
                }
            )
    return points


def _sentence(rows: Rows, points: list[dict[str, Any]]) -> str:
    """Returns who has the best samples, and of how many others the seeds tell it apart."""
    if len(points) < 2:
        return ""
    trained, best = without_floor(rows), points[0]
    groups = scores_by(trained, "method")
    seeds = {name: seed_values(scores) for name, scores in groups.items()}
    tied, reason = separated_from_best(seeds, str(trained["better"].iloc[0]))
    others = len(points) - 1
    behind = len(points) - len(tied)
    first = trained.iloc[0]
    told = {0: f"none of the {others} others", others: f"all {others} others"}
    decided = f", which put it ahead of {told.get(behind, f'{behind} of the {others} others')}"
    if not tied:
        decided = f". Nothing is said of its rank: {reason}"
    count = "1 seed" if best["seeds"] == 1 else f"{best['seeds']} seeds"
    # Isolated, a name written from right to left does not turn the sentence.
    name = best["name"] if best["name"].isascii() else f"\u2068{best['name']}\u2069"
    number = estimate_text(best["mean"], best["half"], AT_LEAST_0)
    return (
        f"Among models at default settings on {first['dataset']} with latent size "
        f"{first['latent_dim']}, samples of {name} come closest to real images: FD {number} over "
        f"{count}{decided}."
    )


def _axis(first: Mapping[Any, Any]) -> str:
    title = axis_title(first["metric"], "", first["better"]).replace("\n", " ")
    return title.replace("distance", "distance of samples", 1)


def _table(points: list[dict[str, Any]], word: str) -> Table:
    lines = [
        (
            point["name"],
            point["family"],
            estimate_text(point["mean"], point["half"], AT_LEAST_0),
            point["density"],
            "-" if point["seconds"] is None else f"{point['seconds']:,.0f}",
            point["seeds"],
        )
        for point in points
    ]
    header = tuple(name.format(word=word) for name in HEADER)
    return text_table("study", "Data of the chart", header, lines)

"""Scores of trainings in a lower precision beside the same trainings in float32."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .check_trained import DIAGNOSTICS
from .compare import paired_scores, paired_table
from .labels import backbone_text, suite_title
from .protocol import FLOOR
from .significance import SEEDS_NEEDED
from .storage import canonical_json
from .tables import Table

if TYPE_CHECKING:
    import pandas as pd

EXACT = "float32"


def precision_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns a table of paired differences for each suite, backbone and lower precision."""
    tables: list[Table] = []
    for name, first, second in _pairs(rows):
        table = paired_table(first, second, (EXACT, name))
        suffix = "" if not tables else f"-{len(tables) + 1}"
        title = f"{name} minus {EXACT} · {_where(first)}"
        tables.append(replace(table, name=f"precision{suffix}", title=title))
    return tables, []


def precision_reading(rows: pd.DataFrame) -> list[str]:
    """Returns sentences on how far a lower precision moves scores, against their spread."""
    return [_sentence(*pair) for pair in _pairs(rows)]


def _sentence(name: str, first: pd.DataFrame, second: pd.DataFrame) -> str:
    scores = paired_scores(first, second)
    moved = [score for score in scores if score.verdict in ("better", "worse", "different")]
    ratios = []
    for score in scores:
        spread = np.std(list(score.first.values()), ddof=1) if len(score.first) > 1 else 0.0
        if spread > 0:
            ratios.append(abs(score.differences.mean()) / spread)
    methods = len({(s.row["objective"], s.row["variant"], s.row["space"]) for s in scores})
    seeds = min(len(score.shared) for score in scores)
    tested = (
        f"differ in {len(moved)} of {len(scores)} scores (paired t-tests, Holm-corrected)"
        if seeds >= SEEDS_NEEDED
        else f"have {len(scores)} scores in common, of too few seeds for a test"
    )
    size = (
        f"; the mean difference is {np.median(ratios):.2f} of a score's standard deviation over "
        f"seeds in the median, {np.quantile(ratios, 0.9):.2f} in nine of ten"
        if ratios
        else ""
    )
    return f"{_where(first)}: {methods} methods trained in {name} and in {EXACT} {tested}{size}."


def _where(rows: pd.DataFrame) -> str:
    row = rows.iloc[0].to_dict()
    return f"{backbone_text(row['backbone'])}, {suite_title(row)}"


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yields each lower precision with the rows of float32 and its own, where they share a score.

    Its own are named as those of float32 are. What tells how well a bound was estimated is no
    score of a model and stays out.
    """
    estimator = rows["metric"].str.startswith(DIAGNOSTICS)
    trained = rows[(rows["objective"] != FLOOR) & ~estimator]
    for _, part in trained.groupby(["suite", "scale", "backbone"]):
        split = [_split(variant) for variant in part["variant"]]
        precision = np.array([name for name, _ in split])
        first = part[precision == EXACT]
        for name in sorted(set(precision) - {EXACT}):
            own = precision == name
            rest = [variant for (_, variant), kept in zip(split, own, strict=True) if kept]
            second = part[own].assign(variant=rest)
            if paired_scores(first, second):
                yield name, first, second


def _split(variant: str) -> tuple[str, str]:
    """Returns the precision that a variant names and the variant without it."""
    if "precision" not in variant:
        return EXACT, variant
    try:
        settings = dict(json.loads(variant))
    except (TypeError, ValueError, RecursionError):  # From elsewhere: taken as it is.
        return EXACT, variant
    name = str(settings.pop("precision", EXACT))
    return name, canonical_json(settings) if settings else ""

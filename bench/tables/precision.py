"""Scores of trainings in a lower precision beside the same trainings in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.columns import DIAGNOSTICS, FLOOR
from ..comparison.labels import backbone_text, settings_of, suite_title
from ..comparison.significance import SEEDS_NEEDED
from ..comparison.table import Table
from ..files.storage import canonical_json
from .paired import PairedScore, paired_scores, paired_table

if TYPE_CHECKING:
    import pandas as pd

EXACT = "float32"


def precision_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns a table of paired differences for each suite, backbone and lower precision."""
    tables: list[Table] = []
    for name, where, scores in _pairs(rows):
        suffix = "" if not tables else f"-{len(tables) + 1}"
        title = f"{name} minus {EXACT} · {where}"
        tables.append(paired_table(f"precision{suffix}", title, scores))
    return tables, []


def precision_reading(rows: pd.DataFrame) -> list[str]:
    """Returns sentences on how far a lower precision moves scores, against their spread."""
    return [_sentence(*pair) for pair in _pairs(rows)]


def _sentence(name: str, where: str, scores: list[PairedScore]) -> str:
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
    return f"{where}: {methods} methods trained in {name} and in {EXACT} {tested}{size}."


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[str, str, list[PairedScore]]]:
    """Yields each lower precision, backbone and suite, and the scores shared with float32.

    What tells how well a bound was estimated is no
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
            if scores := paired_scores(first, second):
                row = scores[0].row.to_dict()
                yield name, f"{backbone_text(row['backbone'])}, {suite_title(row)}", scores


def _split(variant: str) -> tuple[str, str]:
    """Returns the precision that a variant names and the variant without it."""
    settings = settings_of(variant)
    if "precision" not in settings:
        return EXACT, variant
    name = str(settings.pop("precision"))
    return name, canonical_json(settings) if settings else ""

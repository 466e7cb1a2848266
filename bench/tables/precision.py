"""Scores of trainings in a lower precision beside the same trainings in float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..comparison.columns import DIAGNOSTICS, without_floor, without_setting
from ..comparison.gains import Arrays
from ..comparison.labels import backbone_text, suite_title
from ..comparison.significance import SEEDS_NEEDED
from ..comparison.table import Table
from ..records.results import Rows
from .paired import PairedScore, paired_scores, paired_table

EXACT = "float32"


def precision_tables(rows: Rows, arrays: Arrays) -> Iterator[Table]:
    """Yields a table of paired differences for each suite, backbone and lower precision.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    for at, (name, where, scores) in enumerate(_pairs(rows, arrays)):
        suffix = f"-{at + 1}" if at else ""
        yield paired_table(f"precision{suffix}", f"{name} minus {EXACT} · {where}", scores)


def precision_reading(rows: Rows, arrays: Arrays) -> list[str]:
    """Returns sentences on how far a lower precision moves scores, against their spread.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    return [_sentence(*pair) for pair in _pairs(rows, arrays)]


def _sentence(name: str, where: str, scores: list[PairedScore]) -> str:
    moved = [score for score in scores if score.verdict in ("better", "worse", "different")]
    ratios = []
    for score in scores:
        spread = np.std(list(score.first.values()), ddof=1) if len(score.first) > 1 else 0.0
        if spread > 0:
            ratios.append(abs(score.differences.mean()) / spread)
    methods = len({(s.row["objective"], s.row["variant"], s.row["space"]) for s in scores})
    tested = sum(len(score.shared) >= SEEDS_NEEDED for score in scores)
    found = (
        f"Paired t-tests (Holm-corrected) find a difference in {len(moved)} of {tested} scores."
        if tested
        else f"They have {len(scores)} scores in common, of too few seeds for a test."
    )
    if 0 < tested < len(scores):
        found += f" {len(scores) - tested} more scores have too few seeds for a test."
    text = f"{where}: {methods} methods were trained in {name} and in {EXACT}. {found}"
    if not ratios:
        return text
    half, most = np.quantile(ratios, [0.5, 0.9])
    return (
        f"{text} In half of the scores the means differ by less than {half:.2f} standard "
        f"deviations over seeds, in nine of ten by less than {most:.2f}."
    )


def _pairs(rows: Rows, arrays: Arrays) -> Iterator[tuple[str, str, list[PairedScore]]]:
    """Yields each lower precision, backbone and suite, and the scores shared with float32.

    Diagnostics stay out: they describe how a likelihood was estimated, not how good a model is.
    """
    scored = rows[~rows["metric"].str.startswith(DIAGNOSTICS)]
    for _, part in without_floor(scored).groupby(["suite", "scale", "backbone"]):
        named, rest = without_setting(part, "precision")
        precision = np.array([str(name or EXACT) for name in named])
        for name in sorted(set(precision) - {EXACT}):
            sides = (rest[precision == EXACT], rest[precision == name])
            if scores := paired_scores(*sides, (arrays, arrays)):
                row = scores[0].row
                yield name, f"{backbone_text(row['backbone'])}, {suite_title(row)}", scores

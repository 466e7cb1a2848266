"""The wide table in the layout of the RAE paper's Table 1, one for each score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..comparison.cells import (
    NORMAL_NOTE,
    OVER_SEEDS,
    Part,
    header_of,
    mark_note,
    method_order,
    normal_column,
    one_likelihood,
    score_lines,
    table_parts,
    title_of,
)
from ..comparison.columns import (
    FLOOR,
    Column,
    columns_of,
    join,
    sort_places,
    with_places,
    without_floor,
)
from ..comparison.labels import ARROWS, metric_short, objective_order
from ..comparison.table import Cell, Table, file_name, format_number

if TYPE_CHECKING:
    import pandas as pd

LIKELIHOOD_NOTES = (
    "bits/dim: the most trusted row of each run; ≤ marks a lower bound on the likelihood, hence "
    "an upper bound here, c a density and noise completed after training (likelihood table).",
)
IMAGES = ("reconstruction", "sample", "interpolation")
EXTRA = {
    "parameters_backbone": "parameters",
    "parameters_outside": "outside backbone",
    "train_seconds": "train s",
}


def wide_tables(rows: pd.DataFrame) -> Iterator[Table]:
    """Yields one wide table for each image score."""
    for part in table_parts(rows):
        placed = with_places(part.rows)
        scored = placed[placed["images"].isin(IMAGES)]
        # A metric that failed stands under its own name, not its scores': no table of failures.
        computed = scored[scored["status"] == "ok"]
        scores = (computed if len(computed) else scored)["metric"].unique()
        for metric in objective_order(scores):
            yield _wide_table(part, placed, metric)


def score_tables(rows: pd.DataFrame) -> Iterator[Table]:
    """Yields one table of all scores of test images, a column a score, likelihoods aside."""
    for part in table_parts(rows):
        placed = without_floor(with_places(part.rows))
        placed = placed[(placed["images"] == "test") & (placed["kind"] == "")]
        if len(placed):
            yield _score_table(part, placed.assign(place=placed["metric"]))


def _wide_table(part: Part, placed: pd.DataFrame, metric: str) -> Table:
    own = placed[placed["metric"] == metric]
    scored = without_floor(normal_column(own[own["images"].isin(IMAGES)]))
    likelihood = one_likelihood(placed)
    shown = join(own[own["objective"] == FLOOR], join(likelihood, scored))
    columns, splits = columns_of(shown)
    columns = _in_layout(columns)
    cells, reasons = score_lines(columns, method_order(shown), placed)
    extra = _extra_columns(placed)
    return Table(
        file_name(metric, part.suffix),
        title_of(scored, columns, part),
        (*_caption(scored, reasons), *(LIKELIHOOD_NOTES if len(likelihood) else ())),
        "objective",
        (*map(header_of, columns), *(("", name) for name in extra)),
        tuple((m, (*line, *(e[m] for e in extra.values()))) for m, line in cells.items()),
        tuple(splits),
    )


def _score_table(part: Part, rows: pd.DataFrame) -> Table:
    columns, splits = columns_of(rows)
    cells, reasons = score_lines(columns, method_order(rows), rows)
    pairs = zip(rows["metric"], rows["unit"], strict=True)
    units = sorted({f"{metric_short(metric)} in {unit}" for metric, unit in pairs if unit})
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    return Table(
        file_name("test-images", part.suffix),
        f"Scores of test images · {names} · {part.title}",
        (f"{'; '.join(units)}." if units else "", OVER_SEEDS, mark_note(reasons)),
        "objective",
        tuple((column.group, _score_header(column)) for column in columns),
        tuple((method, tuple(line)) for method, line in cells.items()),
        tuple(splits),
    )


def _score_header(column: Column) -> str:
    first = column.rows.iloc[0]
    return f"{metric_short(first['metric'])} {ARROWS.get(first['better'], '')}".strip()


def _in_layout(columns: list[Column]) -> list[Column]:
    groups = list(dict.fromkeys(column.group for column in columns))
    places = sort_places(column.place for column in columns)
    return sorted(columns, key=lambda c: (groups.index(c.group), places.index(c.place)))


def _caption(rows: pd.DataFrame, reasons: list[str]) -> list[str]:
    unit, metric = rows["unit"].iloc[0], metric_short(rows["metric"].iloc[0])
    features = ", ".join(sorted(set(rows["features"]) - {""}))
    real, scored = _counts(rows["n_real"]), _counts(rows["n_generated"])
    notes = (
        f"{metric} in {unit}." if unit else f"{metric}.",
        f"Features: {features}." if features else "",
        f"Images: {real} real, {scored} scored." if real else "",
        OVER_SEEDS,
        NORMAL_NOTE if "N" in set(rows["place"]) else "",
        mark_note(reasons),
    )
    return [note for note in notes if note]


def _counts(column: Iterable[object]) -> str:
    return ", ".join(sorted({str(n) for n in column if str(n) != "<NA>"}, key=float))


def _extra_columns(rows: pd.DataFrame) -> dict[str, dict[str, Cell]]:
    methods = without_floor(rows).groupby("method")
    extra = {}
    for name, header in EXTRA.items():
        means = methods[name].mean().items()
        extra[header] = {str(m): Cell(_count_text(v), float(v)) for m, v in means}
        extra[header][FLOOR] = Cell("-")
    return extra


def _count_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else format_number(value)

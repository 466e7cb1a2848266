"""Pairs of precision and recall in the layout of the RAE paper's Table 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..comparison.cells import NORMAL_NOTE, headed, normal_column, score_table
from ..comparison.columns import columns_of, without_floor
from ..comparison.parts import Part, table_parts
from ..comparison.table import TABLES, Cell, Table
from ..records.results import Rows

PAIR = ("prd_f1/8", "prd_f8")
CAPTION = (
    "Each pair: precision (largest F_1/8) / recall (largest F_8) of samples.",
    "Higher is better.",
    NORMAL_NOTE,
    "A pair is marked only where both of its scores are.",
)


@TABLES.register("pairs")
def pair_tables(rows: Rows) -> Iterator[Table]:
    """Yields a table of pairs for each suite that has both scores."""
    for part in table_parts(without_floor(rows)):
        placed = normal_column(part.rows[part.rows["images"] == "sample"])
        if set(PAIR) <= set(placed["metric"]):
            yield _pair_table(part, placed[placed["metric"].isin(PAIR)])


def _pair_table(part: Part, rows: Rows) -> Table:
    found = [columns_of(rows[rows["metric"] == metric]) for metric in PAIR]
    headers = [[header for header, _ in headed(columns)] for columns, _ in found]
    notes = (*CAPTION, f"Features: {', '.join(sorted(set(rows['features']) - {''}))}.")
    first, second = (
        score_table(
            *(part, "prd", "Precision / recall"),
            [pair for pair in headed(columns) if all(pair[0] in header for header in headers)],
            *(rows, notes, splits),
        )
        for columns, splits in found
    )
    lines = tuple(
        (method, tuple(map(_pair_cell, precision, recall)))
        for (method, precision), (_, recall) in zip(first.lines, second.lines, strict=True)
    )
    return replace(
        first,
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
        lines=lines,
        splits=tuple(dict.fromkeys((*first.splits, *second.splits))),
    )


def _pair_cell(precision: Cell, recall: Cell) -> Cell:
    if precision.value is None or recall.value is None:
        return replace(precision, mark="")
    marks = {precision.mark, recall.mark}
    mark = "" if "" in marks else "best" if marks == {"best"} else "tie"
    warnings = tuple(dict.fromkeys((*precision.warnings, *recall.warnings)))
    text = f"{_number(precision)} / {_number(recall)} ({precision.seeds})"
    return Cell(text, mark=mark, warnings=warnings)


def _number(cell: Cell) -> str:
    return f"{cell.value:.3f}" + ("" if cell.half_width is None else f" ± {cell.half_width:.3f}")

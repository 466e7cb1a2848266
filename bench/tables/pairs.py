"""Pairs of precision and recall in the layout of the RAE paper's Table 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..comparison.cells import (
    NORMAL_NOTE,
    OVER_SEEDS,
    Part,
    header_of,
    mark_note,
    method_order,
    normal_column,
    score_lines,
    table_parts,
)
from ..comparison.columns import columns_of, with_places, without_floor
from ..comparison.table import Cell, Table, file_name

if TYPE_CHECKING:
    import pandas as pd

PAIR = ("prd_f1/8", "prd_f8")
CAPTION = (
    "Each pair: precision (largest F_1/8) / recall (largest F_8) of samples; higher is better.",
    OVER_SEEDS,
    NORMAL_NOTE,
)
MARKED = "A pair is marked only where both of its scores are."


def pair_tables(rows: pd.DataFrame) -> Iterator[Table]:
    """Yields a table of pairs for each suite that has both scores."""
    for part in table_parts(without_floor(rows)):
        placed = normal_column(with_places(part.rows))
        placed = placed[placed["images"] == "sample"]
        if set(PAIR) <= set(placed["metric"]):
            yield _pair_table(part, placed[placed["metric"].isin(PAIR)])


def _pair_table(part: Part, rows: pd.DataFrame) -> Table:
    found = [columns_of(rows[rows["metric"] == metric]) for metric in PAIR]
    first, second = ({header_of(column): column for column in columns} for columns, _ in found)
    header = [names for names in first if names in second]
    halves = [
        score_lines([half[names] for names in header], method_order(rows), rows)
        for half in (first, second)
    ]
    reasons = [reason for both in zip(*(r for _, r in halves), strict=True) for reason in both]
    lines = tuple(
        (method, tuple(map(_pair_cell, cells, halves[1][0][method])))
        for method, cells in halves[0][0].items()
    )
    features = f"Features: {', '.join(sorted(set(rows['features']) - {''}))}."
    return Table(
        file_name("prd", part.suffix),
        f"Precision / recall · {', '.join(dict(header))} · {part.title}",
        (*CAPTION, features, mark_note(reasons), MARKED),
        "objective",
        tuple(header),
        lines,
        tuple(found[1][1]),
    )


def _pair_cell(precision: Cell, recall: Cell) -> Cell:
    if precision.value is None or recall.value is None:
        return replace(precision, mark="")
    marks = {precision.mark, recall.mark}
    mark = "" if "" in marks else "best" if marks == {"best"} else "tie"
    return Cell(f"{_number(precision)} / {_number(recall)} ({precision.seeds})", mark=mark)


def _number(cell: Cell) -> str:
    return f"{cell.value:.3f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.3f}")

"""Pairs of precision and recall in the layout of the RAE paper's Table 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..comparison.cells import (
    Part,
    column_marks,
    mark_note,
    method_order,
    normal_column,
    score_cell,
    table_parts,
)
from ..comparison.columns import FLOOR, Column, columns_of, with_places
from ..comparison.table import Cell, Table, file_name

if TYPE_CHECKING:
    import pandas as pd

PAIR = ("prd_f1/8", "prd_f8")
CAPTION = (
    "Each pair: precision (largest F_1/8) / recall (largest F_8) of samples; higher is better.",
    "Mean ± standard deviation over seeds (count of seeds).",
    "N: the objective's own prior or second stage; a fitted Gaussian where none.",
)
MARKED = "A pair is marked only where both of its scores are."


def pair_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns a table of pairs for each suite, and notes on columns that had to be split."""
    tables, notes = [], []
    for part in table_parts(rows[rows["objective"] != FLOOR]):
        placed = normal_column(with_places(part.rows))
        placed = placed[placed["images"] == "sample"]
        if set(PAIR) <= set(placed["metric"]):
            table, more = _pair_table(part, placed)
            tables.append(table)
            notes += more
    return tables, list(dict.fromkeys(notes))


def _pair_table(part: Part, placed: pd.DataFrame) -> tuple[Table, list[str]]:
    scored = placed[placed["metric"].isin(PAIR)]
    halves: list[dict[tuple[str, str], Column]] = []
    notes: list[str] = []
    for metric in PAIR:
        columns, notes = columns_of(scored[scored["metric"] == metric])
        halves.append({(c.group, c.place): c for c in columns})
    expected = {name: own["seed"].nunique() for name, own in scored.groupby("dataset")}
    methods = method_order(scored)
    header = [key for key in halves[0] if key in halves[1]]
    cells: dict[tuple[str, str, str], Cell] = {}
    reasons: list[str] = []
    for key in header:
        pair = [half[key] for half in halves]
        marks, why = zip(*(column_marks(column) for column in pair), strict=True)
        reasons += why
        count = expected[pair[0].rows["dataset"].iloc[0]]
        for method in methods:
            own = [column.rows[column.rows["method"] == method] for column in pair]
            both = {mark.get(method, "") for mark in marks}
            cells[method, *key] = _pair_cell(own, count, _common(both))
    lines = tuple((m, tuple(cells[m, *key] for key in header)) for m in methods)
    features = ", ".join(sorted(set(scored["features"]) - {""}))
    caption = (*CAPTION, f"Features: {features}.", mark_note(reasons), MARKED, *notes)
    names = tuple((group, "N(0,I) / N" if place == "N" else place) for group, place in header)
    title = f"Precision / recall · {', '.join(dict(header))} · {part.title}"
    return Table(file_name("prd", part.suffix), title, caption, "objective", names, lines), notes


def _pair_cell(halves: list[pd.DataFrame], expected: int, mark: str) -> Cell:
    cells = [score_cell(rows, expected) for rows in halves]
    numbers = [cell for cell in cells if cell.value is not None]
    if len(numbers) < 2:
        return cells[0]
    return Cell(f"{' / '.join(map(_number, cells))} ({cells[0].seeds})", mark=mark)


def _number(cell: Cell) -> str:
    return f"{cell.value:.3f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.3f}")


def _common(marks: set[str]) -> str:
    if "" in marks:
        return ""
    return "best" if marks == {"best"} else "tie"

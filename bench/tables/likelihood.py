"""The likelihood table: every score with its kind, model, samples and effective sample size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..comparison.cells import Part, column_marks, mark_note, method_order, score_cell, table_parts
from ..comparison.columns import Column, columns_of, with_places
from ..comparison.labels import ARROWS, metric_short, metric_title
from ..comparison.table import Cell, Table, file_name, format_number

if TYPE_CHECKING:
    import pandas as pd

MARKS = ("kind", "model", "space", "density", "samples_k", "ess_median")
HEADERS = ("kind", "model", "space", "density", "K", "ESS")


def likelihood_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns a table for each likelihood score, and notes on columns that had to be split."""
    tables, notes = [], []
    for part in table_parts(rows):
        placed = with_places(part.rows)
        placed = placed[placed["kind"] != ""]
        for metric in sorted(placed["metric"].unique()):
            table, more = _likelihood_table(part, placed[placed["metric"] == metric])
            tables.append(table)
            notes += more
    return tables, list(dict.fromkeys(notes))


def _likelihood_table(part: Part, rows: pd.DataFrame) -> tuple[Table, list[str]]:
    metric = str(rows["metric"].iloc[0])
    rows = rows.assign(place=metric_short(metric), plain=rows["method"])
    rows["method"] = [
        " | ".join(str(row[name]) for name in ("plain", "density", "kind", "model", "samples_k"))
        for row in rows.to_dict("records")
    ]
    columns, notes = columns_of(rows)
    marks = [column_marks(column) for column in columns]
    expected = {name: own["seed"].nunique() for name, own in rows.groupby("dataset")}
    lines = []
    for method in method_order(rows):
        own = rows[rows["method"] == method]
        scores = [
            _score(column, method, expected[column.rows["dataset"].iloc[0]], mark.get(method, ""))
            for column, (mark, _) in zip(columns, marks, strict=True)
        ]
        lines.append((str(own["plain"].iloc[0]), (*scores, *_mark_cells(own))))
    header = (*((column.group, column.place) for column in columns), *(("", h) for h in HEADERS))
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    arrow = ARROWS.get(str(rows["better"].iloc[0]), "")
    title = f"{metric_title(metric)} {arrow} · {names} · {part.title}"
    caption = (
        f"{metric_short(metric)} in {rows['unit'].iloc[0]}, mean ± standard deviation over seeds.",
        "A lower bound on the likelihood (≤ in bits/dim, ≥ in nats) holds in expectation, with K "
        "importance samples and their median effective sample size (ESS).",
        "completed: density and observation noise fitted after training.",
        mark_note([reason for _, reason in marks]),
        "Nothing is ranked ahead of a bound, since the truth may be better than the bound.",
        *_warnings(rows),
        *notes,
    )
    table = Table(
        file_name(metric, part.suffix), title, caption, "objective", header, tuple(lines)
    )
    return table, notes


def _score(column: Column, method: str, expected: int, mark: str) -> Cell:
    return score_cell(column.rows[column.rows["method"] == method], expected, mark)


def _mark_cells(rows: pd.DataFrame) -> list[Cell]:
    first = rows.iloc[0]
    cells = [Cell(str(first[name])) for name in MARKS[:4]]
    k, ess = rows["samples_k"].dropna(), rows["ess_median"].dropna()
    cells.append(Cell(str(int(k.iloc[0]))) if len(k) else Cell("-"))
    cells.append(
        Cell(format_number(float(ess.mean())), float(ess.mean())) if len(ess) else Cell("-")
    )
    return cells


def _warnings(rows: pd.DataFrame) -> list[str]:
    doubtful = rows[(rows["reason"] != "") & (rows["status"] == "ok")]
    reasons = doubtful.groupby("plain")["reason"].first()
    return [f"{name}: {str(reason).rstrip('.')}." for name, reason in reasons.items()]

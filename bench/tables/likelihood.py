"""The likelihood table: every score with its kind, model, samples and effective sample size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..comparison.cells import (
    Part,
    header_of,
    mark_note,
    method_order,
    score_lines,
    table_parts,
    title_of,
)
from ..comparison.columns import columns_of, with_places
from ..comparison.labels import metric_short
from ..comparison.table import Cell, Table, file_name, format_number

if TYPE_CHECKING:
    import pandas as pd

CONDITIONS = ("kind", "model", "space", "density")
HEADERS = (*CONDITIONS, "K", "ESS")


def likelihood_tables(rows: pd.DataFrame) -> Iterator[Table]:
    """Yields a table for each likelihood score."""
    for part in table_parts(rows):
        placed = with_places(part.rows)
        placed = placed[placed["kind"] != ""]
        for metric in sorted(placed["metric"].unique()):
            yield _likelihood_table(part, placed[placed["metric"] == metric])


def _likelihood_table(part: Part, rows: pd.DataFrame) -> Table:
    metric = str(rows["metric"].iloc[0])
    rows = rows.assign(place=metric_short(metric), plain=rows["method"])
    # A method has a line for each way in which its likelihood was computed.
    rows["method"] = [
        " | ".join(str(row[name]) for name in ("plain", "density", "kind", "model", "samples_k"))
        for row in rows.to_dict("records")
    ]
    columns, splits = columns_of(rows)
    cells, reasons = score_lines(columns, method_order(rows), rows)
    lines = []
    for method, scores in cells.items():
        own = rows[rows["method"] == method]
        lines.append((str(own["plain"].iloc[0]), (*scores, *_condition_cells(own))))
    caption = (
        f"{metric_short(metric)} in {rows['unit'].iloc[0]}, mean ± standard deviation over seeds.",
        "A lower bound on the likelihood (≤ in bits/dim, ≥ in nats) holds in expectation, with K "
        "importance samples and their median effective sample size (ESS).",
        "completed: density and observation noise fitted after training.",
        mark_note(reasons),
        "Nothing is ranked ahead of a bound, since the truth may be better than the bound.",
        *_warnings(rows),
    )
    return Table(
        file_name(metric, part.suffix),
        title_of(rows, columns, part),
        caption,
        "objective",
        (*map(header_of, columns), *(("", name) for name in HEADERS)),
        tuple(lines),
        tuple(splits),
    )


def _condition_cells(rows: pd.DataFrame) -> list[Cell]:
    first = rows.iloc[0]
    k, ess = rows["samples_k"].dropna(), rows["ess_median"].dropna()
    samples = Cell(str(int(k.iloc[0])) if len(k) else "-")
    size = Cell(format_number(float(ess.mean())), float(ess.mean())) if len(ess) else Cell("-")
    return [*(Cell(str(first[name])) for name in CONDITIONS), samples, size]


def _warnings(rows: pd.DataFrame) -> list[str]:
    doubtful = rows[(rows["reason"] != "") & (rows["status"] == "ok")]
    reasons = doubtful.groupby("plain")["reason"].first()
    return [f"{name}: {str(reason).rstrip('.')}." for name, reason in reasons.items()]

"""The wide table in the layout of the RAE paper's Table 1, one for each score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..comparison.cells import (
    Part,
    column_marks,
    join,
    mark_note,
    method_order,
    normal_column,
    one_likelihood,
    score_cell,
    table_parts,
)
from ..comparison.columns import FLOOR, Column, columns_of, sort_places, with_places
from ..comparison.labels import ARROWS, metric_short, metric_title, objective_order
from ..comparison.table import Cell, Table, file_name, format_number

if TYPE_CHECKING:
    import pandas as pd

LIKELIHOOD_NOTES = (
    "bits/dim: the most trusted row of each run; ≤ marks a lower bound on the likelihood, hence "
    "an upper bound here, c a density and noise completed after training (likelihood table).",
)
IMAGES = ("reconstruction", "sample", "interpolation")


def wide_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns one wide table for each image score, and notes on columns that had to be split."""
    tables, notes = [], []
    for part in table_parts(rows):
        placed = with_places(part.rows)
        scored = placed[placed["images"].isin(IMAGES)]
        # A metric that failed stands under its own name, not its scores': no table of failures.
        computed = scored[scored["status"] == "ok"]
        scores = (computed if len(computed) else scored)["metric"].unique()
        for metric in objective_order(scores):
            table, more = _wide_table(part, placed, str(metric))
            tables.append(table)
            notes += more
    return tables, list(dict.fromkeys(notes))


def score_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns one table of all scores of test images, a column a score, likelihoods aside."""
    tables, notes = [], []
    for part in table_parts(rows):
        placed = with_places(part.rows)
        placed = placed[(placed["images"] == "test") & (placed["kind"] == "")]
        trained = placed[placed["objective"] != FLOOR]
        if len(trained):
            own, more = columns_of(trained.assign(place=trained["metric"]))
            tables.append(_score_table(part, trained, own, more))
            notes += more
    return tables, list(dict.fromkeys(notes))


def _wide_table(part: Part, placed: pd.DataFrame, metric: str) -> tuple[Table, list[str]]:
    scored = normal_column(placed[(placed["metric"] == metric) & placed["images"].isin(IMAGES)])
    scored = scored[scored["objective"] != FLOOR]
    floor = placed[(placed["metric"] == metric) & (placed["objective"] == FLOOR)]
    likelihood = one_likelihood(placed)
    columns, notes = columns_of(join(floor, join(likelihood, scored)))
    columns = _in_layout(columns)
    expected = {name: own["seed"].nunique() for name, own in _trained(placed).groupby("dataset")}
    methods = method_order(join(floor, join(likelihood, scored)))
    cells, reasons = {}, []
    for column in columns:
        marks, reason = column_marks(column)
        reasons.append(reason)
        count = expected[column.rows["dataset"].iloc[-1]]
        for method in methods:
            own = column.rows[column.rows["method"] == method]
            cells[method, column.group, column.place] = score_cell(
                own, count, marks.get(method, "")
            )
    extra = _extra_columns(placed)
    lines = tuple(
        (m, (*(cells[m, c.group, c.place] for c in columns), *(e[m] for e in extra.values())))
        for m in methods
    )
    first = scored.iloc[0]
    arrow = ARROWS.get(str(first["better"]), "")
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    title = f"{metric_title(metric)} {arrow} · {names} · {part.title}"
    header = (*((c.group, _header(c.place)) for c in columns), *(("", name) for name in extra))
    caption = (*_caption(scored, reasons), *(LIKELIHOOD_NOTES if len(likelihood) else ()), *notes)
    name = file_name(metric, part.suffix)
    return Table(name, title, caption, "objective", header, lines), notes


def _score_table(part: Part, rows: pd.DataFrame, columns: list[Column], notes: list[str]) -> Table:
    expected = {name: own["seed"].nunique() for name, own in rows.groupby("dataset")}
    marks = [column_marks(column) for column in columns]
    lines = []
    for method in method_order(rows):
        cells = []
        for column, (mark, _) in zip(columns, marks, strict=True):
            own = column.rows[column.rows["method"] == method]
            count = expected[column.rows["dataset"].iloc[0]]
            cells.append(score_cell(own, count, mark.get(method, "")))
        lines.append((method, tuple(cells)))
    header = []
    for column in columns:
        first = column.rows.iloc[0]
        name = metric_short(first["metric"])
        header.append((column.group, f"{name} {ARROWS.get(first['better'], '')}".strip()))
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    units = sorted(
        {
            f"{metric_short(m)} in {u}"
            for m, u in zip(rows["metric"], rows["unit"], strict=True)
            if u
        }
    )
    caption = (
        f"{'; '.join(units)}." if units else "",
        "Mean ± standard deviation over seeds (count of seeds).",
        mark_note([reason for _, reason in marks]),
        *notes,
    )
    title = f"Scores of test images · {names} · {part.title}"
    name = file_name("test-images", part.suffix)
    return Table(name, title, caption, "objective", tuple(header), tuple(lines))


def _in_layout(columns: list[Column]) -> list[Column]:
    groups = list(dict.fromkeys(column.group for column in columns))
    places = {name: at for at, name in enumerate(sort_places(c.place for c in columns))}
    return sorted(columns, key=lambda c: (groups.index(c.group), places[c.place]))


def _header(place: str) -> str:
    return "N(0,I) / N" if place == "N" else place


def _caption(rows: pd.DataFrame, reasons: list[str]) -> list[str]:
    unit, metric = rows["unit"].iloc[0], str(rows["metric"].iloc[0])
    features = sorted(set(rows["features"]) - {""})
    counts = sorted({f"{g}" for g in rows["n_generated"].dropna()}, key=float)
    real = sorted({f"{g}" for g in rows["n_real"].dropna()}, key=float)
    notes = [f"{metric_short(metric)} in {unit}." if unit else f"{metric_short(metric)}."]
    if features:
        notes.append(f"Features: {', '.join(features)}.")
    if real:
        notes.append(f"Images: {', '.join(real)} real, {', '.join(counts)} scored.")
    notes.append("Mean ± standard deviation over seeds (count of seeds).")
    if "N" in set(rows["place"]):
        notes.append("N: the objective's own prior or second stage; a fitted Gaussian where none.")
    return [*notes, mark_note(reasons)]


def _extra_columns(rows: pd.DataFrame) -> dict[str, dict[str, Cell]]:
    trained = _trained(rows)
    sizes = trained.groupby("method")
    extra: dict[str, dict[str, Cell]] = {}
    for name, header in (
        ("parameters_backbone", "parameters"),
        ("parameters_outside", "outside backbone"),
        ("train_seconds", "train s"),
    ):
        means = sizes[name].mean()
        extra[header] = {str(m): Cell(_count_text(v), float(v)) for m, v in means.items()}
        extra[header][FLOOR] = Cell("-")
    return extra


def _count_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else format_number(value)


def _trained(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["objective"] != FLOOR]

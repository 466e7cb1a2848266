"""Tables over latent sizes in the AEF paper's manner: a line an objective, a column a size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..comparison.cells import (
    column_marks,
    join,
    mark_note,
    method_order,
    normal_column,
    one_likelihood,
    score_cell,
)
from ..comparison.columns import FLOOR, columns_of, with_places
from ..comparison.labels import ARROWS, metric_short, metric_title, objective_order, suite_title
from ..comparison.table import Table, file_name

if TYPE_CHECKING:
    import pandas as pd


def grid_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns, for suites with several latent sizes, a table over them for each score.

    Image scores are those of samples from what each objective samples from (column N).
    """
    tables, notes = [], []
    suites = list(rows.groupby(["suite", "scale"], sort=True))
    for (suite, scale), part in suites:
        trained = part[part["objective"] != FLOOR]
        sizes = trained.groupby("dataset")["latent_dim"].nunique()
        if len(sizes) == 0 or sizes.max() < 2:
            continue
        placed = with_places(trained)
        normal = normal_column(placed[placed["images"] == "sample"])
        scored = join(one_likelihood(placed), normal[normal["place"] == "N"])
        prefix = file_name(str(suite), str(scale)) if len(suites) > 1 else ""
        title = suite_title({"suite": suite, "scale": scale})
        for metric in objective_order(scored["metric"].unique()):
            table, more = _grid_table(scored[scored["metric"] == metric], title, prefix)
            tables.append(table)
            notes += more
    return tables, list(dict.fromkeys(notes))


def _grid_table(rows: pd.DataFrame, title: str, prefix: str) -> tuple[Table, list[str]]:
    metric = str(rows["metric"].iloc[0])
    methods, notes, reasons = method_order(rows), [], []
    header, cells = [], {}
    expected = {name: own["seed"].nunique() for name, own in rows.groupby("dataset")}
    for size, own in rows.groupby("latent_dim"):
        columns, more = columns_of(own)
        notes += [f"d = {size}: {note}" for note in more]
        for column in columns:
            marks, reason = column_marks(column)
            reasons.append(reason)
            count = expected[column.rows["dataset"].iloc[0]]
            header.append((column.group, f"d = {size}"))
            for method in methods:
                scores = column.rows[column.rows["method"] == method]
                cells[method, header[-1]] = score_cell(scores, count, marks.get(method, ""))
    header.sort(key=lambda pair: pair[0])
    lines = tuple((m, tuple(cells[m, name] for name in header)) for m in methods)
    arrow = ARROWS.get(str(rows["better"].iloc[0]), "")
    where = "samples" if (rows["images"] == "sample").all() else "test images"
    full = f"{metric_title(metric)} of {where} over latent sizes {arrow} · {title}"
    caption = (
        f"{metric_short(metric)} in {rows['unit'].iloc[0] or 'its own unit'}.",
        "Mean ± standard deviation over seeds (count of seeds).",
        mark_note(reasons),
        *notes,
    )
    name = file_name("grid", metric, prefix)
    return Table(name, full, caption, "objective", tuple(header), lines), notes

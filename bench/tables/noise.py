"""Tables over noise levels in the AEF paper's manner: a line an objective, a column a level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..comparison.cells import column_marks, mark_note, method_order, score_cell
from ..comparison.columns import FLOOR, columns_of, method_labels, with_places
from ..comparison.labels import ARROWS, metric_short, metric_title, settings_of, suite_title
from ..comparison.table import Cell, Table, file_name
from ..files.storage import canonical_json

if TYPE_CHECKING:
    import pandas as pd

LEVEL = "noise_sigma"
SCORES = ("ife", "mse")


def noise_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns, for suites with several noise levels, a table over them for each score."""
    tables, notes = [], []
    trained = rows[rows["objective"] != FLOOR]
    suites = list(trained.groupby(["suite", "scale"], sort=True))
    for (suite, scale), part in suites:
        levelled = _with_level(with_places(part))
        if levelled["level"].nunique() < 2:
            continue
        title = suite_title({"suite": suite, "scale": scale})
        prefix = file_name(str(suite), str(scale)) if len(suites) > 1 else ""
        for size, own in levelled.groupby("latent_dim"):
            for metric in [m for m in SCORES if m in set(own["metric"])]:
                scored = own[(own["metric"] == metric) & (own["images"] == "test")]
                name = file_name("noise", metric, f"d{size}", prefix)
                if len(scored):
                    table, more = _noise_table(scored, f"{title}, d = {size}", name)
                    tables.append(table)
                    notes += more
    return tables, list(dict.fromkeys(notes))


def _with_level(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps rows with noise; the level is a column of its own and no part of the method."""
    settings = [settings_of(text) for text in rows["variant"]]
    levels = [own.pop(LEVEL, None) for own in settings]
    rows = rows.assign(
        level=levels, variant=[canonical_json(own) if own else "" for own in settings]
    )
    rows = rows[[isinstance(level, int | float) for level in levels]].copy()
    rows["method"] = method_labels(rows.assign(run=""))
    return rows


def _noise_table(rows: pd.DataFrame, title: str, name: str) -> tuple[Table, list[str]]:
    methods = method_order(rows)
    notes: list[str] = []
    reasons: list[str] = []
    columns: dict[tuple[str, str], dict[str, Cell]] = {}
    expected = {dataset: own["seed"].nunique() for dataset, own in rows.groupby("dataset")}
    for level, own in rows.groupby("level"):
        split, more = columns_of(own)
        notes += [f"noise {level:g}: {note}" for note in more]
        for column in split:
            marks, reason = column_marks(column)
            reasons.append(reason)
            count = expected[column.rows["dataset"].iloc[0]]
            columns[column.group, f"noise {level:g}"] = {
                method: score_cell(
                    column.rows[column.rows["method"] == method], count, marks.get(method, "")
                )
                for method in methods
            }
    header = sorted(columns, key=lambda pair: pair[0])
    first = rows.iloc[0]
    arrow = ARROWS.get(str(first["better"]), "")
    caption = (
        f"{metric_short(first['metric'])} in {first['unit'] or 'its own unit'}.",
        "Columns: standard deviation of the noise, images in [0, 1].",
        "Mean ± standard deviation over seeds (count of seeds).",
        mark_note(reasons),
        *notes,
    )
    full = f"{metric_title(first['metric'])} of denoised test images {arrow} · {title}"
    lines = tuple((method, tuple(columns[key][method] for key in header)) for method in methods)
    return Table(name, full, caption, "objective", tuple(header), lines), notes

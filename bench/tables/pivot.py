"""Tables over a setting in the AEF paper's manner: a line an objective, a column a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..comparison.cells import (
    OVER_SEEDS,
    has_several_sizes,
    mark_note,
    method_order,
    normal_column,
    one_likelihood,
    score_lines,
    suite_parts,
)
from ..comparison.columns import (
    columns_of,
    join,
    method_labels,
    with_places,
    without_floor,
    without_setting,
)
from ..comparison.labels import ARROWS, metric_short, metric_title, objective_order
from ..comparison.table import Table, file_name

if TYPE_CHECKING:
    import pandas as pd

DENOISING_SCORES = ("ife", "mse")
NOISE = "Columns: standard deviation of the noise, images in [0, 1]."


def grid_tables(rows: pd.DataFrame) -> Iterator[Table]:
    """Yields, for suites with several latent sizes, a table over them for each score.

    Image scores are those of samples from what each objective samples from (column N).
    """
    for part in suite_parts(rows):
        trained = without_floor(part.rows)
        if not has_several_sizes(trained):
            continue
        placed = with_places(trained)
        normal = normal_column(placed[placed["images"] == "sample"])
        scored = join(one_likelihood(placed), normal[normal["place"] == "N"])
        for metric in objective_order(scored["metric"].unique()):
            own = scored[scored["metric"] == metric]
            where = "samples" if (own["images"] == "sample").all() else "test images"
            named = (file_name("grid", metric, part.suffix), f"{where} over latent sizes")
            yield _pivot(own, "latent_dim", "d = {}", *named, part.title)


def noise_tables(rows: pd.DataFrame) -> Iterator[Table]:
    """Yields, for suites with several noise levels, a table over them for each score."""
    for part in suite_parts(without_floor(rows)):
        levelled = _with_level(with_places(part.rows))
        if levelled["level"].nunique() < 2:
            continue
        tested = levelled[levelled["images"] == "test"]
        for size, same in tested.groupby("latent_dim"):
            for metric in [m for m in DENOISING_SCORES if m in set(same["metric"])]:
                own = same[same["metric"] == metric]
                name = file_name("noise", metric, f"d{size}", part.suffix)
                title = f"{part.title}, d = {size}"
                yield _pivot(
                    own, "level", "noise {:g}", name, "denoised test images", title, NOISE
                )


def _with_level(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps rows with noise; the level is a column of its own and no part of the method."""
    levels, rest = without_setting(rows, "noise_sigma")
    kept = rest.assign(level=levels)[[isinstance(level, int | float) for level in levels]]
    # Without their runs, since those of two levels are no repetition of a method.
    return kept.assign(method=method_labels(kept.assign(run="")))


def _pivot(
    rows: pd.DataFrame, by: str, header: str, name: str, what: str, suite: str, *note: str
) -> Table:
    """Returns the table of one score with a column for each value of the column ``by``."""
    columns, splits = [], []
    for value, own in rows.groupby(by):
        split, more = columns_of(own)
        columns += [((column.group, header.format(value)), column) for column in split]
        splits += [f"{header.format(value)}: {reason}" for reason in more]
    columns.sort(key=lambda pair: pair[0][0])
    cells, reasons = score_lines([column for _, column in columns], method_order(rows), rows)
    first = rows.iloc[0]
    title = f"{metric_title(first['metric'])} of {what} {ARROWS.get(first['better'], '')}"
    unit = f"{metric_short(first['metric'])} in {first['unit'] or 'its own unit'}."
    return Table(
        name,
        f"{title} · {suite}",
        (unit, *note, OVER_SEEDS, mark_note(reasons)),
        "objective",
        tuple(names for names, _ in columns),
        tuple((method, tuple(line)) for method, line in cells.items()),
        tuple(splits),
    )

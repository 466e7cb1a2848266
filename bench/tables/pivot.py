"""Tables over a setting in the AEF paper's manner: a line an objective, a column a value."""

from __future__ import annotations

from collections.abc import Iterator

from ..comparison.cells import normal_column, score_table
from ..comparison.columns import (
    Column,
    columns_of,
    is_reference,
    join,
    with_places,
    without_floor,
    without_setting,
)
from ..comparison.labels import objective_order, score_title
from ..comparison.likelihoods import one_likelihood
from ..comparison.lost import without_failures
from ..comparison.parts import Part, has_several_sizes, suite_parts
from ..comparison.steps import longest
from ..comparison.table import TABLES, Table, file_name
from ..records.results import Rows
from .wide import measure_notes

DENOISING_SCORES = ("ife", "mse")
NOISE = "Columns: standard deviation of the noise, images in [0, 1]."


@TABLES.register("grid")
def grid_tables(rows: Rows) -> Iterator[Table]:
    """Yields, for suites with several latent sizes, a table over them for each score.

    Image scores are those of samples from what each objective samples from (column N).
    """
    for part in suite_parts(longest(rows)):
        if not has_several_sizes(without_floor(part.rows)):
            continue
        placed = with_places(part.rows)
        normal = normal_column(placed[placed["images"] == "sample"])
        scored = join(one_likelihood(placed), without_failures(normal[normal["place"] == "N"]))
        references = placed[is_reference(placed)]
        for metric in objective_order(scored["metric"].unique()):
            own = scored[scored["metric"] == metric]
            where = "samples" if (own["images"] == "sample").all() else "test images"
            named = (file_name("grid", metric), f"{where} over latent sizes")
            shown = join(references[references["metric"] == metric], own)
            yield _pivot(part, shown, "latent_dim", "d = {}", *named)


@TABLES.register("noise")
def noise_tables(rows: Rows) -> Iterator[Table]:
    """Yields, for suites with several noise levels, a table over them for each score."""
    for part in suite_parts(without_floor(longest(rows))):
        levelled = _with_level(with_places(part.rows))
        if levelled["level"].nunique() < 2:
            continue
        tested = levelled[levelled["images"] == "test"]
        for size, same in tested.groupby("latent_dim"):
            sized = Part(same, f"{part.title}, d = {size}", part.suffix)
            for metric in [m for m in DENOISING_SCORES if m in set(same["metric"])]:
                own = same[same["metric"] == metric]
                named = (file_name("noise", metric, f"d{size}"), "denoised test images")
                yield _pivot(sized, own, "level", "noise {:g}", *named, NOISE)


def _with_level(rows: Rows) -> Rows:
    """Keeps rows with noise; the level is a column of its own and no part of the method."""
    levels, rest = without_setting(rows, "noise_sigma")
    levelled = [isinstance(level, int | float) for level in levels]
    return rest.assign(level=levels)[levelled]


def _pivot(
    part: Part, rows: Rows, by: str, header: str, stem: str, what: str, note: str = ""
) -> Table:
    """Returns the table of one score with a column for each value of the column ``by``."""
    columns, splits = [], []
    references, trained = rows[is_reference(rows)], without_floor(rows)
    for value, own in trained.groupby(by):
        split, more = columns_of(join(references, own))
        name = header.format(value)
        columns += [((column.group, _header(name, column)), column) for column in split]
        splits += [f"{name}: {reason}" for reason in more]
    columns.sort(key=lambda pair: (pair[0][0], pair[1].place))
    first = trained.iloc[0].to_dict()
    notes = (*measure_notes(trained), note)
    return score_table(part, stem, score_title(first, what), columns, rows, notes, splits)


def _header(value: str, column: Column) -> str:
    """Returns a column's name: the setting's value and, for likelihoods, the space."""
    return ", ".join(filter(None, (value, column.place.partition(", ")[2])))

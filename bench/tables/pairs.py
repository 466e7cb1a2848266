"""Pairs of precision and recall in the layout of the RAE paper's Table 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..comparison.cells import NORMAL_NOTE, headed, mark_notes, normal_column, score_table
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
    told = first.notes
    if told != second.notes:  # Their marks differ, and a pair has only those of both.
        shared = (note for note in told if note in second.notes)
        told = tuple(dict.fromkeys((*shared, *mark_notes(_marked(first.columns, lines)))))
    return replace(
        first,
        notes=told,
        lines=lines,
        splits=tuple(dict.fromkeys((*first.splits, *second.splits))),
    )


def _marked(
    columns: Sequence[tuple[str, str]], lines: Iterable[tuple[str, Sequence[Cell]]]
) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yields of each column of pairs its name, its marks, and why it has none."""
    several = len({group for group, _ in columns}) > 1
    for at, header in enumerate(columns):
        marks = {method: own[at].mark for method, own in lines if own[at].mark}
        yield ": ".join(header) if several else header[1], marks, "no row is marked in both scores"


def _pair_cell(precision: Cell, recall: Cell) -> Cell:
    if precision.value is None or recall.value is None:
        return replace(precision, mark="")
    marks = {precision.mark, recall.mark}
    mark = "" if "" in marks else "best" if marks == {"best"} else "tie"
    warnings = tuple(dict.fromkeys((*precision.warnings, *recall.warnings)))
    numbers = (cell.text.removesuffix(f" ({cell.seeds})") for cell in (precision, recall))
    text, cut = f"{' / '.join(numbers)} ({precision.seeds})", precision.cut or recall.cut
    return Cell(text, seeds=precision.seeds, mark=mark, warnings=warnings, cut=cut)

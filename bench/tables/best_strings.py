"""The best strings of each method by name, beside those that are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...metrics.expressions import expression_score
from ..comparison.cells import method_order
from ..comparison.columns import without_floor
from ..comparison.parts import Part, table_parts
from ..comparison.steps import steps_note
from ..comparison.strings import EXPRESSIONS, by_task, candidates_of, task_of
from ..comparison.table import Cell, Table, file_name, text_table
from ..comparison.texts import ArraysOf, best_texts
from ..records.results import Rows
from .printed_strings import deviations, printed
from .strings import AS_PRINTED

BEST = "best-strings"
ARROW = {True: "↓", False: "↑"}
NOTE = (
    "The best distinct scores of all searches of all seeds of a method, so that more seeds have "
    "better ones."
)
DIVISION = (
    "legacy: whole numbers divided as Python 2 does, only to compare with print; printed scores "
    "stand in their printed order."
)


def best_string_tables(rows: Rows, arrays_of: ArraysOf) -> Iterator[Table]:
    """Yields, for each suite's texts, a table of the best three strings of each method.

    Args:
        rows: Result rows.
        arrays_of: The arrays of a run; without any there is no table.
    """
    for part in table_parts(rows):
        found = candidates_of(by_task(without_floor(part.rows)))
        for _, own in found.groupby("dataset", sort=True):
            lines = list(_lines(own, arrays_of))
            if lines:
                several = found["dataset"].nunique() > 1
                yield _table(own, lines, part, several)


def _table(rows: Rows, lines: list[Sequence[object]], part: Part, several: bool) -> Table:
    dataset = str(rows["dataset"].iloc[0])
    task = task_of(dataset)
    is_expression = task == EXPRESSIONS
    header = ["objective", "place", "string", f"score {ARROW[is_expression]}"]
    header += ["score, legacy"] if is_expression else []
    return text_table(
        file_name(BEST, part.suffix, dataset if several else ""),
        f"The best {task} · {dataset} · {part.title}",
        (*header, "printed"),
        [*lines, *_printed_lines(task)],
        (
            *(NOTE, *((DIVISION,) if is_expression else ())),
            *(steps_note(rows), *deviations(dataset)),
        ),
    )


def _lines(rows: Rows, arrays_of: ArraysOf) -> Iterator[Sequence[object]]:
    for method in method_order(rows):
        own = rows[rows["method"] == method]
        legacy = task_of(str(own["dataset"].iloc[0])) == EXPRESSIONS
        for at, (score, text) in enumerate(best_texts(own, arrays_of)):
            yield (method, at + 1, text, *_scores(text, score, legacy), "-")


def _printed_lines(task: str) -> Iterator[Sequence[object]]:
    legacy = task == EXPRESSIONS
    for model, found in printed(task).items():
        for at, (value, text) in enumerate(found.best):
            scores = _scores(text, expression_score(text), True) if legacy else ["-"]
            shown = Cell(f"{value:.2f}", value)
            yield (f"{model}, {AS_PRINTED}", at + 1, text or "drawn only", *scores, shown)


def _scores(text: str, score: float, legacy: bool) -> list[Cell]:
    """Returns the cells of a string's scores, for expressions under both divisions."""
    values = [score, expression_score(text, division="legacy")] if legacy else [score]
    return [Cell(f"{value:.4f}" if legacy else f"{value:.2f}", value) for value in values]

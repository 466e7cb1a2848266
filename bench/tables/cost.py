"""Scores at equal cost: objectives whose trainings took about the same CPU seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..comparison.cells import (
    column_cells,
    column_marks,
    headed,
    interval_notes,
    mark_notes,
    method_order,
    normal_column,
    reference_note,
)
from ..comparison.columns import Column, columns_of, is_reference, join, without_floor
from ..comparison.costs import device_note
from ..comparison.labels import score_title
from ..comparison.likelihoods import noise_notes, one_likelihood
from ..comparison.parts import Part, table_parts
from ..comparison.scored import compute_seconds, scores_by
from ..comparison.strings import without_texts
from ..comparison.table import TABLES, Cell, Table, file_name
from ..records.results import Rows
from .wide import COMPUTE_NOTE, LIKELIHOOD_NOTE, count_cell, in_layout, measure_notes

# How much dearer than the cheapest of its class a training may be.
FACTOR = 1.25
CAPTION = (
    "Class: trainings of one letter cost no more than "
    f"{FACTOR:g} times the cheapest of them, so that their scores compare at equal cost, whatever "
    "their steps; later letters cost more. Marks are within a class."
)
ALL_RUNS = "Scores are of all runs."
HEADER = ("class", "compute s", "steps")


@TABLES.register("cost")
def cost_tables(rows: Rows) -> Iterator[Table]:
    """Yields a table for each data set and CPU where equal steps are not equal cost.

    There is none where all trainings cost the same, or no two do. There is none for a GPU: its
    seconds depend on what else ran there and, in short trainings, on the host that feeds it.
    """
    for part in table_parts(rows, whatever_steps=True):
        trained = without_texts(without_floor(part.rows))
        on_cpu = trained[trained["device"].str.startswith("cpu")]
        groups = on_cpu[["dataset", "device"]].drop_duplicates().sort_values(["dataset", "device"])
        for dataset, device in groups.itertuples(index=False):
            own = trained[trained["dataset"] == dataset]
            # Scores do not depend on the device, and are those of all runs.
            seconds = own["compute_seconds"].where(own["device"] == device)
            own = own.assign(compute_seconds=seconds)
            costs = {m: compute_seconds(of) for m, of in scores_by(own, "method").items()}
            classes = cost_classes({m: cost for m, cost in costs.items() if cost is not None})
            own = own[own["method"].isin([method for of in classes for method in of])]
            if len(classes) > 1 and max(map(len, classes)) > 1:
                name = (str(dataset), str(device)) if len(groups) > 1 else ()
                title = f"Scores at equal cost · {dataset} on {device} · {part.title}"
                suffix = file_name("cost", part.suffix, *name)
                references = part.rows[is_reference(part.rows)]
                references = references[references["dataset"] == dataset]
                expected = _expected_seeds(trained[trained["dataset"] == dataset])
                told = [device_note(own), *([ALL_RUNS] if own["device"].nunique() > 1 else [])]
                priced = Part(own, title, suffix)
                yield _cost_table(priced, references, classes, expected, told)


def cost_classes(costs: Mapping[str, float]) -> list[list[str]]:
    """Returns the methods in classes of equal cost, cheapest first.

    Example:
        >>> cost_classes({"rae": 10.0, "vae": 12.0, "iwae": 60.0})
        [['rae', 'vae'], ['iwae']]
    """
    classes: list[list[str]] = []
    for method in sorted(costs, key=lambda name: (costs[name], name)):
        if classes and costs[method] <= FACTOR * costs[classes[-1][0]]:
            classes[-1].append(method)
        else:
            classes.append([method])
    return classes


def _expected_seeds(rows: Rows) -> dict[str, int]:
    """Returns how many seeds each method should have: those of all trainings of as many steps."""
    planned = rows.groupby("steps")["seed"].nunique()
    return {str(name): int(planned[own["steps"]].max()) for name, own in rows.groupby("method")}


def _cost_table(
    part: Part,
    references: Rows,
    classes: Sequence[Sequence[str]],
    expected: Mapping[str, int],
    told: Iterable[str],
) -> Table:
    rows = part.rows
    likelihood = one_likelihood(rows)
    fd = rows[(rows["metric"] == "fd") & rows["images"].isin(["reconstruction", "sample"])]
    shown = join(likelihood, normal_column(fd))
    references = references[references["metric"].isin(fd["metric"])]
    columns = headed(in_layout(columns_of(join(references, shown))[0])) if len(shown) else []
    marks = [_marks(column, classes) for _, column in columns]
    lines = {name: [Cell("-") for _ in HEADER] for name in method_order(references)}
    scores = scores_by(rows, "method")
    steps = rows["steps"].groupby(rows["method"]).unique()
    for at, methods in enumerate(classes):
        for method in methods:
            cost = count_cell(compute_seconds(scores[method]))
            lines[method] = [Cell(_letter(at)), cost, Cell(_steps(steps[method]))]
    for (_, column), (found, _) in zip(columns, marks, strict=True):
        for method, cell in column_cells(column, lines, expected, found).items():
            lines[method].append(cell)
    marked = [
        (name, found, reason)
        for ((_, name), _), (found, reason) in zip(columns, marks, strict=True)
    ]
    measured = without_floor(shown[shown["kind"] == ""])
    notes = [CAPTION, *(_measured(measured, likelihood) if len(measured) else [])]
    notes += [*([LIKELIHOOD_NOTE] if len(likelihood) else []), *noise_notes(likelihood)]
    notes += [COMPUTE_NOTE, *told, reference_note(references)]
    notes += [*interval_notes(shown), *mark_notes(marked)]
    return Table(
        part.suffix,
        part.title,
        tuple(filter(None, notes)),
        "objective",
        (*(("", name) for name in HEADER), *(header for header, _ in columns)),
        tuple((method, tuple(cells)) for method, cells in lines.items()),
    )


def _measured(rows: Rows, likelihoods: Rows) -> list[str]:
    """Returns the sentences of a caption on the score of images in the columns."""
    names = ", ".join(dict.fromkeys(name for (_, name), _ in headed(columns_of(rows)[0])))
    title = score_title(rows.iloc[0].to_dict())
    return [f"{names}: {title}.", *measure_notes(rows, likelihoods)]


def _marks(column: Column, classes: Sequence[Sequence[str]]) -> tuple[dict[str, str], str]:
    """Returns the marks of a column within each class, and why which classes have none."""
    marks: dict[str, str] = {}
    reasons: dict[str, list[str]] = {}
    for at, methods in enumerate(classes):
        own = column.rows[column.rows["method"].isin(list(methods))]
        if own["method"].nunique() > 1:
            found, reason = column_marks(replace(column, rows=own))
            marks |= found
            if reason:
                reasons.setdefault(reason, []).append(_letter(at))
    return marks, "; ".join(f"in {', '.join(own)} {reason}" for reason, own in reasons.items())


def _letter(at: int) -> str:
    """Returns A to Z, then AA, AB, ..."""
    return (_letter(at // 26 - 1) if at >= 26 else "") + chr(ord("A") + at % 26)


def _steps(counts: Iterable[int]) -> str:
    return ", ".join(f"{steps:,}" for steps in sorted(counts))

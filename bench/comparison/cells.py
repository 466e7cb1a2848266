"""What all tables share: which methods in which order, which marks, what a cell says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..records.results import Rows
from .columns import Column, without_floor
from .labels import FLOOR, REFERENCES, objective_order
from .likelihoods import bound_sign
from .numbers import format_number
from .parts import Part
from .ranges import limits_of
from .scored import (
    Scored,
    are_references,
    doubtful_values,
    image_error,
    lost_text,
    scores_by,
    seed_values,
    warnings_of,
)
from .significance import mean, separated_from_best
from .steps import steps_note
from .table import Cell, Table, file_name, seeds_cell

if TYPE_CHECKING:
    import pandas as pd

# What an objective's own samples, the N column, are drawn from: the first that there is.
NORMAL = ("second-stage", "prior", "gaussian")
# It has a prior, but the RAE paper draws its samples from one Gaussian fitted to its codes.
FITTED = "cv-vae"
OWN_DENSITY = (
    f"its prior or second stage; without either, and for {FITTED} as in the RAE paper, one "
    "Gaussian fitted to its codes, where its samples were scored"
)
NORMAL_HEADER = "N(0,I) / N"
NORMAL_NOTE = f"N: the objective's own samples, drawn from {OWN_DENSITY}."
TEST = "paired t-test over seeds, Holm-corrected, 5 %"
MARKS = {"best": "Bold: best", "tie": "Italic: not separated from the best"}
OVER_SEEDS = "Mean ± half-width of Student's 95 % interval over seeds (count of seeds)."
WORSE_THAN_REAL = "worse than real images"  # Then how these are damaged.
OVER_IMAGES = (
    "Likelihoods: ± covers the error over test images too, with one seed that alone; marks hold "
    "for these images."
)


def score_table(
    part: Part,
    stem: str,
    what: str,
    columns: Sequence[tuple[tuple[str, str], Column]],
    rows: Rows,
    notes: Iterable[str],
    splits: Iterable[str],
    *,
    extra: Mapping[str, Mapping[str, Cell]] | None = None,
    counted: Rows | None = None,
) -> Table:
    """Returns a table with a line for each method and a cell for each column.

    Args:
        part: The suite and scale.
        stem: The file's name, without what the part adds.
        what: What the title begins with.
        columns: Columns of comparable scores, each with its two header lines.
        rows: Rows whose methods are the lines.
        notes: What the caption begins with.
        splits: Why columns had to be split in two.
        extra: Further columns: for each header the cell of each method.
        counted: Rows whose seeds every method should have; where there are none, those of each
            column.
    """
    lines: dict[str, list[Cell]] = {method: [] for method in method_order(rows)}
    several = len({header[0] for header, _ in columns}) > 1
    marked = []
    for header, column in columns:
        marks, reason = column_marks(column)
        marked.append((": ".join(header) if several else header[1], marks, reason))
        count = _seed_count(column, column.rows if counted is None else counted)
        expected = dict.fromkeys(lines, count)
        for method, cell in column_cells(column, lines, expected, marks).items():
            lines[method].append(cell)
    groups = ", ".join(dict.fromkeys(column.group for _, column in columns))
    more = extra or {}
    return Table(
        file_name(stem, part.suffix),
        f"{what} · {groups} · {part.title}",
        (
            *filter(None, (*notes, reference_note(rows), steps_note(rows))),
            *interval_notes(rows),
            *mark_notes(marked),
        ),
        "objective",
        (*(header for header, _ in columns), *(("", name) for name in more)),
        tuple((m, (*cells, *(own[m] for own in more.values()))) for m, cells in lines.items()),
        tuple(splits),
    )


def column_cells(
    column: Column, methods: Iterable[str], expected: Mapping[str, int], marks: Mapping[str, str]
) -> dict[str, Cell]:
    """Returns the cell of each method in a column, with a warning where damaged images lead.

    Args:
        column: A column of comparable scores.
        methods: Trained ones and references.
        expected: How many seeds each method should have, references aside.
        marks: The mark of each method that has one.
    """
    scores, found, behind = scores_by(column.rows, "method"), {}, _losses(column)
    for method in methods:
        own, count = scores.get(method, []), expected.get(method, 0)
        cell = score_cell(own, count, marks.get(method, ""))
        found[method] = replace(cell, warnings=(*cell.warnings, *behind.get(method, ())))
    return found


def _seed_count(column: Column, counted: Rows) -> int:
    """Returns how many seeds there are of a column's data set among rows."""
    seeds = without_floor(counted[counted["dataset"] == column.rows["dataset"].iloc[0]])["seed"]
    return int(seeds.nunique())


def column_marks(column: Column) -> tuple[dict[str, str], str]:
    """Returns the mark of each method in a column, and why there is no single best."""
    trained = without_floor(column.rows)
    better = str(trained["better"].iloc[0])
    bounds = set(trained.loc[trained["kind"] == "lower bound", "method"])
    seeds = seeds_by_method(trained)
    tied, reason = separated_from_best(seeds, better, bounds)
    if len(tied) == sum(map(bool, seeds.values())) and len(tied) > 1:
        return {}, "no row is separated from the best"
    return {name: "best" if len(tied) == 1 else "tie" for name in tied}, reason


def seeds_by_method(rows: Rows) -> dict[str, dict[int, float]]:
    """Returns the value of each seed of each method, methods in the order of their first rows."""
    return {name: seed_values(own) for name, own in scores_by(rows, "method").items()}


def _losses(column: Column) -> dict[str, tuple[str, ...]]:
    """Returns for each trained method the damaged real images that its mean is worse than."""
    sign = {"lower": 1, "higher": -1}.get(str(column.rows["better"].iloc[0]), 0)
    known = set(column.rows["method"].tolist())
    damaged = {name: how for name, how in REFERENCES.items() if name != FLOOR and name in known}
    if not damaged:
        return {}
    means = {name: sign * mean(own) for name, own in seeds_by_method(column.rows).items()}
    return {
        str(name): tuple(
            f"{WORSE_THAN_REAL} {how}"
            for reference, how in damaged.items()
            if means[name] > means[reference]
        )
        for name in without_floor(column.rows)["method"].unique()
    }


def reference_note(rows: Rows) -> str:
    """Returns the sentence of a caption on the references among rows, if damaged ones are."""
    found = [name for name in REFERENCES if name in set(rows["objective"].tolist())]
    told = ", ".join(REFERENCES[name] for name in found)
    return f"{', '.join(found)}: held-out real images {told}." if set(found) - {FLOOR} else ""


def is_trusted(rows: Rows) -> pd.Series[bool]:
    """Returns which rows are no estimates, or estimates that are trusted."""
    return rows["trusted"] != "no"


def usable(rows: Rows) -> Rows:
    """Keeps rows whose value may enter a mean: those in order, without untrusted estimates."""
    return rows[(rows["status"] == "ok") & is_trusted(rows)]


def lost_states(rows: Rows) -> pd.Series[str]:
    """Returns ``diverged``, ``failed`` or ``untrusted`` for each row that went wrong so."""
    states = rows["status"].where(is_trusted(rows), "untrusted")
    return states[states.isin(["diverged", "failed", "untrusted"])]


def interval_notes(rows: Rows) -> list[str]:
    """Returns the sentences of a caption on what stands behind ±."""
    return [OVER_SEEDS, *([OVER_IMAGES] if (rows["kind"] != "").any() else [])]


def score_cell(scores: Sequence[Scored], expected: int, mark: str = "") -> Cell:
    """Returns the cell of one method in one column."""
    if not scores:
        return Cell("-")
    if all(score.status == "not applicable" for score in scores):
        return Cell("n/a", seeds="not applicable")
    if are_references(scores):
        expected = 0
    limits = limits_of(scores[0].unit, scores[0].metric, scores[0].latent_dim)
    values, over_images = seed_values(scores), image_error(scores)
    cell = seeds_cell(values, expected, lost_text(scores), mark, over_images, limits)
    doubtful = doubtful_values(scores)
    if cell.value is None and doubtful:  # Shown, but neither a mean of trusted ones nor ranked.
        text = f"{format_number(mean(doubtful))} ({cell.seeds})"
        cell = replace(cell, text=text)
    first = scores[0]._asdict()
    sign = bound_sign(first) if first["kind"] else ""
    return replace(cell, text=sign + cell.text, warnings=warnings_of(scores))


def method_order(rows: Rows) -> list[str]:
    """Returns the methods in the papers' row order, variants after their objective."""
    place = {name: at for at, name in enumerate(objective_order(rows["objective"]))}
    pairs = set(zip(rows["objective"].tolist(), rows["method"].tolist(), strict=True))
    return [method for _, method in sorted(pairs, key=lambda pair: (place[pair[0]], pair[1]))]


def own_densities(objective: str) -> tuple[str, ...]:
    """Returns what an objective's own samples are drawn from, the first that there is."""
    return NORMAL[::-1] if objective == FITTED else NORMAL


def normal_column(rows: Rows) -> Rows:
    """Keeps, for the N column, the one density that each method samples from."""
    import pandas as pd

    normal = rows["place"].isin(NORMAL)
    order = {name: own_densities(name) for name in rows["objective"].unique()}
    pairs = zip(rows["objective"].tolist(), rows["place"].tolist(), strict=True)
    ranks = [order[name].index(place) if place in NORMAL else None for name, place in pairs]
    rank = pd.Series(ranks, index=rows.index, dtype=float)
    best = rank.groupby([rows["dataset"], rows["method"]]).transform("min")
    kept = rows[~normal | (rank == best)].copy()
    kept["place"] = kept["place"].where(~kept["place"].isin(NORMAL), "N")
    return kept


def mark_notes(columns: Iterable[tuple[str, Mapping[str, str], str]]) -> list[str]:
    """Returns the sentences of a caption that explain the marks, and which columns have none.

    Args:
        columns: For each column its name, its marks, and why it has none.
    """
    found: set[str] = set()
    without: dict[str, list[str]] = {}
    for name, marks, reason in columns:
        found |= set(marks.values())
        if reason and not marks:
            without.setdefault(reason, []).append(name)
    legend = [text for mark, text in MARKS.items() if mark in found]
    if not legend and len(without) == 1:
        return [f"No best is marked ({TEST}): {next(iter(without))}."]
    told = [f"{'. '.join(legend)} ({TEST})."] if legend else []
    if not legend and without:
        told = [f"No best is marked ({TEST})."]
    return [*told, *(f"No marks in {', '.join(own)}: {why}." for why, own in without.items())]


def headed(columns: Iterable[Column]) -> list[tuple[tuple[str, str], Column]]:
    """Returns columns with their two header lines: the group and what was scored."""
    return [((c.group, NORMAL_HEADER if c.place == "N" else c.place), c) for c in columns]

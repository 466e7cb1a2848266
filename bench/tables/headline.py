"""The headline: reconstructions, samples, likelihood and cost of each method on one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..comparison.cells import (
    OWN_DENSITY,
    column_cells,
    column_marks,
    interval_notes,
    mark_notes,
    method_order,
    reference_note,
    seeds_by_method,
)
from ..comparison.columns import Column, columns_of, join, without_floor
from ..comparison.costs import device_note, device_word, on_one_device
from ..comparison.labels import ARROWS, metric_short
from ..comparison.likelihoods import SIGNS, one_likelihood
from ..comparison.numbers import format_number
from ..comparison.parts import Part, table_parts
from ..comparison.samples import (
    MIXTURE,
    OWN,
    RECONSTRUCTIONS,
    better_density,
    better_samples,
    has_both_kinds,
    sampled,
)
from ..comparison.scored import compute_seconds, scores_by
from ..comparison.significance import (
    LEVEL,
    POWER,
    SEEDS_NEEDED,
    detectable_from_best,
)
from ..comparison.steps import asked_steps, longest, steps_note
from ..comparison.table import TABLES, Cell, Table, file_name
from ..records.results import Rows
from .wide import count_cell, images_note

HEADLINE = "headline"
PLACES = {RECONSTRUCTIONS: "rec", OWN: "own", MIXTURE: MIXTURE}
PRECISION_AND_RECALL = ("prd_f8", "prd_f1/8")
SHOWN = "smallest difference that could be shown"
NOTE = (
    "FD: Fréchet distance of reconstructions (rec), of samples from the objective's own density "
    f"(own) and from a mixture of ten Gaussians fitted to the codes ({MIXTURE}). "
    f"own: {OWN_DENSITY}."
)
PRD_NOTE = (
    "F_8 (recall) and F_1/8 (precision) are those of the samples with the lower mean FD, whose "
    "density is in the column before them."
)
LIKELIHOOD_NOTE = f"bits/dim are those of models in logit space: {SIGNS}"


@dataclass(frozen=True)
class _Score:
    """A column of scores: its name, its rows, and whether they are likelihoods."""

    name: str
    column: Column

    @property
    def better(self) -> str:
        return str(without_floor(self.column.rows)["better"].iloc[0])


@TABLES.register(HEADLINE)
def headline_tables(rows: Rows) -> Iterator[Table]:
    """Yields a table for each data set whose models were sampled in two ways.

    Of several counts of training steps it shows the largest.
    """
    for part in table_parts(longest(rows)):
        datasets = sorted(set(without_floor(part.rows)["dataset"]))
        for dataset in datasets:
            own = replace(part, rows=part.rows[part.rows["dataset"] == dataset])
            scores = _scores(own.rows)
            if scores:
                suffix = file_name(part.suffix, dataset if len(datasets) > 1 else "")
                yield _headline(replace(own, suffix=suffix), scores)


def _scores(rows: Rows) -> list[_Score]:
    """Returns the columns of scores, none where models were not sampled in two ways."""
    fd = sampled(rows)
    if not has_both_kinds(fd):
        return []
    found = [_Score(f"FD {PLACES[c.place]} ↓", c) for c in columns_of(fd)[0]]
    best = better_density(fd)
    for metric in PRECISION_AND_RECALL:
        chosen = better_samples(sampled(rows, metric), best)
        columns = columns_of(chosen)[0] if len(without_floor(chosen)) else []
        found += [_Score(f"{metric_short(metric)} ↑", column) for column in columns]
    likelihood = one_likelihood(rows[rows["space"] == "logit"])
    if len(likelihood):
        name = f"{metric_short('bits_per_dim')} {ARROWS['lower']}"
        found += [_Score(name, column) for column in columns_of(likelihood)[0]]
    return found


def _headline(part: Part, scores: list[_Score]) -> Table:
    methods = method_order(part.rows)
    trained = without_floor(part.rows)
    count = int(trained["seed"].nunique())
    several = len({score.column.group for score in scores}) > 1
    columns: list[tuple[tuple[str, str], dict[str, Cell]]] = []
    marked = []
    for score in scores:
        marks, reason = column_marks(score.column)
        group = score.column.group if several else ""
        marked.append((f"{group}: {score.name}" if several else score.name, marks, reason))
        columns.append(((group, score.name), _cells(score, methods, marks, count)))
    columns += [(("", name), cells) for name, cells in _costs(part.rows).items()]
    at = sum(name.startswith("FD") for (_, name), _ in columns)
    columns.insert(at, (("", "better density"), _densities(sampled(part.rows))))
    empty = Cell("-")
    lines = [(m, tuple(own.get(m, empty) for _, own in columns)) for m in methods]
    lines.append((SHOWN, tuple(own.get(SHOWN, Cell()) for _, own in columns)))
    return Table(
        file_name(HEADLINE, part.suffix),
        f"Samples, likelihood and cost · {scores[0].column.group} · {part.title}",
        tuple(filter(None, (*_notes(part.rows, scores), *mark_notes(marked)))),
        "objective",
        tuple(header for header, _ in columns),
        tuple(lines),
    )


def _cells(
    score: _Score, methods: Iterable[str], marks: Mapping[str, str], count: int
) -> dict[str, Cell]:
    """Returns the cell of each method, and what its seeds could have shown."""
    trained = without_floor(score.column.rows)
    exact = set(trained.loc[trained["kind"] == "exact", "method"])
    cells = column_cells(score.column, methods, dict.fromkeys(methods, count), marks)
    for method in exact:
        if cells[method].value is not None:
            cells[method] = replace(cells[method], text=f"= {cells[method].text}")
    smallest = detectable_from_best(seeds_by_method(trained), score.better)
    cells[SHOWN] = Cell("-") if smallest is None else Cell(format_number(smallest), smallest)
    return cells


def _densities(fd: Rows) -> dict[str, Cell]:
    trained = without_floor(fd)
    firsts = trained.drop_duplicates(["method", "place"])
    ways = zip(firsts["method"], firsts["place"], strict=True)
    density = dict(zip(ways, firsts["density"], strict=True))
    better = better_density(trained)
    return {method: Cell(str(density[method, place])) for method, place in better.items()}


def _costs(rows: Rows) -> dict[str, dict[str, Cell]]:
    trained = on_one_device(without_floor(rows))
    methods = trained["method"]
    steps = asked_steps(trained).groupby(methods).max().items()
    outside = trained["parameters_outside"].groupby(methods).mean().items()
    seconds = {name: compute_seconds(own) for name, own in scores_by(trained, "method").items()}
    return {
        "steps": {str(name): count_cell(float(count)) for name, count in steps},
        f"{device_word(rows)} s": {name: count_cell(mean) for name, mean in seconds.items()},
        "outside": {str(name): count_cell(float(count)) for name, count in outside},
    }


def _notes(rows: Rows, scores: list[_Score]) -> Iterator[str]:
    scored = without_floor(scores[0].column.rows)
    yield NOTE
    metrics = {score.column.rows["metric"].iloc[-1] for score in scores}
    if metrics & set(PRECISION_AND_RECALL):
        yield PRD_NOTE
    if "bits_per_dim" in metrics:
        yield LIKELIHOOD_NOTE
    yield f"Features: {', '.join(sorted(set(scored['features'])))}."
    yield images_note(scored, one_likelihood(rows[rows["space"] == "logit"]))
    word = device_word(rows)
    yield (
        f"{word} s: {word} seconds of one training. outside: parameters outside the backbone, "
        f"which has {int(without_floor(rows)['parameters_backbone'].max()):,}."
    )
    yield device_note(rows)
    yield reference_note(rows)
    yield steps_note(rows)
    yield from interval_notes(join(scored, rows[rows["kind"] != ""]))
    yield (
        f"Last line: the smallest difference to the best that a paired t-test over these seeds "
        f"finds in {100 * POWER:.0f} % of cases, at {100 * LEVEL:.0f} % divided by the number of "
        f"comparisons; the median over them. It and marks need {SEEDS_NEEDED} seeds."
    )

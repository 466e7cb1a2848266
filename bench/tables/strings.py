"""Tables of texts: candidates in the layout of the RAE paper's Figure 2, samples, and codes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..comparison.cells import (
    column_cells,
    column_marks,
    interval_notes,
    mark_notes,
    method_order,
)
from ..comparison.columns import columns_of, join, without_floor
from ..comparison.labels import ARROWS, is_tuned, metric_short
from ..comparison.likelihoods import one_likelihood
from ..comparison.numbers import estimate_text, is_cut
from ..comparison.parts import Part, table_parts
from ..comparison.ranges import limits_of
from ..comparison.scored import Scored, scores_by
from ..comparison.significance import NORMAL_95
from ..comparison.steps import steps_note
from ..comparison.strings import (
    DRAWS,
    RELEASED,
    SEARCH,
    by_task,
    is_text,
    of_strings,
    task_of,
)
from ..comparison.table import TABLES, Cell, Table, file_name
from ..records.results import Rows
from .printed_strings import Printed, deviations, printed, printed_notes, search_notes

CANDIDATES, SAMPLES, CODES, GRID = "figure2", "strings", "codes", "grae-grid"
FIGURE_SCORES = (
    *("validity", "single_validity", "mean_score", "best_1", "best_2", "best_3"),
    *("training_share", "surrogate_rmse", "surrogate_log_likelihood"),
)
SAMPLE_SCORES = ("validity", "uniqueness", "novelty", "mean_score", "fcd")
# It falls as more strings are valid, so that at unlike counts neither is better.
UNRANKED = "uniqueness"
SOURCES = {SEARCH: "Bayesian search", DRAWS: "random draws"}
HEADERS = {"active_units": "active units"}
AS_PRINTED = "as published"
LINE = "line"
FIGURE_NOTES = (
    "Search: Bayesian optimisation in the latent space. Random draws: as many codes from a "
    "Gaussian fitted to the training codes, so that the search is not mistaken for the space.",
    "valid: of each candidate the most frequent valid string of many decodings counts, so that "
    "more decodings make more valid; valid at once: a single decoding. Average score: of the "
    "valid candidates that score better than the worst.",
    "1st to 3rd: the best distinct scores. In training data: candidates that are training "
    "strings.",
    "Marks are among the searches.",
)
SURROGATE = (
    "Surrogate: root mean squared error and log-likelihood, in nats per score, of held-out scores "
    "under the first surrogate of a search."
)
# Of cells of one seed, whose row knows an error.
OVER_STRINGS = "With one seed ± is 1.96 standard errors over the strings."
OVER_SEARCHES = (
    "With one seed ± of candidates is 1.96 standard errors over the searches, taken of their "
    "population deviation as in print, which is too small for few of them."
)
SAMPLE_NOTES = (
    "Strings decoded from codes of each density. valid: share that is valid. unique: share of "
    "the valid ones that differ. It falls with the count of valid strings, so that it compares "
    "at equal counts only and is not marked. novel: share of the different ones that are no "
    "training strings. Average score: of the valid ones.",
)
GRID_NOTE = "Average score: of the candidates of the search."
UNCHOSEN = (
    "No regulariser was chosen: all that were tried are shown, and exact is of test strings."
)
CODE_NOTES = {
    "exact_strings": "exact: test strings that come back whole.",
    "symbols_right": "symbols: productions or characters that come back.",
    "active_units": "active units: dimensions of the code whose mean has a variance over 0.01. A "
    "decoder that begins with batch-norm, as that of expressions does, undoes any scale of the "
    "code, so that this count may fall without a loss.",
    "rate": "rate: nats that the code carries of a string, the mean KL of its encoder to N(0, I).",
    "log_prob": "log p(x) in nats per string, for models of the space `sequence`: the released "
    "losses are no likelihoods. ≥ marks a lower bound.",
}


@TABLES.register("strings")
def string_tables(rows: Rows) -> Iterator[Table]:
    """Yields the tables of each suite's texts: candidates, samples, codes and the GRAE's grid."""
    for part in table_parts(rows):
        texts = by_task(without_floor(part.rows[is_text(part.rows)]))
        names = sorted(set(texts["dataset"]))
        for name in names:
            suffix = file_name(part.suffix, name if len(names) > 1 else "")
            own = replace(part, rows=texts[texts["dataset"] == name], suffix=suffix)
            yield from _candidates(own, name)
            yield from _samples(own)
            yield from _codes(own)
            yield from _grid(own)


def _candidates(part: Part, dataset: str) -> Iterator[Table]:
    own = part.rows[part.rows["density"].isin(SOURCES)]
    if not len(own):
        return
    task = task_of(dataset)
    sources = own["density"].map(SOURCES)
    own = own.assign(**{LINE: own["method"] + "|" + sources})
    table = _table(
        replace(part, rows=own),
        *(CANDIDATES, f"Best {task} found in the latent space"),
        words=("candidates from",),
        metrics=FIGURE_SCORES,
        notes=(*FIGURE_NOTES, *_surrogate(own), *search_notes(own)),
        marked=SEARCH,
    )
    names = [name for _, name in table.columns]
    lines = [_printed_line(model, names, found) for model, found in printed(task).items()]
    notes = (*table.notes, *printed_notes(task), *deviations(dataset))
    yield replace(table, lines=(*table.lines, *lines), notes=notes)


def _printed_line(
    model: str, names: Sequence[str], found: Printed
) -> tuple[str, tuple[Cell, ...]]:
    cells = {"candidates from": Cell(SOURCES[SEARCH])}
    for metric, (value, spread) in found.scores.items():
        cells[metric_short(metric)] = Cell(f"{value:.2f} ± {spread:.2f}", value)
    for at, (value, _) in enumerate(found.best):
        cells[metric_short(f"best_{at + 1}")] = Cell(f"{value:.2f}", value)
    return f"{model}, {AS_PRINTED}", tuple(cells.get(_word(name), Cell("-")) for name in names)


def _word(header: str) -> str:
    """Returns a column's name without the arrow."""
    return header.rstrip("".join(ARROWS.values())).strip()


def _surrogate(rows: Rows) -> list[str]:
    """Returns the sentence of a caption on surrogates, where there are scores of them."""
    return [SURROGATE] if rows["metric"].str.startswith("surrogate_").any() else []


def _samples(part: Part) -> Iterator[Table]:
    rows = part.rows
    own = rows[(rows["images"] == "sample") & ~rows["density"].isin(SOURCES)]
    if len(own):
        own = own.assign(**{LINE: own["method"] + "|" + own["density"]})
        yield _table(
            replace(part, rows=own),
            *(SAMPLES, "Strings from each density"),
            words=("codes from",),
            metrics=SAMPLE_SCORES,
            notes=SAMPLE_NOTES,
        )


def _codes(part: Part) -> Iterator[Table]:
    rows = part.rows
    known = rows["metric"].isin(list(CODE_NOTES)) & (rows["kind"] == "")
    own = join(rows[known], one_likelihood(rows, "log_prob"))
    if len(own):
        own = own.assign(**{LINE: own["method"]})
        yield _table(
            replace(part, rows=own),
            *(CODES, "Reconstructions, codes and likelihood"),
            metrics=list(CODE_NOTES),
            notes=[note for name, note in CODE_NOTES.items() if name in set(own["metric"])],
        )


def _grid(part: Part) -> Iterator[Table]:
    """Yields the scores of each regulariser and weight of the GRAE, where there are several."""
    own = part.rows
    own = own[own["objective"].str.match("rae(-|$)") & (own["space"] == RELEASED)]
    if own["method"].nunique() < 2:
        return
    exact = own[own["metric"] == "exact_strings"].assign(place="exact")
    drawn = own[(own["metric"] == "validity") & own["density"].isin(["gaussian", "gmm-10"])]
    drawn = drawn.assign(metric="valid, " + drawn["density"])
    found = own[(own["metric"] == "mean_score") & (own["density"] == SEARCH)]
    parts = [same for same in (exact, drawn, found) if len(same)]
    if parts:
        import pandas as pd

        shown = pd.concat(parts, ignore_index=True)
        shown = shown.assign(**{LINE: shown["method"]})
        yield _table(
            replace(part, rows=shown),
            *(GRID, "Regularisers of the GRAE"),
            metrics=("exact_strings", "valid, gaussian", "valid, gmm-10", "mean_score"),
            notes=(GRID_NOTE, *([] if part.rows["variant"].map(is_tuned).any() else [UNCHOSEN])),
        )


def _table(
    part: Part,
    stem: str,
    what: str,
    *,
    metrics: Sequence[str],
    notes: Sequence[str],
    words: Sequence[str] = (),
    marked: str = "",
) -> Table:
    """Returns a table with a line for each value of the column ``line`` and a column a score.

    Args:
        part: The rows; what stands behind a ``|`` in their ``line`` are columns of words.
        stem: Name of the file.
        what: Title.
        metrics: The scores in their order; those without rows are left out.
        notes: The caption.
        words: Headers of the columns of words.
        marked: The density among whose rows marks are given; empty for all.
    """
    rows = part.rows.assign(method=part.rows[LINE])
    rows = rows[rows["metric"].isin(list(metrics))]
    order = method_order(rows)
    expected = dict.fromkeys(order, int(rows["seed"].nunique()))
    lines: dict[str, list[Cell]] = {
        name: [Cell(text) for text in name.split("|")[1:]] for name in order
    }
    headers = [("", word) for word in words]
    marked_columns, splits, alone = [], [], []
    for metric in [metric for metric in metrics if metric in set(rows["metric"])]:
        word = HEADERS.get(metric, metric_short(metric))
        columns, more = columns_of(rows[rows["metric"] == metric].assign(place=word))
        splits += more
        for column in columns:
            own = column.rows
            ranked = own[own["density"] == marked] if marked else own
            better = "" if metric == UNRANKED else str(own["better"].iloc[0])
            able = len(ranked) and better
            marks, reason = column_marks(replace(column, rows=ranked)) if able else ({}, "")
            headers.append((column.group, f"{word} {ARROWS.get(better, '')}".strip()))
            why = reason if better in ("lower", "higher") else ""
            marked_columns.append((headers[-1][1], marks, why))
            scores = scores_by(own, "method")
            over = OVER_SEARCHES if own["density"].isin(SOURCES).any() else OVER_STRINGS
            for name, cell in column_cells(column, order, expected, marks).items():
                lines[name].append(_of_one_seed(cell, scores.get(name, [])))
                alone += [over] if lines[name][-1] is not cell else []
    if len({group for group, _ in headers if group}) < 2:
        headers = [("", name) for _, name in headers]
    table = Table(
        file_name(stem, part.suffix),
        f"{what} · {rows['dataset'].iloc[0]} · {part.title}",
        (
            *notes,
            steps_note(part.rows),
            *interval_notes(rows),
            *dict.fromkeys(alone),
            *mark_notes(marked_columns),
        ),
        "objective",
        tuple(headers),
        tuple((name.partition("|")[0], tuple(cells)) for name, cells in lines.items()),
        tuple(dict.fromkeys(splits)),
    )
    return of_strings(table, rows)


def _of_one_seed(cell: Cell, scores: Sequence[Scored]) -> Cell:
    """Returns the cell of one seed with the error of its row, over searches or over strings."""
    errors = [score.stderr for score in scores if not math.isnan(score.stderr)]
    alone = cell.half_width is None and cell.seeds == "1" and len(errors) == 1
    if cell.value is None or not alone:
        return cell
    half = NORMAL_95 * errors[0]
    limits = limits_of(scores[0].unit, scores[0].metric, scores[0].latent_dim)
    text = estimate_text(cell.value, half, limits)
    return replace(cell, text=f"{text} ({cell.seeds})", half_width=half, cut=is_cut(text))

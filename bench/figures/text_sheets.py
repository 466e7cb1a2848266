"""Sheets of texts: samples of each density, interpolations, and what lies around a code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..comparison.cells import method_order
from ..comparison.columns import with_places, without_floor
from ..comparison.labels import objective_order
from ..comparison.parts import suite_parts
from ..comparison.steps import longest
from ..comparison.strings import WRITTEN, by_task, is_text
from ..comparison.table import file_name
from ..comparison.texts import read_texts
from ..records.results import Rows
from .canvas import PLOTS, Array, Plots, hide_axis, new_figure, title_above, wrapped
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Blocks = dict[str, list[str]]  # Lines by method.
MOST_CHARACTERS = 58
SAMPLES = 5  # Of each density.
PATHS = 2
SIZE = 6.0  # Points of a character.
WIDTH, LINE = 0.6 * SIZE / 72, 1.25 * SIZE / 72  # Inches of a character and of a line.
EMPTY = "(empty)"  # Of productions that do not end, or without a character.
SHEET = "sheet-texts"


@PLOTS.register(SHEET)
def sample_sheets(rows: Rows, runs: RunFiles) -> Plots:
    """Writes strings of each density (arrays ``texts_sample_<density>``), test strings first."""
    note = "strings decoded from codes of each density"
    yield from _sheets(rows, runs, SHEET, f"Samples · {{}}\n{note}", _samples)


@PLOTS.register("texts-interpolation")
def interpolation_sheets(rows: Rows, runs: RunFiles) -> Plots:
    """Writes the strings between pairs of test strings (array ``texts_interpolation``)."""
    note = "the most likely strings on the way between the codes of two test strings"
    yield from _sheets(rows, runs, "texts-interpolation", f"Interpolation · {{}}\n{note}", _paths)


@PLOTS.register("texts-neighbours")
def neighbour_sheets(rows: Rows, runs: RunFiles) -> Plots:
    """Writes what lies around the code of a test string (array ``texts_neighbours``)."""
    note = (
        "first line: a test string's own code; below: one deviation further in each of the "
        "directions in which codes differ most"
    )
    yield from _sheets(rows, runs, "texts-neighbours", f"Neighbours · {{}}\n{note}", _around)


def text_sheet_names(rows: Rows) -> dict[str, str]:
    """Returns for each run of texts the file name, without ending, of the sheet of its samples."""
    parts = _parts(rows, SHEET)
    return {str(run): stem for stem, _, own in parts for run in set(own["run"])}


def _sheets(
    rows: Rows,
    runs: RunFiles,
    name: str,
    title: str,
    lines_of: Callable[[Mapping[str, Array], str], list[str]],
) -> Plots:
    """Yields a sheet for each suite and set of texts, of each method its lowest seed."""
    for stem, where, own in _parts(rows, name):
        blocks = {
            method: lines
            for method, run, written in _first_runs(own)
            if (lines := lines_of(runs.arrays(run), written))
        }
        if blocks:
            yield stem, _figure(blocks, title.format(where))


def _parts(rows: Rows, name: str) -> Iterator[tuple[str, str, Rows]]:
    """Yields file name, title and rows of each suite's sets of texts."""
    for part in suite_parts(longest(rows)):
        texts = without_floor(part.rows[is_text(part.rows)])
        tasks = list(by_task(with_places(texts)).groupby("dataset", sort=True))
        for dataset, own in tasks:
            stem = file_name(name, part.suffix, str(dataset) if len(tasks) > 1 else "")
            yield stem, f"{dataset} · {part.title}", own


def _first_runs(rows: Rows) -> Iterator[tuple[str, str, str]]:
    for method in method_order(rows):
        own = rows[rows["method"] == method].sort_values(["seed", "run"], kind="stable")
        yield method, str(own["run"].iloc[0]), str(own[WRITTEN].iloc[0])


def _samples(arrays: Mapping[str, Array], dataset: str) -> list[str]:
    lines = []
    found = {name.removeprefix("texts_sample_"): array for name, array in arrays.items()}
    names = [n for n in objective_order(found) if f"texts_sample_{n}" in arrays]
    kinds = [("test strings", "texts_test"), ("come back as", "texts_reconstruction")]
    for heading, name in [*kinds, *((n, f"texts_sample_{n}") for n in names)]:
        if name in arrays:
            lines += [heading, *_indented(read_texts(arrays[name][:SAMPLES], dataset))]
    return lines


def _paths(arrays: Mapping[str, Array], dataset: str) -> list[str]:
    lines: list[str] = []
    for at, path in enumerate(arrays.get("texts_interpolation", ())[:PATHS]):
        lines += [f"pair {at + 1}", *_indented(read_texts(path, dataset))]
    return lines


def _around(arrays: Mapping[str, Array], dataset: str) -> list[str]:
    symbols = arrays.get("texts_neighbours")
    if symbols is None:
        return []
    first, *others = _indented(read_texts(symbols, dataset)) or [""]
    return [first.strip(), *others]


def _indented(texts: list[str]) -> list[str]:
    return [f"  {_shortened(text) if text else EMPTY}" for text in texts]


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _figure(blocks: Blocks, title: str) -> Figure:
    """Returns a figure with a panel of lines for each method, as many side by side as fit."""
    longest_line = max(len(line) for lines in blocks.values() for line in lines)
    width = max(1.9, WIDTH * longest_line + 0.2)
    columns = min(len(blocks), 4, max(1, int(10.5 / width)))
    height = LINE * max(map(len, blocks.values())) + 0.4
    below = -(-len(blocks) // columns)
    figure, axes = new_figure(width * columns, height * below + 0.5, nrows=below, ncols=columns)
    for axis in axes.flat:
        hide_axis(axis)
    for axis, (method, lines) in zip(axes.flat, blocks.items(), strict=False):
        axis.set_title(wrapped(method, width - 0.2), loc="left")
        axis.text(
            *(0, 1, "\n".join(lines)),
            va="top",
            family="monospace",
            fontsize=SIZE,
            linespacing=1.25,
            transform=axis.transAxes,
        )
    title_above(figure, title)
    return figure

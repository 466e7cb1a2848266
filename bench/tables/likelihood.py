"""The likelihood table: every score with its kind, model, samples and effective sample size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ..comparison.cells import headed, score_table
from ..comparison.columns import columns_of
from ..comparison.labels import score_title, unit_note
from ..comparison.likelihoods import likelihood_places, likelihood_sign, noise_notes
from ..comparison.numbers import format_number
from ..comparison.parts import Part, table_parts
from ..comparison.steps import steps_note
from ..comparison.strings import is_text, of_strings
from ..comparison.table import TABLES, Cell, Table
from ..records.results import Rows

CONDITIONS = ("kind", "model", "density")
SAMPLES = "K: importance samples for each image. ESS: their median effective sample size."
COMPLETED = "completed: density and observation noise were fitted after training."
UNRANKED = "Nothing is ranked ahead of a bound, since the truth may be better than the bound."


@TABLES.register("likelihood")
def likelihood_tables(rows: Rows) -> Iterator[Table]:
    """Yields a table for each likelihood score."""
    for part in table_parts(rows):
        rows = part.rows
        # Bits per dimension are of images alone.
        of_images = rows["metric"].str.startswith("bits_per_dim")
        placed = rows[(rows["kind"] != "") & ~(is_text(rows) & of_images)]
        for metric in sorted(placed["metric"].unique()):
            yield _likelihood_table(part, placed[placed["metric"] == metric])


def _likelihood_table(part: Part, rows: Rows) -> Table:
    first = rows.iloc[0].to_dict()
    rows = rows.assign(place=likelihood_places(rows), plain=rows["method"])
    # A method has a line for each way in which its likelihood was computed.
    parts = ("plain", "density", "kind", "model", "samples_k")
    ways = zip(*(rows[name].tolist() for name in parts), strict=True)
    rows["method"] = [" | ".join(map(str, way)) for way in ways]
    columns, splits = columns_of(rows)
    extra = _conditions(rows)
    table = score_table(
        *(part, first["metric"], score_title(first), headed(columns), rows),
        (unit_note(first), *_caption(rows), *noise_notes(rows)),
        splits,
        extra=extra,
    )
    plain = dict(zip(rows["method"], rows["plain"], strict=True))
    lines = tuple((plain[method], line) for method, line in table.lines)
    told, steps = steps_note(rows), steps_note(rows.assign(method=rows["plain"]))
    notes = tuple(
        steps if note == told else _with_plain_names(note, plain) for note in table.notes
    )
    return of_strings(replace(table, notes=notes, lines=lines), rows)


def _caption(rows: Rows) -> Iterator[str]:
    """Yields the sentences on what is among the rows, of one score."""
    bounds = rows[rows["kind"] == "lower bound"]
    if len(bounds):
        sign = likelihood_sign({**bounds.iloc[0].to_dict(), "model": ""})
        yield f"{sign} marks a lower bound on the likelihood, which holds in expectation."
        yield UNRANKED
    yield SAMPLES
    if (rows["model"] == "completed").any():
        yield COMPLETED


def _with_plain_names(text: str, plain: Mapping[str, str]) -> str:
    for way, method in plain.items():
        text = text.replace(f"'{way}'", f"'{method}'")
    return text


def _conditions(rows: Rows) -> dict[str, dict[str, Cell]]:
    """Returns, under each header, the cell of each way to compute a likelihood."""
    firsts = rows.drop_duplicates("method").set_index("method")
    found = {name: {str(m): Cell(str(v)) for m, v in firsts[name].items()} for name in CONDITIONS}
    # Of each way the first count that is known.
    counts = rows[rows["samples_k"].notna()].drop_duplicates("method").set_index("method")
    known = {str(method): Cell(str(int(k))) for method, k in counts["samples_k"].items()}
    sizes: dict[str, list[float]] = {}
    for method, size in zip(rows["method"].tolist(), rows["ess_median"].tolist(), strict=True):
        sizes.setdefault(method, []).extend([] if math.isnan(size) else [size])
    found["K"] = {method: known.get(method, Cell("-")) for method in sizes}
    found["ESS"] = {method: _size_cell(own) for method, own in sizes.items()}
    return found


def _size_cell(sizes: list[float]) -> Cell:
    if not sizes:
        return Cell("-")
    size = float(np.mean(sizes))
    return Cell(format_number(size), size)

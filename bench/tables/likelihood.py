"""The likelihood table: every score with its kind, model, samples and effective sample size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..comparison.cells import headed, score_table
from ..comparison.columns import columns_of
from ..comparison.labels import score_title, unit_note
from ..comparison.likelihoods import likelihood_places, noise_notes
from ..comparison.parts import Part, table_parts
from ..comparison.strings import is_text
from ..comparison.table import TABLES, Cell, Table, format_number
from ..records.results import Rows

CONDITIONS = ("kind", "model", "density")
HEADERS = (*CONDITIONS, "K", "ESS")
CAPTION = (
    "≤ in bits/dim and ≥ in nats mark a lower bound on the likelihood, which holds in "
    "expectation.",
    "K: importance samples for each image. ESS: their median effective sample size.",
    "completed: density and observation noise were fitted after training.",
    "Nothing is ranked ahead of a bound, since the truth may be better than the bound.",
)


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
    rows["method"] = [
        " | ".join(str(row[name]) for name in ("plain", "density", "kind", "model", "samples_k"))
        for row in rows.to_dict("records")
    ]
    columns, splits = columns_of(rows)
    ways = {str(method): _conditions(own) for method, own in rows.groupby("method")}
    table = score_table(
        *(part, first["metric"], score_title(first), headed(columns), rows),
        (unit_note(first), *CAPTION, *noise_notes(rows)),
        splits,
        extra={name: {way: own[name] for way, own in ways.items()} for name in HEADERS},
    )
    plain = dict(zip(rows["method"], rows["plain"], strict=True))
    lines = tuple((plain[method], line) for method, line in table.lines)
    notes = tuple(_with_plain_names(note, plain) for note in table.notes)
    return replace(table, notes=notes, lines=lines)


def _with_plain_names(text: str, plain: Mapping[str, str]) -> str:
    for way, method in plain.items():
        text = text.replace(f"'{way}'", f"'{method}'")
    return text


def _conditions(rows: Rows) -> dict[str, Cell]:
    first = rows.iloc[0]
    k, ess = rows["samples_k"].dropna(), rows["ess_median"].dropna()
    size = float(ess.mean()) if len(ess) else None
    return {
        **{name: Cell(str(first[name])) for name in CONDITIONS},
        "K": Cell(str(int(k.iloc[0])) if len(k) else "-"),
        "ESS": Cell("-" if size is None else format_number(size), size),
    }

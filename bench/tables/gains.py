"""Gains in log-likelihood over one model of the same space, with what they prove."""

from __future__ import annotations

from collections.abc import Iterator

from ..comparison.cells import is_trusted, method_order, usable, warnings_of
from ..comparison.columns import Column, columns_of
from ..comparison.gains import (
    LEGEND,
    Arrays,
    Estimate,
    Gain,
    dims_of,
    estimate_of,
    likelihood_gain,
)
from ..comparison.likelihoods import one_likelihood
from ..comparison.parts import Part, table_parts
from ..comparison.strings import is_text
from ..comparison.table import Cell, Table, file_name, text_table
from ..records.results import Rows

NATS, ANNEALED = "log_prob", "log_prob_annealed"
HEADER = ("objective", "kind", "model", "nats", "bits/dim", "images x seeds")
ANNEALED_HEADER = ("nats, annealed", "images x seeds, annealed")
CAPTION = (
    "Each line: log-likelihood of the objective minus that of the reference, paired over test "
    "images and seeds; more nats and fewer bits/dim are better.",
    "±: half-width of the 95 % interval over test images and, from two seeds on, over seeds.",
)
UNKNOWN = "Where the count of images is - single images were not kept, and ± is over seeds alone."
Line = tuple[str | Cell, ...]
Estimates = tuple[Estimate, Estimate]


def gain_tables(rows: Rows, arrays: Arrays) -> Iterator[Table]:
    """Yields a table for each column of likelihoods that has two methods.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    for part in table_parts(rows):
        columns = columns_of(one_likelihood(part.rows, NATS))[0] if len(part.rows) else []
        several = len({column.group for column in columns}) > 1
        for column in columns:
            table = _gain_table(part, column, arrays, several)
            if table is not None:
                yield table


def _gain_table(part: Part, column: Column, arrays: Arrays, several: bool) -> Table | None:
    methods = method_order(column.rows)
    rows = {method: column.rows[column.rows["method"] == method] for method in methods}
    rows = {m: own for m, own in rows.items() if len(usable(own))}
    # The first of the papers' order that has a likelihood of its own: where there is one, the VAE.
    order = sorted(rows, key=lambda method: bool((rows[method]["model"] == "completed").any()))
    estimates = {method: _estimates(own, part.rows, arrays) for method, own in rows.items()}
    found = {
        method: [likelihood_gain(*pair) for pair in zip(estimates[order[0]], own, strict=True)]
        for method, own in estimates.items()
        if method != order[0]
    }
    found = {method: gains for method, gains in found.items() if any(gains)}
    if not found:
        return None
    annealed = any(gains[1] for gains in found.values())
    shown = [gain for gains in found.values() for gain in gains if gain is not None]
    signs = {gain.direction for gain in shown}
    space = column.place.partition(", ")[2]
    return text_table(
        file_name("gains", part.suffix, column.group if several else "", space),
        f"Gains in log-likelihood over {order[0]} · {column.group}, {space} space · {part.title}",
        (*HEADER, *(ANNEALED_HEADER if annealed else ())),
        (_line(method, rows[method], gains, annealed) for method, gains in found.items()),
        (
            *CAPTION,
            *(text for sign, text in LEGEND.items() if sign in signs),
            *((UNKNOWN,) if any(not gain.images for gain in shown) else ()),
        ),
    )


def _estimates(own: Rows, rows: Rows, arrays: Arrays) -> Estimates:
    """Returns a method's likelihood and, on fewer images, the tightest that annealing gives."""
    plain = estimate_of(own, arrays)
    if plain.gap == 0:
        return plain, plain
    models = own[["run", "density", "model"]].drop_duplicates()
    annealed = rows[rows["metric"] == ANNEALED].merge(models, on=list(models))
    most = annealed[annealed["samples_k"] == annealed["samples_k"].max()]
    return plain, estimate_of(most, arrays, brackets=rows)


def _line(method: str, rows: Rows, gains: list[Gain | None], annealed: bool) -> Line:
    first = rows.iloc[0].to_dict()
    plain, tight = gains
    bits = "-"
    if plain is not None and first["space"] != "real" and not is_text(rows).any():
        bits = plain.in_bits(dims_of(first)).text
    start = (method, str(first["kind"]), str(first["model"]))
    more = (_cell(tight), _counts(tight)) if annealed else ()
    return (*start, _cell(plain, warnings_of(rows[is_trusted(rows)])), bits, _counts(plain), *more)


def _cell(gain: Gain | None, warnings: tuple[str, ...] = ()) -> Cell:
    return Cell("-") if gain is None else Cell(gain.text, gain.value, warnings=warnings)


def _counts(gain: Gain | None) -> str:
    return "-" if gain is None else f"{gain.images or '-'} x {len(gain.seeds)}"

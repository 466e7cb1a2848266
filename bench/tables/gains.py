"""Gains in log-likelihood over one model of the same space, with what they prove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..comparison.cells import method_order
from ..comparison.columns import Column, columns_of
from ..comparison.gains import (
    LEGEND,
    Arrays,
    Estimate,
    Gain,
    Line,
    Model,
    brackets_in,
    estimate_of,
    likelihood_gain,
    model_of,
    records_in,
)
from ..comparison.likelihoods import noise_notes, one_likelihood
from ..comparison.parts import Part, table_parts
from ..comparison.scored import Scored, scores_by, warnings_of
from ..comparison.strings import SPACES
from ..comparison.table import Cell, Table, file_name, text_table
from ..records.per_image import dims_of, is_missing
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
Row = tuple[str | Cell, ...]
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
        models = _Models(part.rows, arrays)
        for column in columns:
            table = _gain_table(part, column, models, several)
            if table is not None:
                yield table


def _gain_table(part: Part, column: Column, models: _Models, several: bool) -> Table | None:
    scores = scores_by(column.rows, "method")
    records: dict[str, list[Line]] = {}
    for record in records_in(column.rows):
        records.setdefault(str(record["method"]), []).append(record)
    methods = [m for m in method_order(column.rows) if any(s.is_usable for s in scores[m])]
    # The first of the papers' order that has a likelihood of its own: where there is one, the VAE.
    order = sorted(methods, key=lambda m: any(score.model == "completed" for score in scores[m]))
    estimates = {method: models.estimates(records[method]) for method in methods}
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
    doubts = tuple(f"The reference: {text}" for text in _warnings(scores[order[0]]))
    space = column.place.partition(", ")[2]
    return text_table(
        file_name("gains", part.suffix, column.group if several else "", space),
        f"Gains in log-likelihood over {order[0]} · {column.group}, {space} space · {part.title}",
        (*HEADER, *(ANNEALED_HEADER if annealed else ())),
        (
            _row(method, records[method][0], scores[method], gains, annealed, doubts)
            for method, gains in found.items()
        ),
        (
            *CAPTION,
            *(text for sign, text in LEGEND.items() if sign in signs),
            *noise_notes(column.rows),
            *((UNKNOWN,) if any(not gain.images for gain in shown) else ()),
        ),
    )


class _Models:
    """The likelihoods of the models of one part.

    Args:
        rows: The part's rows.
        arrays: Log-likelihoods of single images.
    """

    def __init__(self, rows: Rows, arrays: Arrays) -> None:
        self._arrays, self._brackets = arrays, brackets_in(rows)
        self._annealed = records_in(rows[rows["metric"] == ANNEALED])
        self._places: dict[Model, list[int]] = {}
        for at, record in enumerate(self._annealed):
            self._places.setdefault(model_of(record), []).append(at)

    def estimates(self, own: Sequence[Line]) -> Estimates:
        """Returns a method's likelihood and, on fewer images, the tightest of its annealed."""
        plain = estimate_of(own, self._arrays)
        if plain.gap == 0:
            return plain, plain
        models = {model_of(record) for record in own}
        places = sorted(at for model in models for at in self._places.get(model, []))
        annealed = [self._annealed[at] for at in places]
        known = [record for record in annealed if not is_missing(record["samples_k"])]
        counts = [int(record["samples_k"]) for record in known]
        most = [r for r, count in zip(known, counts, strict=True) if count == max(counts)]
        return plain, estimate_of(most, self._arrays, self._brackets)


def _row(
    method: str,
    first: Line,
    scores: Sequence[Scored],
    gains: list[Gain | None],
    annealed: bool,
    doubts: tuple[str, ...],
) -> Row:
    plain, tight = gains
    bits = "-"
    texts = any(score.space.startswith(SPACES) for score in scores)
    if plain is not None and first["space"] != "real" and not texts:
        bits = plain.in_bits(dims_of(first)).text
    start = (method, str(first["kind"]), str(first["model"]))
    more = (_cell(tight), _counts(tight)) if annealed else ()
    warnings = (*doubts, *_warnings(scores))
    return (
        *start,
        _cell(plain, warnings),
        bits,
        _counts(plain),
        *more,
    )


def _warnings(scores: Sequence[Scored]) -> tuple[str, ...]:
    return warnings_of([score for score in scores if score.is_trusted])


def _cell(gain: Gain | None, warnings: tuple[str, ...] = ()) -> Cell:
    if gain is None:
        return Cell("-")
    seeds = str(len(gain.seeds))
    return Cell(gain.text, gain.value, gain.half_width, seeds, warnings=warnings)


def _counts(gain: Gain | None) -> str:
    return "-" if gain is None else f"{gain.images or '-'} x {len(gain.seeds)}"

"""Two result sets side by side: the same rows with paired differences over the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..comparison.cells import usable
from ..comparison.columns import SCORE_KEY, method_labels
from ..comparison.gains import (
    LEGEND,
    NO_CLAIM,
    Arrays,
    Brackets,
    Estimate,
    Gain,
    Line,
    brackets_in,
    estimate_of,
    likelihood_gain,
    records_in,
)
from ..comparison.labels import REFERENCES, named, suite_title
from ..comparison.numbers import mean_text, with_error
from ..comparison.scored import Scored, scores_by, seed_values, warnings_of
from ..comparison.significance import (
    LEVEL,
    SEEDS_NEEDED,
    Seeds,
    half_width,
    holm,
    paired_p_values,
)
from ..comparison.table import Cell, Table, text_table
from ..errors import UserError
from ..records.per_image import dims_of, read_per_image
from ..records.results import Rows, read_results

if TYPE_CHECKING:
    from ...metrics.arrays import Floats

DIFFERENT = "different"
NAMED_KEY = (*SCORE_KEY, "method")
IMAGES_UNKNOWN = (
    "Where single images' likelihoods were not kept, ± is over the seeds alone, and no likelihood "
    "is called better or worse."
)
HEADER = (
    *("objective", "dataset", "d", "images", "score", "first", "second"),
    *("difference", "verdict"),
)


@dataclass(frozen=True)
class PairedScore:
    """One score in two result sets.

    Attributes:
        row: A row of the first, which names the score.
        first: The first's value for each seed.
        second: The second's value for each seed.
        p_value: That both are alike, corrected for the number of scores.
        gain: For likelihoods the difference with its direction, in the row's unit.
        warnings: What is kept with the scores of the first and of the second.
    """

    row: Mapping[Any, Any]
    first: Seeds
    second: Seeds
    p_value: float
    gain: Gain | None = None
    warnings: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def shared(self) -> list[int]:
        """The seeds that both have."""
        return sorted(self.first.keys() & self.second.keys())

    @property
    def differences(self) -> Floats:
        """Second minus first for each shared seed."""
        return np.array([self.second[seed] - self.first[seed] for seed in self.shared])

    @property
    def verdict(self) -> str:
        """What the test says of the second."""
        if not self.differences.any():
            return "equal"
        if len(self.shared) < SEEDS_NEEDED:
            return "too few seeds"
        if self.p_value >= LEVEL:
            return "no difference seen"
        if self.row["better"] not in ("lower", "higher"):
            return DIFFERENT
        moved = float(self.differences.mean())
        if self.gain is not None:
            if self.gain.direction == NO_CLAIM or not self.gain.images:
                return DIFFERENT
            moved = self.gain.sign
        if moved == 0:
            return "no difference seen"
        return "better" if (moved < 0) == (self.row["better"] == "lower") else "worse"


def compare_results(first: Path, second: Path) -> tuple[Table, list[str]]:
    """Returns a table of paired differences, second minus first, and notes.

    Raises:
        UserError: A folder is missing or empty, or no score is in both with a shared seed.
    """
    found = [read_results(first), read_results(second)]
    a, b = with_methods([results.rows for results in found])
    scores = paired_scores(a, b, (read_per_image(first), read_per_image(second)))
    alone = [_alone(path, own, other) for path, own, other in ((first, a, b), (second, b, a))]
    alone.append(_unpaired(a, b))
    if not scores:
        raise UserError(
            f"'{first}' and '{second}' share no score of the same method and seed. "
            f"{' '.join(filter(None, alone))}"
        )
    title = f"{second} minus {first} · {suite_title(a.iloc[0].to_dict())}"
    notes = [warning for results in found for warning in results.warnings]
    return paired_table("compare", title, scores), [*notes, *filter(None, alone)]


def with_methods(many: Sequence[Rows]) -> list[Rows]:
    """Returns several results with the column ``method``, whose names tell all of them apart."""
    import pandas as pd

    labels = iter(method_labels(pd.concat(many, ignore_index=True)))
    return [rows.assign(method=list(islice(labels, len(rows)))) for rows in many]


def paired_scores(
    first: Rows, second: Rows, arrays: tuple[Arrays, Arrays] = ({}, {})
) -> list[PairedScore]:
    """Returns the scores that both have with a shared seed, tested together.

    Args:
        first: Rows of one result set.
        second: Rows of the other.
        arrays: Log-likelihoods of single images of the first and of the second.
    """
    sides = _both(first, second)
    shared = sorted(sides[0].scores.keys() & sides[1].scores.keys())
    seeds = {key: tuple(seed_values(side.scores[key]) for side in sides) for key in shared}
    entries = {key: (x, y) for key, (x, y) in seeds.items() if x.keys() & y.keys()}
    trained = {
        key: pair
        for key, pair in entries.items()
        if not any(score.objective in REFERENCES for score in sides[0].scores[key])
    }
    adjusted = dict(zip(trained, holm(paired_p_values(list(trained.values()))), strict=True))
    found = []
    for key, (x, y) in entries.items():
        row, gain = sides[0].records[key][0], None
        if row["kind"]:
            before, after = (
                estimate_of(side.records[key], own, side.brackets)
                for side, own in zip(sides, arrays, strict=True)
            )
            gain = _gain(row, before, after)
        kept = (warnings_of(sides[0].scores[key]), warnings_of(sides[1].scores[key]))
        found.append(PairedScore(row, x, y, adjusted.get(key, 1.0), gain, kept))
    return found


class _Side(NamedTuple):
    """One result set, sorted out by the score that rows are of.

    Attributes:
        scores: What the rows of each score say.
        records: The rows of each score; of scores that are no likelihoods the first alone.
        brackets: The trusted brackets of annealing.
    """

    scores: Mapping[int, Sequence[Scored]]
    records: Mapping[int, Sequence[Line]]
    brackets: Brackets


def _both(first: Rows, second: Rows) -> tuple[_Side, _Side]:
    """Returns both result sets with the same number for the same score, in the scores' order."""
    import pandas as pd

    keys = list(SCORE_KEY)
    whole = pd.concat([first[keys], second[keys]], ignore_index=True)
    numbers = whole.groupby(keys, dropna=False).ngroup().to_numpy()
    places = (numbers[: len(first)], numbers[len(first) :])
    one, other = (
        _side(rows.assign(number=at)) for rows, at in zip((first, second), places, strict=True)
    )
    return one, other


def _side(rows: Rows) -> _Side:
    shown = rows[(rows["kind"] != "") | ~rows["number"].duplicated()]
    records: dict[int, list[Line]] = {}
    for number, record in zip(shown["number"].tolist(), records_in(shown), strict=True):
        records.setdefault(number, []).append(record)
    return _Side(scores_by(rows, "number"), records, brackets_in(rows))


def paired_table(name: str, title: str, scores: Iterable[PairedScore]) -> Table:
    """Returns the table of paired scores."""
    shown = list(scores)
    found = {score.gain.direction for score in shown if score.gain is not None}
    alone = any(score.gain is not None and not score.gain.images for score in shown)
    notes = (
        "Means over the shared seeds, count in brackets. Difference ± half-width of its 95 % "
        "interval: Student's over the seeds, joined for likelihoods with the error over images.",
        f"Verdict: paired t-test, Holm-corrected, from {SEEDS_NEEDED} shared seeds on.",
        *(text for sign, text in LEGEND.items() if sign in found),
        *((IMAGES_UNKNOWN,) if alone else ()),
    )
    return text_table(name, title, HEADER, map(_line, shown), notes)


def _gain(row: Mapping[Any, Any], first: Estimate, second: Estimate) -> Gain | None:
    found = likelihood_gain(first, second)
    if found is None or not str(row["metric"]).startswith("bits_per_dim"):
        return found
    return found.in_bits(dims_of(row))


def _alone(path: Path, own: Rows, other: Rows) -> str:
    """Returns how many scores only one result set has, and of which methods."""
    lacking = _keys(own) - _keys(other)
    return (
        f"{len(lacking)} scores are only in '{path}', of {_methods(lacking)}." if lacking else ""
    )


def _unpaired(first: Rows, second: Rows) -> str:
    """Returns how many scores both have, but no seed of, and of which methods."""
    seeds = [_keys(usable(rows), ("seed",)) for rows in (first, second)]
    paired = {key[:-1] for key in seeds[0] & seeds[1]}
    lacking = (_keys(first) & _keys(second)) - paired
    told = f"{len(lacking)} scores have no seed with a value in both, of {_methods(lacking)}."
    return told if lacking else ""


def _keys(rows: Rows, more: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    return set(map(tuple, rows[[*NAMED_KEY, *more]].astype(str).to_numpy()))


def _methods(keys: Iterable[tuple[str, ...]]) -> str:
    return named(sorted({key[-1] for key in keys}))


def _line(score: PairedScore) -> tuple[object, ...]:
    row, difference = score.row, score.differences
    moved, count = float(difference.mean()), len(difference)
    pair = (score.first, score.second)
    values = [[of_seed[seed] for seed in score.shared] for of_seed in pair]
    space = "" if f"{row['space']})" in row["method"] else row["space"]
    method = " ".join(filter(None, (row["method"], space)))
    scored = " ".join(filter(None, (row["images"], row["density"])))
    names = (method, row["dataset"], row["latent_dim"], scored, row["metric"])
    numbers = (
        Cell(
            f"{mean_text(own)} ({count})", float(np.mean(own)), seeds=str(count), warnings=warnings
        )
        for own, warnings in zip(values, score.warnings, strict=True)
    )
    half = half_width(difference)
    spread = "" if half is None else f" ± {with_error(half, half)}"
    change = Cell(f"{with_error(moved, half, '+')}{spread}", moved)
    if score.gain is not None:
        change = Cell(score.gain.text, score.gain.value)
    return (*names, *numbers, change, score.verdict)

"""Differences of log-likelihoods: paired over seeds and test images, with what they prove."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...metrics.bits_per_dim import bits_per_dim
from ..records.per_image import PerImage, ScoreKey, is_missing, nats_of, of_row
from ..records.results import Rows
from .numbers import fixed_text
from .significance import NORMAL_95, half_width

if TYPE_CHECKING:
    from ...metrics.arrays import Floats

Line = Mapping[str, Any]
Arrays = Mapping[ScoreKey, PerImage]
Model = tuple[str, ...]  # Run, density, and whether it is native or completed.
Brackets = Mapping[Model, Line]
EXACT, AT_MOST, AT_LEAST, BETWEEN, NO_CLAIM = "=", "≤", "≥", "to", "?"
LEGEND = {
    EXACT: "=: both likelihoods are exact.",
    AT_MOST: "≤: the true difference is at most this, since one side is only a bound.",
    AT_LEAST: "≥: the true difference is at least this, since one side is only a bound.",
    BETWEEN: (
        "to: annealing bounds the true difference from both sides, as far as its gap on "
        "simulated data holds for test images."
    ),
    NO_CLAIM: "?: a difference of two bounds, which says nothing of the true difference.",
}


def direction_of(below: float, above: float) -> str:
    """Returns what a difference says of the true one: a key of `LEGEND`.

    Exact minus a lower bound is an upper limit of a gain, a lower bound minus exact a lower.

    Args:
        below: By how much the true difference may be smaller; infinite where nothing limits it.
        above: By how much it may be larger.
    """
    if below == above == 0:
        return EXACT
    if math.isinf(below):
        return NO_CLAIM if math.isinf(above) else AT_MOST
    return AT_LEAST if math.isinf(above) else BETWEEN


@dataclass(frozen=True)
class Estimate:
    """The log-likelihood of one method.

    Attributes:
        values: Nats per image for each seed; a lower bound is what the truth may lie above.
        images: Those of single images for each seed, as far as they were kept.
        counts: The count of test images for each seed of which it is known.
        gap: How far the truth may lie above: 0 where exact, infinite for a mere bound, the gap
            of the bracket on simulated data where annealing gave one.
        gap_error: The gap's standard error.
    """

    values: Mapping[int, float]
    images: Mapping[int, PerImage]
    counts: Mapping[int, int]
    gap: float
    gap_error: float = 0.0


@dataclass(frozen=True)
class Gain:
    """A difference of two likelihoods, second minus first.

    Attributes:
        value: Mean over shared seeds and images, in nats per image unless converted.
        half_width: Half-width of its 95 % interval over images and, from two seeds on, over
            seeds; without the images' part where `images` is 0; none where nothing is known.
        below: By how much the true difference may be smaller; infinite where nothing limits it.
        above: By how much it may be larger.
        seeds: The seeds that both have.
        images: How many test images both were scored on; 0 where they were not kept.
        by_seed: The difference for each shared seed, over the shared images.
        image_error: Standard error over images of their mean, and of the brackets' gaps.
    """

    value: float
    half_width: float | None
    below: float
    above: float
    seeds: tuple[int, ...]
    images: int
    by_seed: Mapping[int, float] = field(default_factory=dict)
    image_error: float = 0.0

    @property
    def direction(self) -> str:
        """What the difference says of the true one: a key of `LEGEND`."""
        return direction_of(self.below, self.above)

    @property
    def interval(self) -> tuple[float, float]:
        """What the true difference lies in with 95 % confidence, infinite where nothing is known.

        An error over seeds alone says nothing of other images, one seed nothing of others.
        """
        if self.half_width is None or self.images == 0 or len(self.seeds) < 2:
            return -math.inf, math.inf
        spread = self.half_width
        return self.value - self.below - spread, self.value + self.above + spread

    @property
    def sign(self) -> int:
        """1 where the true difference is surely above 0, -1 where surely below, else 0."""
        low, high = self.interval
        return 1 if low > 0 else -1 if high < 0 else 0

    @property
    def text(self) -> str:
        """The difference as it stands in a table, such as ``"≤ +3.10 ± 0.42"``."""
        spread = "" if self.half_width is None else f" ± {self._number(self.half_width)}"
        if self.direction != BETWEEN:
            return f"{self.direction} {self._number(self.value, '+')}{spread}"
        ends = (self.value - self.below, self.value + self.above)
        low, high = (self._number(end, "+") for end in ends)
        return f"{low} to {high}{spread}"

    def _number(self, number: float, sign: str = "") -> str:
        """Returns a number with as many decimals as show two digits of the error."""
        gap = self.below + self.above
        size = self.half_width or (gap if 0 < gap < math.inf else abs(self.value)) or 1.0
        decimals = max(0, min(4, 1 - math.floor(math.log10(size))))
        return fixed_text(number, decimals, sign)

    def in_bits(self, dims: int) -> Gain:
        """Returns the difference in bits per dimension, where lower is better.

        Args:
            dims: Values per image.
        """
        bits = bits_per_dim(1.0, dims=dims) - bits_per_dim(0.0, dims=dims)
        half = None if self.half_width is None else bits * self.half_width
        below, above = bits * self.above, bits * self.below
        return replace(
            self,
            value=-bits * self.value,
            half_width=half,
            below=below,
            above=above,
            by_seed={seed: -bits * value for seed, value in self.by_seed.items()},
            image_error=bits * self.image_error,
        )


def estimate_of(
    records: Iterable[Line], arrays: Arrays, brackets: Brackets | None = None
) -> Estimate:
    """Returns the likelihood of one method from its rows, those that are trusted.

    Args:
        records: Rows of one likelihood score of one method, a row a seed, in nats or bits, as
            `records_in` gives them.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
        brackets: What `brackets_in` gives; none where an annealed bound stands alone.
    """
    good = [row for row in records if row["status"] == "ok" and row["trusted"] != "no"]
    images = {int(row["seed"]): of_row(row, arrays) for row in good}
    gap, error = _gap(good, brackets)
    return Estimate(
        {int(row["seed"]): nats_of(row) for row in good},
        {seed: kept for seed, kept in images.items() if kept is not None},
        {int(row["seed"]): int(row["n_real"]) for row in good if not is_missing(row["n_real"])},
        gap,
        error,
    )


def likelihood_gain(first: Estimate, second: Estimate) -> Gain | None:
    """Returns by how much the second has more log-likelihood, over shared seeds and images.

    Both must be of one data set, split and space. Returns none where they share no seed, or
    were scored on other images and single images were not kept.
    """
    seeds = tuple(sorted(first.values.keys() & second.values.keys()))
    table = _paired(*([one.images.get(s) for s in seeds] for one in (first, second)))
    count = table.shape[1]
    error = None
    if count:
        over_images = table.mean(axis=0)
        error = over_images.std(ddof=1) / math.sqrt(count) if count > 1 else None
        differences = table.mean(axis=1).tolist()
    elif seeds and all(
        s in first.counts and first.counts[s] == second.counts.get(s) for s in seeds
    ):
        differences = [second.values[s] - first.values[s] for s in seeds]
    else:
        return None
    half = half_width(differences, error, count)
    gaps = math.hypot(first.gap_error, second.gap_error)
    return Gain(
        float(np.mean(differences)),
        None if half is None else math.hypot(half, NORMAL_95 * gaps),
        first.gap,
        second.gap,
        seeds,
        count,
        dict(zip(seeds, differences, strict=True)),
        math.hypot(error or 0.0, gaps),
    )


def _paired(first: Sequence[PerImage | None], second: Sequence[PerImage | None]) -> Floats:
    """Returns second minus first, in nats, for each seed and test image that all have.

    Args:
        first: The images of each seed.
        second: Those of the other method, for the same seeds.
    """
    kept = [one for one in (*first, *second) if one is not None]
    if not kept or len(kept) < len(first) + len(second):
        return np.empty((len(first), 0))
    shared = reduce(np.intersect1d, [one.images for one in kept])
    values = np.array([_values_of(one, shared) for one in kept])
    return values[len(first) :] - values[: len(first)]


def _values_of(kept: PerImage, images: NDArray[Any]) -> Floats:
    """Returns the values of images, which it has, in their order."""
    order = np.argsort(kept.images, kind="stable")
    places = np.searchsorted(kept.images[order], images, side="right") - 1
    return kept.values[order][places].astype(float)


def _gap(records: Sequence[Line], brackets: Brackets | None) -> tuple[float, float]:
    if all(row["kind"] == "exact" for row in records):
        return 0.0, 0.0
    if brackets is None or not all(str(row["metric"]).endswith("_annealed") for row in records):
        return math.inf, 0.0
    if not all(model_of(row) in brackets for row in records):
        return math.inf, 0.0
    own = [brackets[model_of(row)] for row in records]
    values, errors = ([float(row[name]) for row in own] for name in ("value", "stderr"))
    error = float(np.nan_to_num(np.mean(errors)))
    # A gap below its own error is not told from none, which would make the bound exact.
    return max(float(np.mean(values)), error), error


def brackets_in(rows: Rows) -> Brackets:
    """Returns the trusted brackets among rows by their model."""
    found = rows[(rows["metric"] == "bracket_gap") & (rows["status"] == "ok")]
    # Rows of before there was that column cannot say that their annealing may referee.
    return {model_of(row): row for row in records_in(found[found["trusted"] == "yes"])}


def records_in(rows: Rows) -> list[Line]:
    """Returns rows as records."""
    return [{str(name): value for name, value in r.items()} for r in rows.to_dict("records")]


def model_of(row: Line) -> Model:
    """Returns which model a row is of: its run, its density, and whether it was completed."""
    return str(row["run"]), str(row["density"]), str(row["model"])

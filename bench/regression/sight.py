"""What a baseline can see: the smallest worsening of each score that the check finds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.labels import named
from ..comparison.numbers import format_number

if TYPE_CHECKING:
    from ...metrics.arrays import Floats

# Chance of a false alarm in a check without any regression, over all of its scores together.
ALARM = 0.001
# No smaller share of a score's value counts as a change.
RELEVANT = 0.01
# Where seeds are too few for a test: a change of more than half the value, and of more than ten
# standard deviations over seeds, is no chance.
GROSS_SHARE, GROSS_SPREADS = 0.5, 10
# Share of a score's value whose loss a good baseline shows, and in how many of the scores.
WANTED, OF_SCORES = 0.1, 0.9
MOST_SEEDS = 1000
MOST_NAMED = 3  # Scores in a line.


@dataclass(frozen=True)
class Spread:
    """How far a score scatters over the baseline's seeds.

    Attributes:
        deviation: The standard deviation: the larger of the score's own and the one pooled over
            all objectives.
        freedom: Its degrees of freedom; 0 where there are no two seeds.
    """

    deviation: float = 0.0
    freedom: float = 0.0


@dataclass(frozen=True)
class Sight:
    """What the check sees of one score.

    Attributes:
        name: What is scored.
        level: The baseline's mean.
        limit: A larger worsening of the mean is found, no smaller one; infinite where the
            baseline cannot tell.
        spread: How far the score scatters over seeds.
        is_gross: Whether seeds are too few for a test at this level, so that the limit is one of
            size alone.
    """

    name: str
    level: float
    limit: float
    spread: Spread
    is_gross: bool

    @property
    def share(self) -> float:
        """The limit as a share of the score's value."""
        if self.level == 0:
            return np.inf if self.limit > 0 else 0.0
        return self.limit / abs(self.level)


def spreads(values: Floats) -> list[Spread]:
    """Returns the spread of each score of one pool.

    Objectives share the random numbers of a seed and so move together; the degrees of freedom
    of the pooled spread are those of a sum of correlated squares: n - 1 where all objectives
    move as one, up to (n - 1)^2.

    References:
        An approximate distribution of estimates of variance components (Satterthwaite, 1946).

    Args:
        values: Shape (seeds, scores), nan where a score lacks a seed.
    """
    here = np.isfinite(values)
    freedom = here.sum(axis=0) - 1
    known = int(freedom.clip(min=0).sum())
    if known == 0:
        return [Spread()] * values.shape[1]
    scale = float(np.abs(values[here]).max()) or 1.0  # Squares of large values are not finite.
    scaled = values / scale
    rest = np.where(here, scaled - np.nanmean(scaled, axis=0), 0.0)
    own = np.sqrt(np.square(rest).sum(axis=0) / freedom.clip(min=1))
    total, moved = float(np.square(rest).sum()), float(np.square(rest @ rest.T).sum())
    # At least 1 by Cauchy and Schwarz, which rounding does not know.
    shared = max(1.0, total**2 / moved) if moved > 0 else 1.0
    pooled = Spread(scale * float(np.sqrt(total / known)), shared * int(freedom.max()))
    return [
        Spread(scale * float(alone), float(count)) if scale * alone > pooled.deviation else pooled
        for alone, count in zip(own, freedom, strict=True)
    ]


def look(name: str, level: float, spread: Spread, seeds: tuple[int, int], scores: int) -> Sight:
    """Returns what the check sees of a score, before it looks at the new values.

    Args:
        name: What is scored.
        level: The baseline's mean.
        spread: How far the score scatters over the baseline's seeds.
        seeds: How many seeds the means before and after are of.
        scores: How many scores are tested together.
    """
    if spread.freedom == 0:
        return Sight(name, level, np.inf, spread, False)
    error = spread.deviation * np.sqrt(1 / seeds[0] + 1 / seeds[1])
    tested = _quantile(scores, spread.freedom) * error
    gross = max(GROSS_SHARE * abs(level), GROSS_SPREADS * spread.deviation)
    limit = max(RELEVANT * abs(level), min(tested, gross))
    return Sight(name, level, limit, spread, gross < tested)


def seeds_needed(spread: float, wanted: float, scores: int) -> int:
    """Returns how many seeds a test takes to find a worsening.

    The baseline and the results have them all, and all objectives move as one.

    Args:
        spread: Standard deviation of a score over seeds.
        wanted: The worsening of its mean, in the same unit.
        scores: How many scores are tested together.

    Returns:
        The seeds, or one more than `MOST_SEEDS`.

    Example:
        >>> seeds_needed(1.0, 10.0, 1), seeds_needed(1.0, 1.0, 1)
        (4, 25)
    """
    from scipy.stats import t

    count = np.arange(2, MOST_SEEDS + 1)
    seen = t.isf(ALARM / scores, count - 1) * np.sqrt(2 / count) * spread <= wanted
    return int(count[seen][0]) if seen.any() else MOST_SEEDS + 1


def sight_lines(sights: Sequence[Sight], untested: Sequence[str], seeds: str) -> list[str]:
    """Returns sentences on what a check sees and what it does not.

    Args:
        sights: What it sees of each score that it can test.
        untested: Scores of which the baseline has one seed alone.
        seeds: Which seeds are compared, in words.
    """
    lines = [_blind_line(untested)] if untested else []
    if not sights:
        return ["No score of a trained model can be compared.", *lines]
    shares = sorted(sight.share for sight in sights)
    half, most = (share_text(np.quantile(shares, q, method="higher")) for q in (0.5, OF_SCORES))
    worst = max(sights, key=lambda sight: sight.share)
    lines.insert(
        0,
        f"{len(sights)} scores are compared over {seeds}. A worsening of the mean is found from "
        f"{half} of the value on in half of the scores, from {most} on in nine of ten. Least "
        f"visible: {worst.name}, where a worsening by up to {format_number(worst.limit)} passes "
        f"(baseline {format_number(worst.level)}).",
    )
    gross = [sight for sight in sights if sight.is_gross]
    if gross:
        lines.append(
            f"For {len(gross)} scores the seeds are too few for a test: they are worse once the "
            f"mean worsens by more than {share_text(GROSS_SHARE)} of the value and by more than "
            f"{GROSS_SPREADS} standard deviations over seeds."
        )
    if any(sight.spread.freedom < 2 for sight in gross):
        lines.append(
            "With two seeds in the baseline such a change may be chance, where the results draw "
            "other random numbers than the baseline's."
        )
    return [*lines, _needed_line(sights)]


@functools.lru_cache
def _quantile(scores: int, freedom: float) -> float:
    from scipy.stats import t

    return float(t.isf(ALARM / scores, freedom))


def _blind_line(untested: Sequence[str]) -> str:
    return (
        f"{len(untested)} scores cannot be tested, since the baseline has one seed of them and "
        f"one seed tells no spread: {named(untested, MOST_NAMED)}."
    )


def _needed_line(sights: Sequence[Sight]) -> str:
    shares = [s.spread.deviation / abs(s.level) if s.level else 0.0 for s in sights]
    usual = float(np.quantile(shares, OF_SCORES, method="higher"))
    needed = seeds_needed(usual, WANTED, len(sights))
    count = f"more than {MOST_SEEDS}" if needed > MOST_SEEDS else f"about {needed}"
    return (
        f"To see a worsening by {share_text(WANTED)} of the value in nine of ten scores takes "
        f"{count} seeds, in the baseline and in the results."
    )


def share_text(share: float) -> str:
    """Returns a share in per cent, such as ``"22 %"``."""
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"

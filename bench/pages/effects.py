"""Effects that claims speak of: paired differences, their interval, and what they decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..comparison.gains import BETWEEN, EXACT, LEGEND, direction_of
from ..comparison.numbers import format_number, with_sign
from ..comparison.significance import (
    LEVEL,
    POWER,
    SEEDS_NEEDED,
    Seeds,
    half_width,
    holm,
    mean,
    smallest_detectable,
)
from ..comparison.table import Cell, Table, text_table
from ..errors import number_of

CLAIMS = "claims"
ONLY_A_BOUND, NOT_SEPARATED = "only a bound", "not separated"  # Why nothing is decided.
HEADER = (
    *("claim", "comparison", "where", "effect", "95 % interval", "detectable", "unit", "seeds"),
    *("training", "verdict"),
)
DETECTABLE = (
    "Detectable: the smallest effect, beyond what is claimed, that a test of this many seeds "
    f"finds in {100 * POWER:.0f} % of cases."
)
NO_ROOM = " none: what the scores have room for is smaller, so that so few seeds can show nothing."


@dataclass(frozen=True)
class Effect:
    """One comparison that a claim speaks of.

    Attributes:
        claim: Name of the claim, such as ``RAE i``.
        comparison: What is compared, such as ``rae: gmm-10 instead of gaussian``.
        where: Data set, and whatever else sets the rows apart.
        unit: Unit of the differences.
        differences: The effect for each seed that both sides have; positive is the claim's way.
        least: What the effect must exceed to support the claim.
        most: The largest effect that the scores leave room for.
        candidates: Of how many comparisons this one was chosen by its values.
        below: By how much the true effect may be smaller, since a bound stands on one side;
            infinite where nothing limits it.
        above: By how much it may be larger.
        image_error: Standard error over test images of the mean effect, where it is known.
        images: How many images that error comes from.
        lost: How many seeds of either side went wrong or ran elsewhere, such as ``1 diverged``.
        doubt: Why this comparison decides nothing, whatever its seeds say.
        training: What was run of the published training steps.
        settings: Those of both sides, as `settings_of_both` gives them.
    """

    claim: str
    comparison: str
    where: str
    unit: str
    differences: Seeds
    least: float = 0.0
    most: float = math.inf
    candidates: int = 1
    below: float = 0.0
    above: float = 0.0
    image_error: float = 0.0
    images: int | None = None
    lost: str = ""
    doubt: str = ""
    training: str = ""
    settings: str = ""

    @property
    def value(self) -> float:
        """The mean effect; nan without a shared seed."""
        return mean(self.differences)

    @property
    def direction(self) -> str:
        """What the effect says of the true one, a key of ``LEGEND``; empty where all."""
        found = direction_of(self.below, self.above)
        return "" if found == EXACT else found

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean effect, none from fewer than two seeds.

        Where both sides are bounded, it reaches from the least that the effect may be to the
        most; else it is that of the limit.
        """
        values = list(self.differences.values())
        half = half_width(values, self.image_error, self.images) if len(values) > 1 else None
        if half is None:
            return None
        below, above = (0.0 if math.isinf(end) else end for end in (self.below, self.above))
        return self.value - below - half, self.value + above + half

    @property
    def error(self) -> float:
        """Standard error of the mean effect over seeds and images; nan from one seed."""
        values = np.array(list(self.differences.values()))
        if len(values) < 2:
            return float("nan")
        return float(np.hypot(values.std(ddof=1) / np.sqrt(len(values)), self.image_error))

    @property
    def distance(self) -> float:
        """How far the nearer end of what the effect may be lies from ``least``, with its sign.

        0 where ``least`` lies between the ends.
        """
        low, high = (self.value + change - self.least for change in (-self.below, self.above))
        return low if low > 0 else high if high < 0 else 0.0

    @property
    def p_value(self) -> float:
        """Two-sided, for an effect of ``least``; 1 where nothing may be decided."""
        from scipy.special import stdtr

        count = len(self.differences)
        if count < SEEDS_NEEDED or self.doubt:
            return 1.0
        distance, error = abs(self.distance), self.error
        if error <= 1e-12 * max(1.0, distance):  # Differences that are all alike.
            return 0.0 if distance > 1e-12 else 1.0
        return min(1.0, self.candidates * 2 * float(stdtr(count - 1, -distance / error)))


@dataclass(frozen=True)
class Finding:
    """An effect and what it decides among the others of its page.

    Attributes:
        effect: The effect.
        verdict: ``supported``, ``contradicted`` or ``undecided``.
        reason: Why it is undecided, else empty.
        detectable: The smallest effect that this many seeds detect; None from fewer than three.
    """

    effect: Effect
    verdict: str
    reason: str
    detectable: float | None

    @property
    def has_room(self) -> bool:
        """Whether the scores leave room for an effect that so many seeds detect."""
        return self.detectable is None or self.detectable <= self.effect.most - self.effect.least


def judge(effects: Sequence[Effect]) -> list[Finding]:
    """Returns a finding for each effect; tests are Holm-corrected over all of them."""
    adjusted = holm([effect.p_value for effect in effects])
    level = LEVEL / max(1, len(effects))
    return [
        Finding(
            effect,
            *_verdict(effect, p),
            smallest_detectable(effect.error, len(effect.differences), level / effect.candidates),
        )
        for effect, p in zip(effects, adjusted, strict=True)
    ]


def claims_table(findings: Sequence[Finding]) -> Table:
    """Returns the table of findings, a line for each."""
    count, signs = len(findings), {finding.effect.direction for finding in findings}
    images = any(finding.effect.image_error for finding in findings)
    notes = (
        "Effect: mean paired difference over the seeds that both have; positive is the claim's "
        "way.",
        "Interval: Student's over these seeds"
        + (", joined for likelihoods with the error over test images." if images else ".")
        + (" It reaches from one end to the other where there are two." * (BETWEEN in signs)),
        *(text for sign, text in LEGEND.items() if sign in signs),
        DETECTABLE + NO_ROOM * any(not finding.has_room for finding in findings),
        f"Verdict: paired t-test from {SEEDS_NEEDED} shared seeds on, Holm-corrected for "
        f"{number_of(count, 'comparison')}, {100 * LEVEL:.0f} %.",
        *_choice_note(findings),
    )
    return text_table(CLAIMS, "Claims of the papers", HEADER, map(_line, findings), notes)


def _choice_note(findings: Sequence[Finding]) -> Iterator[str]:
    """Says by what the p-values of comparisons are multiplied that were chosen by their values."""
    chosen: dict[str, set[int]] = {}
    for effect in (finding.effect for finding in findings):
        if effect.candidates > 1:
            chosen.setdefault(effect.claim, set()).add(effect.candidates)
    if chosen:
        counts = (f"{c}: {' and '.join(map(str, sorted(own)))}" for c, own in chosen.items())
        yield (
            "The p-value of a comparison that was chosen from several by its value is multiplied "
            f"by their number ({'; '.join(counts)}). So an interval without 0 may be undecided."
        )


def _verdict(effect: Effect, p: float) -> tuple[str, str]:
    count = len(effect.differences)
    if count < SEEDS_NEEDED:
        return "undecided", f"{count} of {SEEDS_NEEDED} seeds"
    if effect.doubt:
        return "undecided", effect.doubt
    if p >= LEVEL:
        bounds = (effect.below or effect.above) and effect.distance == 0
        return "undecided", ONLY_A_BOUND if bounds else NOT_SEPARATED
    return ("supported" if effect.distance > 0 else "contradicted"), ""


def _shown(effect: Effect) -> Cell:
    if not effect.differences:
        return Cell("-")
    sign, value = effect.direction, effect.value
    if sign == BETWEEN:
        ends = (with_sign(value - effect.below), with_sign(value + effect.above))
        return Cell(f"{ends[0]} to {ends[1]}", value)
    return Cell(f"{sign} {with_sign(value)}".strip(), value)


def _line(finding: Finding) -> tuple[object, ...]:
    effect = finding.effect
    interval = effect.interval
    bounds = "-" if interval is None else " to ".join(map(with_sign, interval))
    least = f" (more than {with_sign(effect.least)} is claimed)" if effect.least else ""
    smallest = "-" if finding.detectable is None else format_number(finding.detectable)
    smallest = smallest if finding.has_room else "none"
    seeds = f"{len(effect.differences)}{f', {effect.lost}' if effect.lost else ''}"
    verdict = f"{finding.verdict}{f' ({finding.reason})' if finding.reason else ''}"
    start = (effect.claim, f"{effect.comparison}{least}", effect.where, _shown(effect), bounds)
    return (*start, smallest, effect.unit, seeds, effect.training or "-", verdict)

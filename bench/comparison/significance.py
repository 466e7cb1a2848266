"""What several seeds decide: paired tests, Holm's correction, ties and intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...metrics.arrays import Floats

LEVEL = 0.05
POWER = 0.8
SEEDS_NEEDED = 5
NORMAL_95 = 1.959963984540054
Seeds = Mapping[int, float]


def mean(seeds: Seeds) -> float:
    """Returns the mean over seeds; nan where there is none."""
    return float(np.mean(list(seeds.values()))) if seeds else float("nan")


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for their number by Holm's step-down rule.

    References:
        A simple sequentially rejective multiple test procedure (Holm, 1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def paired_p_values(pairs: Sequence[tuple[Seeds, Seeds]], least: int = 3) -> list[float]:
    """Returns two-sided p-values of the paired t-test over the seeds that both of a pair have.

    Two seeds or fewer decide nothing: 1.0. Differences that are all alike have no variance:
    0.0 where they are off zero, else 1.0. Pairs of as many seeds are computed together.

    Args:
        pairs: The values of both sides.
        least: The fewest shared seeds that decide anything, three or more.
    """
    found = [1.0] * len(pairs)
    alike: dict[int, list[tuple[int, list[int]]]] = {}
    for at, (first, second) in enumerate(pairs):
        seeds = sorted(first.keys() & second.keys())
        if len(seeds) >= least:
            alike.setdefault(len(seeds), []).append((at, seeds))
    for places in alike.values():
        a, b = (
            np.array([[pairs[at][side][seed] for seed in seeds] for at, seeds in places])
            for side in (0, 1)
        )
        for (at, _), p in zip(places, _paired_tests(a, b), strict=True):
            found[at] = p
    return found


def _paired_tests(a: Floats, b: Floats) -> list[float]:
    """Returns the p-value of each line of two arrays of one shape (pairs, seeds)."""
    from scipy.stats import ttest_rel

    difference = a - b
    largest = np.abs(difference).max(axis=1)
    flat = np.ptp(difference, axis=1) <= 1e-12 * np.maximum(1.0, largest)
    found = np.where(np.abs(difference[:, 0]) > 1e-12, 0.0, 1.0)
    if not flat.all():
        found[~flat] = ttest_rel(a[~flat], b[~flat], axis=1).pvalue
    return [float(p) for p in found]


def separated_from_best(
    candidates: Mapping[str, Seeds], better: str, bounds: Collection[str] = ()
) -> tuple[list[str], str]:
    """Finds which candidates are best as far as paired tests over the seeds can tell.

    Args:
        candidates: For each name its value for each seed.
        better: ``higher`` or ``lower``.
        bounds: Names whose values are only bounds that the truth may be better than; nothing is
            separated from such a one, and it can itself be the best.

    Returns:
        The names that tie for the best place (one name where it stands alone; none where
        nothing can be said), and the reason why there is no single best, or nothing.
    """
    if better not in ("higher", "lower"):
        return [], "the score has no better direction"
    counted = {name: seeds for name, seeds in candidates.items() if seeds}
    if len(counted) < 2:
        return [], "there is nothing to compare with"
    shared = set.intersection(*(set(seeds) for seeds in counted.values()))
    if len(shared) < SEEDS_NEEDED:
        return [], _shared_text(len(shared), counted)
    sign = 1.0 if better == "lower" else -1.0
    paired = {name: {s: seeds[s] for s in shared} for name, seeds in counted.items()}
    best = min(paired, key=lambda name: sign * mean(paired[name]))
    others = [name for name in paired if name != best]
    adjusted = holm(paired_p_values([(paired[best], paired[name]) for name in others]))
    tied = [n for n, p in zip(others, adjusted, strict=True) if p >= LEVEL or n in bounds]
    reason = f"{len(tied) + 1} rows are not separated" if tied else ""
    return [best, *tied], reason


def smallest_detectable(error: float, count: int, level: float) -> float | None:
    """Returns the mean difference that a two-sided paired t-test finds in 4 of 5 cases.

    The differences are taken to scatter as those seen do.

    Args:
        error: Standard error of the mean difference.
        count: Seeds behind it; the scatter of fewer than three is unknown.
        level: The test's level, corrected for the number of comparisons.
    """
    from scipy.special import nctdtrinc, stdtrit

    freedom = count - 1
    if freedom < 2:
        return None
    critical = float(stdtrit(freedom, 1 - level / 2))
    # Beyond the critical value lies this much of a t-distribution that is shifted by so much.
    return float(nctdtrinc(freedom, 1 - POWER, critical)) * error


def detectable_from_best(candidates: Mapping[str, Seeds], better: str) -> float | None:
    """Returns the smallest difference to the best that the marks of a column could have shown.

    It is the median over the comparisons that `separated_from_best` makes, each at the level
    that Holm's rule asks of the first of them.

    Args:
        candidates: For each name its value for each seed.
        better: ``higher`` or ``lower``.

    Returns:
        The difference, in the unit of the values; none from fewer shared seeds than marks need.
    """
    counted = {name: seeds for name, seeds in candidates.items() if seeds}
    shared = sorted(set.intersection(*map(set, counted.values()))) if counted else []
    if len(counted) < 2 or len(shared) < SEEDS_NEEDED or better not in ("higher", "lower"):
        return None
    values = {name: np.array([own[seed] for seed in shared]) for name, own in counted.items()}
    sign = 1.0 if better == "lower" else -1.0
    best = min(values, key=lambda name: sign * float(values[name].mean()))
    spreads = [(own - values[best]).std(ddof=1) for name, own in values.items() if name != best]
    error = float(np.median(spreads)) / math.sqrt(len(shared))
    return smallest_detectable(error, len(shared), LEVEL / len(spreads))


def ahead_of(
    candidates: Mapping[str, Seeds], better: str, bounds: Collection[str] = ()
) -> dict[str, set[str]]:
    """Returns for each candidate those that are ahead of it.

    A candidate is ahead of another only where the paired test over at least five shared seeds,
    Holm-corrected over all pairs, separates them and the other's value is not a mere bound.

    Args:
        candidates: For each name its value for each seed; those without any are left out.
        better: ``higher`` or ``lower``.
        bounds: Names whose values are only bounds that the truth may be better than.
    """
    names = [name for name in candidates if candidates[name]]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    p_values = holm(
        paired_p_values([(candidates[a], candidates[b]) for a, b in pairs], SEEDS_NEEDED)
    )
    ahead: dict[str, set[str]] = {name: set() for name in names}
    sign = 1.0 if better == "lower" else -1.0
    for (a, b), p in zip(pairs, p_values, strict=True):
        if p < LEVEL and better in ("higher", "lower"):
            a_leads = sign * _mean_difference(candidates[a], candidates[b]) < 0
            winner, loser = (a, b) if a_leads else (b, a)
            if loser not in bounds:
                ahead[loser].add(winner)
    return ahead


def rank_intervals(ahead: Mapping[str, Collection[str]]) -> dict[str, tuple[int, int]]:
    """Returns for each candidate the ranks that it may hold, from 1, by who is ahead of whom.

    Example:
        >>> rank_intervals({"a": [], "b": ["a"], "c": []})
        {'a': (1, 2), 'b': (2, 3), 'c': (1, 3)}
    """
    behind = Counter(winner for winners in ahead.values() for winner in winners)
    return {name: (1 + len(ahead[name]), len(ahead) - behind[name]) for name in ahead}


def unseparated_groups(names: Iterable[str], ahead: Mapping[str, Collection[str]]) -> list[int]:
    """Returns for each name the group of neighbours that it is in, from 0: none of them is ahead.

    Args:
        names: Names in the order of a list.
        ahead: For each those that are ahead of it, nothing where that is not known.

    Example:
        >>> unseparated_groups(["a", "b", "c"], {"a": [], "b": [], "c": ["b"]})
        [0, 0, 1]
    """
    groups: list[int] = []
    own: list[str] = []
    for name in names:
        apart = any(a in ahead.get(name, ()) or name in ahead.get(a, ()) for a in own)
        own = [name] if apart else [*own, name]
        groups.append((groups[-1] + apart) if groups else 0)
    return groups


def t_interval(values: Iterable[float], *, of_next: bool = False) -> tuple[float, float] | None:
    """Returns Student's 95 % interval of the mean, none from fewer than two values.

    There is none either where the values are so large that their squares have no number.

    Args:
        values: The score of each seed.
        of_next: Whether the interval is that of one more seed's score instead of the mean's.

    Example:
        >>> [round(bound, 2) for bound in t_interval([1.0, 3.0, 2.0])]
        [-0.48, 4.48]
        >>> t_interval([1.0]) is None
        True
    """
    sample = np.array(list(values), dtype=float)
    if sample.size < 2:
        return None
    # The next score scatters by itself, on top of what is not known of the mean.
    with np.errstate(over="ignore", invalid="ignore"):
        error = sample.std(ddof=1) * np.sqrt(of_next + 1 / sample.size)
    half = _t_factor(sample.size) * float(error)
    if not math.isfinite(half):
        return None
    return float(sample.mean()) - half, float(sample.mean()) + half


def half_width(
    values: Iterable[float], image_error: float | None = None, images: int | None = None
) -> float | None:
    """Returns the half-width of the 95 % interval of a mean over seeds, and over images.

    The interval over seeds is Student's. All seeds are scored on the same images, so the error
    over images is one more source beside them; the two half-widths are joined as independent.

    References:
        Construction of confidence limits about effect measures: a general approach
        (Zou, Donner, 2008), for the sum of two quantities.

    Args:
        values: The score of each seed.
        image_error: Standard error of the mean over test images; none where it is not wanted.
        images: How many images that error comes from, where they may be few.

    Returns:
        With one seed the part over images alone; none where nothing is known.

    Example:
        >>> round(half_width([1.0, 3.0, 2.0]), 2), round(half_width([1.0], 0.5), 2)
        (2.48, 0.98)
        >>> half_width([1.0]) is None
        True
    """
    interval = t_interval(values)
    over_images = None
    if image_error is not None:
        over_images = image_error * (NORMAL_95 if images is None else _t_factor(images))
    if interval is None:
        return over_images
    return math.hypot((interval[1] - interval[0]) / 2, over_images or 0.0)


def _t_factor(count: int) -> float:
    """Returns how many standard errors Student's 95 % interval of a mean of so many reaches."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 0.975))


def _shared_text(shared: int, candidates: Mapping[str, Seeds]) -> str:
    fewest = min(candidates, key=lambda name: len(candidates[name]))
    count = len(candidates[fewest])
    text = f"all rows share only {shared} of the {SEEDS_NEEDED} seeds needed"
    even = all(len(seeds) == count for seeds in candidates.values())
    return text if even else f"{text} ('{fewest}' has {count})"


def _mean_difference(first: Seeds, second: Seeds) -> float:
    return float(np.mean([first[seed] - second[seed] for seed in first.keys() & second.keys()]))

"""Effects in words: a number with its interval, and what effects decide of a claim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..comparison.gains import AT_LEAST, AT_MOST
from ..comparison.numbers import fixed_text
from ..comparison.significance import LEVEL, SEEDS_NEEDED, smallest_detectable
from ..errors import number_of
from .effects import NOT_SEPARATED, ONLY_A_BOUND, Effect, Finding, judge
from .methods import DEFAULT, TUNED, counts_of_seeds, listed

OVER = " over "


def lead_in_words(edge: Effect, opening: str) -> str:
    """Returns a lead in a sentence or two for a reader who is new to the field.

    Args:
        edge: The lead, whose comparison names the best and its rival.
        opening: What the best one is; its name follows.
    """
    best, _, rival = edge.comparison.partition(OVER)
    lower, ahead = edge.value >= 0, _turned(edge)
    low, high = _interval(ahead)
    decimals = _decimals((high - low) / 2)
    text = (
        f"{opening}, {best}, has an FD {fixed_text(ahead.value, decimals)} "
        f"{'below' if lower else 'above'} its closest rival, {rival} (95 % interval "
        f"{_ends(low, high, decimals)}, {_choice(edge)}"
        f"{number_of(len(edge.differences), 'seed')})."
    )
    if not low <= 0 <= high:
        return text
    could = _detectable(edge)
    if could is None:
        return f"{text} This is undecided."
    return (
        f"{text} Undecided: these seeds would show a difference of {fixed_text(could, decimals)} "
        "in four of five cases."
    )


def _choice(edge: Effect) -> str:
    """Returns what a lead's interval allows for, empty where nothing was chosen."""
    if edge.candidates == 1:
        return ""
    chosen = "variants" if edge.value > 0 else "rivals"
    return f"allowing for the choice among {edge.candidates} {chosen}, "


def ahead_in_words(edge: Effect, seeds: int, of: str = "", aside: str = "") -> str:
    """Returns a lead as what its best does, such as ``trails wae by 35 [-5, 74]``.

    Args:
        edge: The lead, whose comparison names the best and its rival.
        seeds: How many seeds the reader takes it to have; another count is named.
        of: What the interval is, where it is the first.
        aside: What is said of the rival.
    """
    rival = edge.comparison.partition(OVER)[2]
    return f"{_verb(edge)} {rival}{aside} by {told(_turned(edge), seeds, of)}"


def also_ahead_in_words(edge: Effect, than: Effect, seeds: int) -> str:
    """Returns a lead beside another one, of which it repeats nothing that is the same."""
    if (edge.comparison, _verb(edge)) == (than.comparison, _verb(than)):
        return f"by {told(_turned(edge), seeds)}"
    return f"{edge.comparison.partition(OVER)[0]} {ahead_in_words(edge, seeds)}"


def _verb(edge: Effect) -> str:
    return "leads" if edge.value >= 0 else "trails"


def _turned(edge: Effect) -> Effect:
    """Returns a lead as a difference that is above 0, whoever is ahead."""
    if edge.value >= 0:
        return edge
    return replace(edge, differences={seed: -gap for seed, gap in edge.differences.items()})


def told(effect: Effect, seeds: int, of: str = "") -> str:
    """Returns an effect with its interval and, where that holds 0, what could have been told.

    The interval allows for the choice among candidates, as the effect's p-value does.

    Args:
        effect: The effect, of two seeds or more.
        seeds: How many seeds the reader takes it to have; another count is named.
        of: What the interval is, where it is the first.
    """
    count = len(effect.differences)
    low, high = _interval(effect)
    decimals = _decimals((high - low) / 2)
    within = [f"{of}{_ends(low, high, decimals)}"]
    within += [f"{count} seeds"] if count != seeds else []
    could = _detectable(effect) if low <= 0 <= high else None
    within += [f"undecided below {fixed_text(could, decimals)}"] if could is not None else []
    text = fixed_text(effect.value, decimals)
    return f"{text} ({'; '.join(within)})" if of or len(within) > 1 else f"{text} {within[0]}"


def _detectable(effect: Effect) -> float | None:
    """Returns what so many seeds would show in four of five cases, none from fewer than three."""
    return smallest_detectable(effect.error, len(effect.differences), LEVEL / effect.candidates)


def _interval(effect: Effect) -> tuple[float, float]:
    """Returns an effect's 95 % interval, which allows for the choice among candidates."""
    from scipy.special import stdtrit

    level = LEVEL / effect.candidates
    half = float(stdtrit(len(effect.differences) - 1, 1 - level / 2)) * effect.error
    return effect.value - half, effect.value + half


def gained(finding: Finding) -> str:
    """Returns what a difference of likelihoods proves, such as ``loses at least 0.02 [...]``.

    Args:
        finding: The difference, of two seeds or more, and what it decides.
    """
    effect = finding.effect
    sign = 1 if effect.value >= 0 else -1
    low, high = effect.interval or (math.nan, math.nan)
    decimals = _decimals((high - low) / 2)
    if finding.reason not in ("", ONLY_A_BOUND, NOT_SEPARATED):
        return f"is undecided ({finding.reason})"
    if finding.reason == NOT_SEPARATED or low <= 0 <= high:
        return f"is undecided {_ends(low, high, decimals)}"
    limits = {AT_MOST: ("at most ", "at least "), AT_LEAST: ("at least ", "at most ")}
    limit = limits.get(effect.direction, ("", ""))[sign < 0]
    verb, value = "gains" if sign > 0 else "loses", fixed_text(abs(effect.value), decimals)
    low, high = sorted((sign * low, sign * high))
    return f"{verb} {limit}{value} {_ends(low, high, decimals)}"


def improved(found: list[Effect]) -> str:
    """Returns of how many models the samples are surely better, and by how much each."""
    all_of = len(_judged(found, "supported")) == len(found)
    text = f"{surely(found)}{surely_worse(found, 'surely worsens')}"
    return f"{text}{', gaining' if all_of else '; gains of all:'} {range_text(found)}"


def surely(found: Sequence[Effect]) -> str:
    """Returns of how many models a gain is supported by the rule of the papers' claims."""
    most = max(len(effect.differences) for effect in found)
    few = f" ({most} of the {SEEDS_NEEDED} seeds needed)" if most < SEEDS_NEEDED else ""
    return f"{len(_judged(found, 'supported'))} of {len(found)} models{few}"


def surely_worse(found: Sequence[Effect], verb: str) -> str:
    """Returns of which models the samples are surely worse, empty where of none."""
    worse = [method_of(effect) for effect in _judged(found, "contradicted")]
    return f" and {verb} {len(worse)} ({listed(worse)})" if worse else ""


def _judged(found: Sequence[Effect], verdict: str) -> list[Effect]:
    return [finding.effect for finding in judge(found) if finding.verdict == verdict]


def range_text(effects: list[Effect]) -> str:
    """Returns the smallest and the largest effect, each with its method and interval."""
    low, high = (f(effects, key=lambda effect: effect.value) for f in (min, max))
    ends = dict.fromkeys((_spread(low, method_of(low)), _spread(high, method_of(high))))
    return " to ".join(ends)


def seeds_behind(effects: Sequence[Effect]) -> str:
    """Returns how many seeds effects are means over, such as ``3 to 5 seeds``."""
    return counts_of_seeds({len(effect.differences) for effect in effects})


def _spread(effect: Effect, name: str) -> str:
    interval = effect.interval
    decimals = _decimals(math.nan if interval is None else (interval[1] - interval[0]) / 2)
    ends = _ends(*interval, decimals) if interval else "one seed"
    return f"{fixed_text(effect.value, decimals)} ({name}, {ends})"


def _decimals(half: float) -> int:
    """Returns how many decimals an interval's half-width asks for."""
    if not math.isfinite(half) or half <= 0:
        return 1
    return max(0, min(4, 1 - math.floor(math.log10(half)))) if half < 1 else 0


def _ends(low: float, high: float, decimals: int) -> str:
    return f"[{fixed_text(low, decimals)}, {fixed_text(high, decimals)}]"


def method_of(effect: Effect) -> str:
    """Returns the method that an effect's comparison begins with."""
    return effect.comparison.partition(":")[0].partition(" instead of ")[0]


def verdict_sentences(findings: Sequence[Finding], meanings: dict[str, str]) -> list[str]:
    """Returns a sentence or two on each claim that has findings.

    A claim is contradicted where one of its comparisons is, and supported where all are.

    Args:
        findings: What was found.
        meanings: For each claim what it says.
    """
    claims = dict.fromkeys(finding.effect.claim for finding in findings)
    return [
        _claim_text(claim, meanings[claim], [f for f in findings if f.effect.claim == claim])
        for claim in claims
    ]


def claim_verdict(findings: Sequence[Finding]) -> str:
    """Returns the verdict on a claim from those on its comparisons.

    It tells two where the comparisons at default and at tuned settings differ in it.
    """
    parts = _by_settings(findings).items()
    return ", ".join(f"{_together(own)} {settings}".strip() for settings, own in parts)


def _by_settings(findings: Sequence[Finding]) -> dict[str, Sequence[Finding]]:
    """Returns comparisons by their settings where the verdicts of these differ, else together."""
    own = {name: [f for f in findings if f.effect.settings == name] for name in (DEFAULT, TUNED)}
    whole = all(own.values()) and sum(map(len, own.values())) == len(findings)
    differ = len(set(map(_together, own.values()))) > 1
    return {**own} if whole and differ else {"": findings}


def _together(findings: Iterable[Finding]) -> str:
    verdicts = {finding.verdict for finding in findings}
    if "contradicted" in verdicts:
        return "contradicted"
    return "supported" if verdicts == {"supported"} else "undecided"


def _claim_text(claim: str, meaning: str, findings: list[Finding]) -> str:
    verdict, count = claim_verdict(findings), len(findings)
    trainings = [f.effect.training for f in findings if f.effect.training]
    training = " and ".join(dict.fromkeys(trainings))
    parts = _by_settings(findings)
    at = f"{',' * (len(parts) > 1)} at {training}" if training else ""
    text = f"{claim} says that {meaning}. This is {verdict}{at}."
    reasons = {f.reason for f in findings}
    if all(reason.endswith(" seeds") for reason in reasons):
        most = max(len(f.effect.differences) for f in findings)
        which = "Its one comparison has" if count == 1 else f"Its {count} comparisons have at most"
        return f"{text} {which} {most} of the {SEEDS_NEEDED} shared seeds needed."
    if count == 1:
        verb = {"supported": "supports it", "contradicted": "contradicts it"}
        return f"{text} Its one comparison {verb.get(verdict, 'decides nothing')}."
    return " ".join([text, *(_counts(settings, own) for settings, own in parts.items())])


def _of(count: int, verb: str) -> str:
    return f"{count} {verb}{'s' * (count == 1)} it"


def _counts(settings: str, findings: Sequence[Finding]) -> str:
    """Says how many comparisons support a claim, and which contradict it where some do."""
    verdicts = [finding.verdict for finding in findings]
    against = [f.effect for f in findings if f.verdict == "contradicted"]
    methods = dict.fromkeys(map(method_of, against))
    others = {method_of(f.effect) for f in findings if f.verdict != "contradicted"}
    apart = methods and others and others.isdisjoint(methods)
    named = f" ({listed([*methods])})" if apart else ""
    supported, contradicted = verdicts.count("supported"), len(against)
    return (
        f"Of {number_of(len(findings), 'comparison')}{f' {settings}' * bool(settings)}, "
        f"{_of(supported, 'support')} and {_of(contradicted, 'contradict')}{named}."
    )

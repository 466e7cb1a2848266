"""What a comparison of families found: at most 150 plain words, every number from the rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..comparison.columns import with_places, without_floor
from ..comparison.costs import device_word
from ..comparison.gains import AT_LEAST, AT_MOST, NO_CLAIM, Arrays
from ..comparison.likelihoods import one_likelihood
from ..comparison.significance import LEVEL, Seeds, mean, smallest_detectable
from ..comparison.steps import named_without_steps
from ..records.results import Rows
from .aef import BITS, aef_effects
from .effects import Effect
from .equal_cost import at_equal_cost, main_scores
from .families import Study, largest_study
from .methods import Method, by_method, listed, paired
from .rae import Scores, is_rae, mixture_effects

MOST_WORDS = 150
OVER = " over "
HOW_TO_READ = (
    "*Leads and gains are mean paired differences over seeds, positive for the better, in FD "
    "where no other unit is named. [a, b] is their 95 % interval; that of a lead allows for the "
    "choice among methods. Undecided below: so many seeds miss a smaller lead in more than one of "
    "five cases. At least, at most: one side is a lower bound on the likelihood. At equal cost a "
    "score between two counts of steps is taken to lie on a line over the logarithm of the "
    "seconds.*"
)


def found_text(rows: Rows, arrays: Arrays) -> str:
    """Returns what the rows found on families of objectives, empty where they compare none.

    Args:
        rows: Result rows, of one suite or of several.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    study = largest_study(rows)
    if study is None:
        return ""
    flows = [e for e in aef_effects(with_places(study.published), arrays) if e.interval]
    bounds = [*_bounds(flows)]
    sentences = [*_edges(study), *_mixtures(study), *_gains(flows), *bounds, *_moves(study)]
    left = MOST_WORDS - len(_still_open(study.published).split())
    kept: dict[str, str] = {}
    # Where words are short, that something cannot be told is the first to go.
    for sentence in sorted(sentences, key=lambda sentence: sentence in bounds):
        text = _shortened(sentence, study.published)
        if len(text.split()) <= left:
            kept[sentence] = text
            left -= len(text.split())
    shown = [kept[sentence] for sentence in sentences if sentence in kept]
    return " ".join([*shown, _still_open(study.published)]).strip() if shown else ""


def found_paragraph(rows: Rows, arrays: Arrays) -> str:
    """Returns what was found under its title, with a line on how to read it; empty where none."""
    text = found_text(rows, arrays)
    return f"**What we found.** {text}\n\n{HOW_TO_READ}" if text else ""


def short_text(rows: Rows) -> str:
    """Returns what the rows found in two sentences for a reader who is new to the field.

    Empty where the rows compare no families. The second sentence is there from two seeds on.
    """
    study = largest_study(rows)
    scores = main_scores(with_places(study.published)) if study else None
    if study is None or scores is None:
        return ""
    sentences = []
    surely, found = _improved(scores)
    if found:
        sentences.append(
            f"Sampled from a mixture of ten Gaussians fitted to their codes, {surely} of "
            f"{len(found)} models surely make better images than from their own density."
        )
    if edge := _edge(scores):
        sentences.append(_edge_in_words(edge))
    return _shortened(" ".join(sentences), study.published)


def _edge_in_words(edge: Effect) -> str:
    best, _, rival = edge.comparison.partition(OVER)
    low, high = _interval(edge)
    decimals = _decimals((high - low) / 2)
    if edge.value < 0:
        low, high = -high, -low
    undecided = ", which is not told from no difference" if low <= 0 <= high else ""
    return (
        f"The best regularised autoencoder, {best}, {'trails' if edge.value < 0 else 'leads'} its "
        f"closest rival, {rival}, by {_number(abs(edge.value), decimals)} in FD (95 % interval "
        f"{_ends(low, high, decimals)}, {len(edge.differences)} seeds){undecided}."
    )


def _shortened(text: str, rows: Rows) -> str:
    """Returns text without the space of models whose objective has but one."""
    placed = without_floor(with_places(rows))
    for objective, own in placed.groupby("objective", sort=True):
        if own["method"].nunique() == 1:
            text = text.replace(str(own["method"].iloc[0]), str(objective))
    return text


def _edges(study: Study) -> Iterator[str]:
    """By how much the RAE's samples are ahead: as published, tuned, and at equal cost."""
    edge = _edge(main_scores(with_places(study.published)))
    if edge is None:
        return
    seeds = len(edge.differences)
    text = (
        f"Over {seeds} seeds, the RAE's lead in FD of samples over its closest rival "
        f"({edge.comparison}) is {_told(edge, seeds, '95 % interval ')}"
    )
    tuned = _edge(main_scores(with_places(study.tuned))) if len(study.tuned) else None
    more = [f"with equal tuning {_told(tuned, seeds)}"] if tuned else []
    if equal := _edge(at_equal_cost(study.rows, edge.comparison.partition(OVER)[0])):
        more.append(f"at equal {device_word(study.published)} seconds {_told(equal, seeds)}")
    text += f"; {', '.join(more)}" if more else ""
    yield f"{text}."


def _mixtures(study: Study) -> Iterator[str]:
    """What the mixture gives each model."""
    scores = main_scores(with_places(study.published))
    surely, found = _improved(scores) if scores else (0, [])
    if found:
        yield (
            f"A mixture of ten Gaussians surely improves samples of {surely} of {len(found)} "
            f"models; gains run from {_range(found)}."
        )


def _improved(scores: Scores) -> tuple[int, list[Effect]]:
    """Returns how many models the mixture surely improves, and what it gives each."""
    found = [effect for effect in mixture_effects(scores) if effect.interval]
    return sum(e.interval is not None and e.interval[0] > 0 for e in found), found


def _gains(flows: Sequence[Effect]) -> Iterator[str]:
    """The flows against the VAE, where a difference of their likelihoods says something."""
    known = [effect for effect in flows if effect.direction != NO_CLAIM]
    if known:
        texts = listed([f"{_plain(effect)} {_gained(effect)}" for effect in known])
        images = "paired over images, " * all(effect.images for effect in known)
        yield f"In {BITS} against the VAE, {images}{texts}."


def _bounds(flows: Sequence[Effect]) -> Iterator[str]:
    """The flows whose likelihood has, like the VAE's, a bound alone."""
    names = [_plain(effect) for effect in flows if effect.direction == NO_CLAIM]
    if names:
        have = "has only a bound" if len(names) == 1 else "have only bounds"
        yield f"{listed(names)} {have}."


def _moves(study: Study) -> Iterator[str]:
    """How scores, and the RAE's lead, move from the fewest steps to the most."""
    named = without_floor(named_without_steps(with_places(study.rows)))
    counts = named.groupby("method")["asked"].transform("nunique")
    several = named[counts > 1]
    if not len(several):
        return
    few, many = int(several["asked"].min()), int(several["asked"].max())
    ends = [several[several["asked"] == count] for count in (few, many)]
    both = set(ends[0]["method"]) & set(ends[1]["method"])
    ends = [own[own["method"].isin(both)] for own in ends]
    first, last = (main_scores(own) for own in ends)
    if first is None or last is None:
        return
    falls = []
    earlier = _better(first)
    for method, values in _better(last).items():
        moved = paired(earlier.get(method, {}), values)
        falls.append(Effect("", f"{method.name}:", "", "FD", moved))
    falls = [effect for effect in falls if effect.interval]
    if not falls:
        return
    text = f"From {few:,} to {many:,} steps, FD of samples falls by {_range(falls)}"
    bits = [by_method(one_likelihood(own[own["space"] == "logit"])) for own in ends]
    gains = [
        Effect("", f"{method.name}:", "", BITS, paired(bits[0][method], bits[1][method]))
        for method in sorted(bits[0].keys() & bits[1].keys())
    ]
    if gains := [effect for effect in gains if effect.interval]:
        text += f", {BITS} by {_range(gains)}"
    leads = [_edge(scores) for scores in (first, last)]
    if all(leads):
        before, after = (_told(lead, len(lead.differences)) for lead in leads if lead)
        yield f"{text}."
        yield f"The lead among these goes from {before} to {after}."
    else:
        yield f"{text}."


def _still_open(rows: Rows) -> str:
    trained = without_floor(rows)
    lacking = ["the published scale"] if "full" not in set(trained["scale"]) else []
    if trained["image_shape"].str.startswith("1x").all():
        lacking.append("colour")
    if not trained["features"].str.startswith("inception").any():
        lacking.append("Inception features")
    return f"Still open: {listed(lacking)}." if lacking else ""


def _edge(scores: Scores | None) -> Effect | None:
    """Returns the lead of the best RAE's samples over those of the best other objective."""
    found = _better(scores) if scores else {}
    raes, rivals = ([m for m in found if is_rae(m) == own] for own in (True, False))
    if not raes or not rivals:
        return None
    best, rival = (min(own, key=lambda method: mean(found[method])) for own in (raes, rivals))
    differences = paired(found[rival], found[best])
    if len(differences) < 2:
        return None
    chosen_from = raes if mean(differences) > 0 else rivals
    name = f"{best.name}{OVER}{rival.name}"
    return Effect("", name, "", "FD", differences, candidates=len(chosen_from))


def _better(scores: Scores) -> dict[Method, Seeds]:
    """Returns for each method the seeds of its better way to sample."""
    found: dict[Method, Seeds] = {}
    for (method, _), seeds in sorted(scores.samples.items()):
        if method not in found or mean(seeds) < mean(found[method]):
            found[method] = seeds
    return found


def _told(effect: Effect, seeds: int, of: str = "") -> str:
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
    could = (
        smallest_detectable(effect.error, count, LEVEL / effect.candidates)
        if low <= 0 <= high
        else None
    )
    within += [f"undecided below {_number(could, decimals)}"] if could is not None else []
    text = _number(effect.value, decimals)
    return f"{text} ({'; '.join(within)})" if of or len(within) > 1 else f"{text} {within[0]}"


def _interval(effect: Effect) -> tuple[float, float]:
    """Returns an effect's 95 % interval, which allows for the choice among candidates."""
    from scipy.special import stdtrit

    level = LEVEL / effect.candidates
    half = float(stdtrit(len(effect.differences) - 1, 1 - level / 2)) * effect.error
    return effect.value - half, effect.value + half


def _gained(effect: Effect) -> str:
    """Returns what a difference of likelihoods proves, such as ``loses at least 0.02 (...)``."""
    sign = 1 if effect.value >= 0 else -1
    low, high = sorted(sign * end for end in effect.interval or (math.nan, math.nan))
    if low <= 0 <= high:
        ends = sorted((sign * low, sign * high))
        return f"is undecided {_ends(ends[0], ends[1], _decimals((high - low) / 2))}"
    limits = {AT_MOST: ("at most ", "at least "), AT_LEAST: ("at least ", "at most ")}
    limit = limits.get(effect.direction, ("", ""))[sign < 0]
    decimals = _decimals((high - low) / 2)
    verb, value = "gains" if sign > 0 else "loses", _number(abs(effect.value), decimals)
    return f"{verb} {limit}{value} {_ends(low, high, decimals)}"


def _plain(effect: Effect) -> str:
    """Returns a flow's name without its space, which the VAE shares."""
    return _name(effect).removesuffix(" (logit)")


def _range(effects: list[Effect]) -> str:
    low, high = (f(effects, key=lambda effect: effect.value) for f in (min, max))
    ends = dict.fromkeys((_spread(low, _name(low)), _spread(high, _name(high))))
    return " to ".join(ends)


def _spread(effect: Effect, name: str) -> str:
    interval = effect.interval
    decimals = _decimals(math.nan if interval is None else (interval[1] - interval[0]) / 2)
    ends = _ends(*interval, decimals) if interval else "one seed"
    return f"{_number(effect.value, decimals)} ({name}, {ends})"


def _decimals(half: float) -> int:
    """Returns how many decimals an interval's half-width asks for."""
    if not math.isfinite(half) or half <= 0:
        return 1
    return max(0, min(4, 1 - math.floor(math.log10(half)))) if half < 1 else 0


def _ends(low: float, high: float, decimals: int) -> str:
    return f"[{_number(low, decimals)}, {_number(high, decimals)}]"


def _number(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # No -0.


def _name(effect: Effect) -> str:
    """Returns the method that an effect's comparison begins with."""
    return effect.comparison.partition(":")[0].partition(" instead of ")[0]

"""What opens a report: sentences computed from the rows, and the claims that they speak to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..comparison.cells import is_trusted
from ..comparison.columns import with_places, without_floor
from ..comparison.gains import Arrays
from ..comparison.numbers import format_number
from ..comparison.significance import mean, separated_from_best
from ..comparison.steps import longest
from ..errors import number_of
from ..records.results import Rows
from ..tables.precision import precision_reading
from .aef import MEANINGS as AEF_MEANINGS
from .aef import aef_effects, aef_sample_effects
from .effect_words import verdict_sentences
from .effects import Finding, judge
from .grae import MEANINGS as GRAE_MEANINGS
from .grae import grae_effects
from .likelihood import likelihood_reading
from .methods import counts_of_seeds, listed, seeds_text
from .protocol import budget_sentences
from .rae import INTERPOLATION, Scores, Way, rae_effects, scores_of
from .rae import MEANINGS as RAE_MEANINGS
from .strings import string_reading

NON_FINITE = "non_finite"  # The share of draws that were not finite.
MEANINGS = RAE_MEANINGS | GRAE_MEANINGS | AEF_MEANINGS


def reading(rows: Rows, judged: Sequence[Finding], arrays: Arrays | None = None) -> str:
    """Returns paragraphs on what the rows say.

    Args:
        rows: Result rows.
        judged: What they decide of the papers' claims.
        arrays: Log-likelihoods of single images, where they were kept.
    """
    placed = with_places(longest(rows))
    parts = {
        "Samples": [" ".join(_samples(scores)) for scores in scores_of(placed)],
        "Strings": string_reading(placed, judged),
        "Likelihoods": likelihood_reading(placed),
        "Claims": verdict_sentences(judged, MEANINGS),
        "Precision": precision_reading(rows, arrays or {}),
    }
    return "\n\n".join([extent(rows), *(_list(*part) for part in parts.items() if any(part[1]))])


def _list(title: str, items: Iterable[str]) -> str:
    """Returns items as a list of the page under a title."""
    return f"**{title}**\n\n" + "\n".join(f"- {item}" for item in items if item)


def extent(rows: Rows) -> str:
    """Returns what was run: objectives, seeds, what went wrong, and the budget."""
    placed = with_places(rows)
    if not len(without_floor(rows)):
        return "There are only floor rows: no objective has been scored yet."
    return " ".join([_counts(placed), *_outcomes(placed), *budget_sentences(rows)])


def findings(rows: Rows, arrays: Arrays) -> list[Finding]:
    """Returns what the longest trainings decide of the papers' claims, tested together.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    placed = with_places(longest(rows))
    of_images = scores_of(placed)
    effects = [effect for scores in of_images for effect in rae_effects(scores)]
    effects += [effect for scores in of_images for effect in aef_sample_effects(scores)]
    order = list(MEANINGS)
    effects += [*grae_effects(placed), *aef_effects(placed, arrays)]
    effects = sorted(effects, key=lambda effect: order.index(effect.claim))
    return judge(effects)


def _counts(placed: Rows) -> str:
    trained = without_floor(placed)
    runs = number_of(trained["run"].nunique(), "run")
    objectives = number_of(trained["objective"].nunique(), "objective")
    data = ", ".join(sorted(trained["dataset"].unique()))
    return f"{runs} of {objectives} on {data} with {seeds_range(trained)} each."


def seeds_range(placed: Rows) -> str:
    """Returns how many seeds the methods have, such as ``1 to 3 seeds``."""
    setting = ["suite", "scale", "dataset", "backbone_hash", "latent_dim", "method"]
    return counts_of_seeds(set(placed.groupby(setting)["seed"].nunique()))


def _outcomes(placed: Rows) -> Iterator[str]:
    """Says by name which runs diverged, failed or have estimates that are not to be trusted."""
    trained = without_floor(placed)
    lost = {status: trained[trained["status"] == status] for status in ("diverged", "failed")} | {
        "untrusted": trained[~is_trusted(trained)]
    }
    if not len(lost["diverged"]) and not len(lost["failed"]):
        yield "No run diverged, and no score failed."
    for name, rows in lost.items():
        if len(rows):
            yield _lost_text(name, rows)
    again = trained[(trained["metric"] == NON_FINITE) & (trained["value"] > 0)]
    if len(again):
        names = [
            f"{method} with {density} (up to {100 * own['value'].max():.2g} %)"
            for (method, density), own in again.groupby(["method", "density"])
        ]
        yield f"Some samples were not finite and were drawn again: {listed(names)}."


def _lost_text(name: str, rows: Rows) -> str:
    counts = Counter(rows.drop_duplicates(["method", "run"])["method"])
    names = listed([f"{method} ({count})" for method, count in sorted(counts.items())])
    one = rows["run"].nunique() == 1
    have = "has" if one else "have"
    what = {
        "diverged": "diverged",
        "failed": f"{have} scores that failed",
        "untrusted": f"{have} estimates that are not trusted",
    }
    return f"{rows['run'].nunique()} run{'' if one else 's'} {what[name]}: {names}."


def _samples(scores: Scores) -> Iterator[str]:
    """Which way to sample has the lowest Fréchet distance, and where it cannot be believed."""
    samples = scores.samples
    if not samples:
        return
    best = min(samples, key=lambda way: mean(samples[way]))
    seeds = seeds_text(samples[best], scores.seeds)
    yield (
        f"On {scores.where} the lowest mean Fréchet distance (FD) of samples is "
        f"{format_number(mean(samples[best]))} over {seeds}, of "
        f"{_way(best)}."
    )
    others = len(samples) - 1
    if others:
        tied, reason = separated_from_best({_way(way): v for way, v in samples.items()}, "lower")
        if not tied:
            yield f"Nothing is said of its rank: {reason}."
        elif len(tied) == 1:
            which = "the only other" if others == 1 else f"all {others} others"
            yield f"Paired tests separate it from {which}."
        else:
            which = "the only other" if others == 1 else f"{len(tied) - 1} of the {others} others"
            yield f"Paired tests do not separate it from {which}."
    if scores.fooled:
        yield (
            "FD rates these above their own model's reconstructions of real images: "
            f"{listed([_way(way) for way in scores.fooled])}. There a low FD is no sign of good "
            "images."
        )


def _way(way: Way) -> str:
    return f"{way[0].name} {'' if way[1] == INTERPOLATION else 'with '}{way[1]}"

"""Whose samples are ahead: the best RAE variant's over those of the best other objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from ..comparison.labels import is_tuned, settings_of
from ..comparison.numbers import format_number
from ..comparison.significance import Seeds, mean
from .effect_words import OVER
from .effects import Effect
from .methods import Devices, Method, paired
from .rae import Scores, is_rae

Samples: TypeAlias = Mapping[Method, Seeds]  # Of each method's better way to sample.


def tuning_gains(published: Samples, tuned: Samples) -> list[Effect]:
    """Returns what tuning gives each model's samples, under its name at default settings."""
    pairs = _tuning_pairs(published, tuned)
    found = [Effect("", f"{name}:", "", "FD", gain) for name, _, gain in pairs]
    return [effect for effect in found if effect.interval]


def tuning_notes(published: Samples, tuned: Samples, ran: Devices, again: Devices) -> str:
    """Returns sentences on a rival that tuning made worse and on pairs of two devices, if any.

    Args:
        published: Samples at default settings.
        tuned: Samples of models that were tuned and trained again.
        ran: The device of each run at default settings.
        again: That of each run at tuned settings.
    """
    notes = ""
    if worse := worse_rival(published, tuned):
        means = " to ".join(map(format_number, worse))
        notes += (
            f" Tuning worsened the mean FD of the closest rival among tuned models from {means}."
        )
    several = [(a, b, gain) for a, b, gain in _tuning_pairs(published, tuned) if len(gain) > 1]
    unlike = [ran[a, seed] != again[b, seed] for a, b, gain in several for seed in gain]
    if any(unlike):
        notes += (
            f" {sum(unlike)} of the {len(unlike)} pairs of runs behind what tuning gives compare "
            "two devices."
        )
    return notes


def tuned_lead(published: Samples, tuned: Samples) -> Effect | None:
    """Returns the RAE's lead among tuned models, which have the names of the published ones."""
    found = lead(tuned)
    if found is None:
        return None
    names = _names_before_tuning(published, tuned)
    pair = (names[name] for name in found.comparison.split(OVER))
    return replace(found, comparison=OVER.join(pair))


def worse_rival(published: Samples, tuned: Samples) -> tuple[float, float] | None:
    """Returns the mean FD before and after tuning of the rival in `tuned_lead`.

    None where there is no such lead, or where tuning has not made its samples worse.
    """
    edge = tuned_lead(published, tuned)
    rival = edge.comparison.partition(OVER)[2] if edge else ""
    names = {method.name: mean(seeds) for method, seeds in (*published.items(), *tuned.items())}
    for name, own, _ in _tuning_pairs(published, tuned):
        if name == rival and names[own] > names[name]:
            return names[name], names[own]
    return None


def _tuning_pairs(published: Samples, tuned: Samples) -> list[tuple[str, str, Seeds]]:
    """Returns each tuned model's name at default settings, its own, and each seed's gain."""
    before = {method.name: seeds for method, seeds in published.items()}
    names = _names_before_tuning(published, tuned)
    return [
        (name, method.name, paired(before[name], seeds))
        for method, seeds in tuned.items()
        if is_tuned(method.variant) and (name := names[method.name]) in before
    ]


def _names_before_tuning(published: Samples, tuned: Samples) -> dict[str, str]:
    """Returns the name at default settings of each tuned model, by its own name.

    That is the model with most of its options, those that a suite sets itself; a model keeps its
    own name where there is none, or several alike.
    """
    names = {}
    for method in tuned:
        own = settings_of(method.variant).items()
        same = [m for m in published if (m.objective, m.space) == (method.objective, method.space)]
        counts = {m.name: len(its) for m in same if (its := settings_of(m.variant).items()) <= own}
        nearest = [name for name, count in counts.items() if count == max(counts.values())]
        names[method.name] = nearest[0] if len(nearest) == 1 else method.name
    return names


def lead(found: Samples) -> Effect | None:
    """Returns the lead of the best RAE's samples over those of the best other objective."""
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


def better(scores: Scores | None) -> Samples:
    """Returns for each method the seeds of its better way to sample."""
    found: dict[Method, Seeds] = {}
    for (method, _), seeds in sorted(scores.samples.items() if scores else ()):
        if method not in found or mean(seeds) < mean(found[method]):
            found[method] = seeds
    return found

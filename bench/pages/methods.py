"""The methods that rows compare, and the values that each has for its seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ..comparison.cells import lost_states
from ..comparison.columns import without_floor
from ..comparison.labels import is_tuned, settings_of
from ..comparison.scored import counted, scores_by, seed_values
from ..comparison.significance import Seeds
from ..errors import number_of
from ..records.results import Rows

MOST_NAMED = 6
Devices: TypeAlias = Mapping[tuple[str, int], str]  # By a run's method and seed.


class Method(NamedTuple):
    """What tells one way of training from another: its label in tables, and what it is made of."""

    name: str
    objective: str
    variant: str
    space: str


DEFAULT, TUNED = "at default settings", "at tuned settings"
METHOD = ["method", *Method._fields[1:]]


def by_method(rows: Rows) -> dict[Method, Seeds]:
    """Returns the values of each method's seeds, for methods that have any."""
    groups = sorted(scores_by(rows, *METHOD).items())
    seeds = {Method(*map(str, key)): seed_values(own) for key, own in groups}
    return {method: values for method, values in seeds.items() if values}


def lost_by_method(rows: Rows) -> dict[str, str]:
    """Returns for each method's name how many of its runs went wrong in which way."""
    states = lost_states(rows)
    lost = rows.loc[states.index].assign(state=states)
    counts = lost.drop_duplicates(["method", "run", "state"]).groupby("method")["state"]
    return {str(method): counted(own) for method, own in counts}


def ran_on(placed: Rows) -> Devices:
    """Returns the device of each run, by its method's name and its seed."""
    trained = without_floor(placed)
    names, seeds, devices = (trained[name].tolist() for name in ("method", "seed", "device"))
    return dict(zip(zip(names, seeds, strict=True), devices, strict=True))


def seeds_apart(
    first: Method, second: Method, lost: Mapping[str, str], placed: Rows, shared: Iterable[int]
) -> str:
    """Returns how many seeds of either went wrong, and how many compare runs on two devices.

    Args:
        first: One method.
        second: The other.
        lost: What `lost_by_method` gives, of the scores that are compared.
        placed: Rows of both methods' runs.
        shared: The seeds that both have.
    """
    names = dict.fromkeys((first.name, second.name))
    told = [f"{name}: {lost[name]}" for name in names if name in lost]
    ran = ran_on(placed)
    apart = sum(ran[first.name, seed] != ran[second.name, seed] for seed in shared)
    return "; ".join(told + [f"{apart} on two devices"] * bool(apart))


def nearest(method: Method, others: Sequence[Method]) -> list[Method]:
    """Returns those of the others whose settings differ in the fewest from a method's.

    A tuned method has tuned ones beside it, one at default settings its like, where there are.
    """
    own, tuned = settings_of(method.variant), is_tuned(method.variant)
    alike = [other for other in others if is_tuned(other.variant) == tuned] or others
    apart = {}
    for other in alike:
        its = settings_of(other.variant)
        apart[other] = sum(own.get(n) != its.get(n) for n in own.keys() | its.keys())
    return [other for other in alike if apart[other] == min(apart.values())]


def settings_of_both(first: Method, second: Method) -> str:
    """Returns at which settings two methods are, empty where they differ in it."""
    tuned = [is_tuned(method.variant) for method in (first, second)]
    return "" if tuned[0] != tuned[1] else TUNED if tuned[0] else DEFAULT


def paired(first: Seeds, second: Seeds) -> dict[int, float]:
    """Returns first minus second for each seed that both have."""
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def listed(names: list[str]) -> str:
    """Returns names as they stand in a sentence: ``a, b and c``; of many only the first."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def seeds_text(seeds: Seeds, expected: int) -> str:
    """Returns a count of seeds in words, such as ``3 of 5 seeds`` where some are missing."""
    count = len(seeds)
    if count < expected:
        return f"{count} of {expected} seeds"
    return number_of(count, "seed")


def counts_of_seeds(counts: Collection[int]) -> str:
    """Returns several counts of seeds in words, such as ``3 to 5 seeds``."""
    few, many = min(counts), max(counts)
    return number_of(many, "seed") if few == many else f"{few} to {many} seeds"

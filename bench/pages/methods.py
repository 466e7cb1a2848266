"""The methods that rows compare, and the values that each has for its seeds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ..comparison.cells import seed_values
from ..comparison.significance import Seeds
from ..records.results import Rows

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED = 6


class Method(NamedTuple):
    """What tells one way of training from another: its label in tables, and what it is made of."""

    name: str
    objective: str
    variant: str
    space: str


METHOD = ["method", *Method._fields[1:]]


def usable(rows: Rows) -> Rows:
    """Keeps rows whose value may enter a mean: those in order, without untrusted estimates."""
    return rows[(rows["status"] == "ok") & ~untrusted(rows)]


def untrusted(rows: Rows) -> pd.Series[bool]:
    """Returns which rows are estimates that are not to be trusted."""
    return rows["trusted"] == "no"


def by_method(rows: Rows) -> dict[Method, Seeds]:
    """Returns the values of each method's seeds, for methods that have any."""
    groups = usable(rows).groupby(METHOD, sort=True)
    seeds = {Method(*map(str, key)): seed_values(own) for key, own in groups}
    return {method: values for method, values in seeds.items() if values}


def lost_by_method(rows: Rows) -> dict[str, str]:
    """Returns for each method's name how many of its runs went wrong in which way."""
    lost = rows[rows["status"].isin(["diverged", "failed"])]
    counts = lost.drop_duplicates(["method", "run", "status"]).groupby("method")["status"]
    return {str(method): counted(Counter(own)) for method, own in counts}


def counted(counts: Counter[str]) -> str:
    """Returns counts as words, such as ``1 diverged, 2 failed``."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def paired(first: Seeds, second: Seeds) -> dict[int, float]:
    """Returns first minus second for each seed that both have."""
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def listed(names: list[str]) -> str:
    """Returns names as they stand in a sentence: ``a, b and c``; of many only the first."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

"""Samples at equal cost: what each method scores for the compute seconds of one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ..comparison.columns import with_places, without_floor
from ..comparison.costs import on_one_device
from ..comparison.scored import compute_seconds, scores_by
from ..comparison.significance import Seeds
from ..comparison.steps import named_without_steps
from ..records.results import Rows
from ..tables.cost import FACTOR
from .methods import Method
from .rae import Scores, scores_of

Points = dict[Method, dict[float, Seeds]]


def main_scores(placed: Rows) -> Scores | None:
    """Returns the Fréchet distances of the protocol with the most ways to sample.

    Args:
        placed: Result rows with their place and method.
    """
    return max(scores_of(placed), key=lambda scores: len(scores.samples), default=None)


def at_equal_cost(rows: Rows, method: str) -> Scores | None:
    """Returns what each method's samples score for the compute seconds of one of them.

    Between two counts of steps a seed's score is taken to be a line over the logarithm of the
    seconds. A method that costs less at its most steps is taken there; one that costs over
    ``FACTOR`` times as much at its fewest is left out.

    Args:
        rows: Result rows of one setting, of several counts of steps.
        method: Name of the method that sets the budget, at its most steps.

    Returns:
        Scores of samples alone; none from one count of steps, or where seconds on a common
        device are not known.
    """
    named = without_floor(named_without_steps(with_places(on_one_device(rows))))
    counts = {int(own["asked"].iloc[0]): own for _, own in named.groupby("asked", sort=True)}
    costs = {
        (str(name), steps): compute_seconds(part)
        for steps, own in counts.items()
        for name, part in scores_by(own, "method").items()
    }
    known = {key: seconds for key, seconds in costs.items() if seconds}
    budgets = [s for (name, _), s in known.items() if name == method]
    found = {steps: main_scores(own) for steps, own in counts.items()}
    last = found[max(found)] if found else None
    if last is None or len(counts) < 2 or len(known) < len(costs) or not budgets:
        return None
    normal: Points = {}
    mixture: Points = {}
    densities: dict[Method, str] = {}
    for steps, scores in found.items():
        if scores is not None:
            densities |= scores.density
            for points, seeds_of in ((normal, scores.normal), (mixture, scores.mixture)):
                for one, seeds in seeds_of.items():
                    points.setdefault(one, {})[known[one.name, steps]] = seeds
    return replace(
        last,
        rec={},
        interp={},
        density=densities,
        normal=_within(normal, max(budgets)),
        mixture=_within(mixture, max(budgets)),
    )


def at_cost(points: Mapping[float, Seeds], budget: float) -> Seeds:
    """Returns the score of each seed at a budget, from those at several costs.

    Args:
        points: For each cost, in seconds, the score of each seed.
        budget: Seconds.

    Example:
        >>> at_cost({10.0: {0: 4.0}, 1000.0: {0: 2.0}}, 100.0)
        {0: 3.0}
        >>> at_cost({10.0: {0: 4.0}}, 2000.0), at_cost({10.0: {0: 4.0}}, 1.0)
        ({0: 4.0}, {})
    """
    costs = sorted(points)
    if budget >= costs[-1]:
        return points[costs[-1]]
    if budget < costs[0]:
        return points[costs[0]] if FACTOR * budget >= costs[0] else {}
    at = next(i for i, cost in enumerate(costs) if cost > budget)
    low, high = costs[at - 1], costs[at]
    share = math.log(budget / low) / math.log(high / low)
    seeds = sorted(points[low].keys() & points[high].keys())
    return {s: (1 - share) * points[low][s] + share * points[high][s] for s in seeds}


def _within(points: Points, budget: float) -> dict[Method, Seeds]:
    found = {method: at_cost(own, budget) for method, own in points.items()}
    return {method: seeds for method, seeds in found.items() if seeds}

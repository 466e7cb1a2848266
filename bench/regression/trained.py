"""Second layer of the regression check: trained scores against the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..comparison.significance import Seeds, mean
from ..records.results import Rows
from .missing import Missing, Search
from .scores import Key, Score, scores_of
from .sight import RELEVANT, Sight, Spread, look, spreads

FLOOR_TOLERANCE = 0.01
# Scores that scatter over seeds alike, whichever the objective.
POOL = (
    *("dataset", "space", "latent_dim", "images", "density", "metric", "kind", "samples_k"),
    "features",
)


@dataclass(frozen=True)
class Change:
    """One score in the baseline and now.

    Attributes:
        before: The baseline's value for each seed; for the new seeds alone where it has them
            all, since equal seeds share their random numbers.
        after: The new value for each seed.
        better: Direction of better.
        sight: What is scored, and which worsening of it is found.
        exact: Whether the value has no seed in it, as the floor: it may not move either way.
    """

    before: Seeds
    after: Seeds
    better: str
    sight: Sight
    exact: bool = False

    @property
    def difference(self) -> float:
        """The change of the mean, positive where it got worse."""
        sign = 1.0 if self.better == "lower" else -1.0
        return sign * (mean(self.after) - mean(self.before))

    @property
    def is_worse(self) -> bool:
        """Whether it got worse by more than seeds explain."""
        moved = abs(self.difference) if self.exact else self.difference
        return not moved <= self.sight.limit

    @property
    def is_better(self) -> bool:
        """Whether it got better by more than seeds explain."""
        return not self.exact and -self.difference > self.sight.limit


@dataclass(frozen=True)
class Trained:
    """The scores of a baseline beside those of the results.

    Attributes:
        changes: The scores that both have.
        missing: The scores, or single seeds of them, that the results lack.
        untested: Scores of which the baseline has one seed alone.
        distrusted: Scores that are not compared, since their estimates are not trusted.
        moved: Those of them that moved at equal seeds all the same.
        unknown: Scores of the results that the baseline does not have.
    """

    changes: tuple[Change, ...]
    missing: tuple[Missing, ...] = ()
    untested: tuple[str, ...] = ()
    distrusted: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def sights(self) -> list[Sight]:
        """What is seen of the scores of trained models."""
        seen = [change.sight for change in self.changes if not change.exact]
        return [sight for sight in seen if sight.spread.freedom > 0]


def compare_trained(before: Rows, after: Rows) -> Trained:
    """Compares each score of a baseline with that of the results."""
    stored, found = scores_of(before), scores_of(after)
    search, scatter = Search(stored, found), score_spreads(stored)
    tested = sum(spread.freedom > 0 for spread in scatter.values())
    changes: list[Change] = []
    missing: list[Missing] = []
    doubted = [score.name for score in stored.values() if score.is_distrusted]
    for key, old in stored.items():
        if old.values:
            new = found.get(key)
            lacks = search.missing(old, new)
            missing += lacks
            if new and new.values:
                changes.append(_change(old, new.values, scatter.get(key, Spread()), tested))
            elif not lacks:
                doubted.append(old.name)
    return Trained(
        tuple(sorted(changes, key=lambda change: change.sight.name)),
        tuple(missing),
        tuple(stored[key].name for key, spread in scatter.items() if spread.freedom == 0),
        tuple(doubted),
        tuple(old.name for key, old in stored.items() if key in found and _moved(old, found[key])),
        tuple(score.name for key, score in found.items() if score.values and key not in stored),
    )


def score_spreads(scores: Mapping[Key, Score]) -> dict[Key, Spread]:
    """Returns how far each score of trained models scatters over seeds."""
    pools: dict[Key, dict[Key, Seeds]] = {}
    for key, score in scores.items():
        if score.values and not score.is_floor:
            pools.setdefault(score.key(POOL), {})[key] = score.values
    found: dict[Key, Spread] = {}
    for pool in pools.values():
        seeds = sorted({seed for values in pool.values() for seed in values})
        table = [[values.get(seed, np.nan) for values in pool.values()] for seed in seeds]
        found |= dict(zip(pool, spreads(np.array(table)), strict=True))
    return found


def _change(old: Score, now: Seeds, spread: Spread, tested: int) -> Change:
    shared = {seed: old.values[seed] for seed in now if seed in old.values}
    then = shared if len(shared) == len(now) else old.values
    level, better = mean(then), str(old.row["better"])
    if old.is_floor:
        limit = FLOOR_TOLERANCE * max(1e-9, abs(level))
        return Change(then, now, better, Sight(old.name, level, limit, spread, False), exact=True)
    seen = look(old.name, level, spread, (len(then), len(now)), tested)
    return Change(then, now, better, seen)


def _moved(old: Score, new: Score) -> bool:
    """Returns whether estimates that are not trusted moved at equal seeds: told, not judged."""
    seeds = old.doubted.keys() & new.doubted.keys()
    level = sum(abs(old.doubted[seed]) for seed in seeds)
    return sum(abs(new.doubted[s] - old.doubted[s]) for s in seeds) > RELEVANT * level

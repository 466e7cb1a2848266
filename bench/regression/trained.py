"""Second layer of the regression check: trained scores against the baseline's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..comparison.columns import FLOOR, SCORE_KEY, comparable, without_floor
from ..comparison.significance import Seeds, mean
from ..records.results import Rows
from .missing import Missing, Search, name_of, trusted_values
from .sight import Sight, Spread, look, spreads

FLOOR_TOLERANCE = 0.01
# Scores that scatter over seeds alike, whichever the objective.
POOL = (
    *("dataset", "space", "latent_dim", "images", "density", "metric", "kind", "samples_k"),
    "features",
)
Key = tuple[str, ...]


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
        distrusted: Scores that the baseline itself does not trust.
        unknown: Scores of the results that the baseline does not have.
    """

    changes: tuple[Change, ...]
    missing: tuple[Missing, ...] = ()
    untested: tuple[str, ...] = ()
    distrusted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def sights(self) -> list[Sight]:
        """What is seen of the scores of trained models."""
        seen = [change.sight for change in self.changes if not change.exact]
        return [sight for sight in seen if sight.spread.freedom > 0]


def compare_trained(before: Rows, after: Rows) -> Trained:
    """Compares each score of a baseline with that of the results."""
    before, after = before[comparable(before)], after[comparable(after)]
    old_rows, new_rows = _by_key(before), _by_key(after)
    scatter = score_spreads(before)
    tested = sum(spread.freedom > 0 for spread in scatter.values())
    search = Search(before, after)
    changes: list[Change] = []
    missing: list[Missing] = []
    for key, old in old_rows.items():
        then = trusted_values(old)
        if not then:
            continue
        new = new_rows.get(key, after.iloc[:0])
        missing += search.missing(old, new)
        if now := trusted_values(new):
            changes.append(_change(old, then, now, scatter.get(key, Spread()), tested))
    names = {key: name_of(old.iloc[0].to_dict()) for key, old in (new_rows | old_rows).items()}
    return Trained(
        tuple(sorted(changes, key=lambda change: change.sight.name)),
        tuple(missing),
        tuple(names[key] for key, spread in scatter.items() if spread.freedom == 0),
        tuple(names[key] for key, old in old_rows.items() if _is_distrusted(old)),
        tuple(names[key] for key in new_rows if key not in old_rows),
    )


def score_spreads(rows: Rows) -> dict[Key, Spread]:
    """Returns how far each score of trained models scatters over seeds."""
    found: dict[Key, Spread] = {}
    for _, pool in without_floor(rows).groupby(list(POOL), dropna=False):
        scores = {key: trusted_values(own) for key, own in _by_key(pool).items()}
        scores = {key: values for key, values in scores.items() if values}
        seeds = sorted(set[int]().union(*scores.values()))
        if seeds:
            table = [[own.get(seed, np.nan) for own in scores.values()] for seed in seeds]
            found |= dict(zip(scores, spreads(np.array(table)), strict=True))
    return found


def _by_key(rows: Rows) -> dict[Key, Rows]:
    # As text, since a key that holds nan is not found in a dictionary.
    groups = rows.groupby(list(SCORE_KEY), dropna=False)
    return {tuple(map(str, key)): own for key, own in groups}


def _change(old: Rows, then: Seeds, now: Seeds, spread: Spread, tested: int) -> Change:
    shared = {seed: then[seed] for seed in now if seed in then}
    then = shared if len(shared) == len(now) else then
    first, level = old.iloc[0].to_dict(), mean(then)
    name, better = name_of(first), str(first["better"])
    if first["objective"] == FLOOR:
        limit = FLOOR_TOLERANCE * max(1e-9, abs(level))
        return Change(then, now, better, Sight(name, level, limit, spread, False), exact=True)
    return Change(then, now, better, look(name, level, spread, (len(then), len(now)), tested))


def _is_distrusted(rows: Rows) -> bool:
    good = rows[rows["status"] == "ok"]
    return len(good) > 0 and bool((good["trusted"] == "no").all())

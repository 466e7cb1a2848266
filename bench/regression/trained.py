"""Second layer of the regression check: trained scores against the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..comparison.cells import seed_values
from ..comparison.columns import FLOOR, SCORE_KEY, comparable, without_floor
from ..comparison.significance import Seeds, mean
from ..records.results import Rows

FLOOR_TOLERANCE = 0.01
POOL = (
    *("dataset", "space", "latent_dim", "images", "density", "metric", "kind", "samples_k"),
    "features",
)
MODEL = ("suite", "scale", "dataset", "split", "space", "objective", "variant", "latent_dim")


@dataclass(frozen=True)
class Change:
    """One score in the baseline and now.

    Attributes:
        name: What was scored.
        before: The baseline's value for each seed; for the new seeds alone where it has them
            all, since equal seeds share their random numbers.
        after: The new value for each seed.
        spread: Standard deviation over seeds: the larger of the score's own and the one pooled
            over all objectives, from the baseline.
        freedom: Degrees of freedom of that spread.
        better: Direction of better.
        lost: Why new seeds have no value, such as ``"diverged"``.
        exact: Whether the value has no seed in it, as the floor.
    """

    name: str
    before: Seeds
    after: Seeds
    spread: float
    freedom: float
    better: str
    lost: str = ""
    exact: bool = False

    @property
    def difference(self) -> float:
        """The change of the mean, positive where it got worse."""
        sign = 1.0 if self.better == "lower" else -1.0
        return sign * (mean(self.after) - mean(self.before))

    def p_value(self) -> float:
        """Returns the one-sided p-value of a change for the worse."""
        from scipy.stats import t

        if self.lost:
            return 0.0
        if self.exact:
            return float(
                abs(self.difference) <= FLOOR_TOLERANCE * max(1e-9, abs(mean(self.before)))
            )
        if not self.after or self.freedom < 1:
            return 1.0
        error = self.spread * np.sqrt(1 / len(self.before) + 1 / len(self.after))
        if error == 0:
            return float(self.difference <= FLOOR_TOLERANCE * abs(mean(self.before)))
        return float(t.sf(self.difference / error, self.freedom))


def changes_of(before: Rows, after: Rows) -> tuple[list[Change], list[str]]:
    """Returns each score that both have, and a note for each that only the baseline has."""
    before = before[comparable(before)]
    # A number for each pool, since a key that holds nan is not found in a dictionary.
    before = before.assign(pool=before.groupby(list(POOL), dropna=False).ngroup())
    spreads = _pooled_spreads(before)
    now_rows = dict(iter(after.groupby(list(SCORE_KEY), dropna=False)))
    lost = _diverged(after)
    changes, notes = [], []
    for key, old in before.groupby(list(SCORE_KEY), dropna=False):
        first = old.iloc[0].to_dict()
        then = seed_values(old)
        if not then:
            continue
        new = now_rows.get(key)
        values = seed_values(new) if new is not None else {}
        failed = "" if values else lost.get(_model(first), "") or _failure(new)
        name = _name(first)
        if not values and not failed:
            notes.append(f"{name} is in the baseline but not here; run the whole suite.")
            continue
        spread, freedom = _spread(then, spreads.get(first["pool"]))
        shared = {seed: then[seed] for seed in values if seed in then}
        then = shared if values and len(shared) == len(values) else then
        exact = first["objective"] == FLOOR
        better = str(first["better"])
        changes.append(Change(name, then, values, spread, freedom, better, failed, exact))
        if not exact and not failed and freedom < 1:
            notes.append(f"{name}: the baseline has one seed, which tells no spread; not tested.")
    return changes, _shortened(notes)


def _spread(own: Seeds, pooled: tuple[float, float] | None) -> tuple[float, float]:
    """Returns the larger of a score's own and its pooled spread, with its freedom."""
    alone = float(np.std(list(own.values()), ddof=1)) if len(own) > 1 else 0.0
    if pooled is None or alone > pooled[0]:
        return alone, float(len(own) - 1)
    return pooled


def _pooled_spreads(rows: Rows) -> dict[object, tuple[float, float]]:
    """Returns for each pool the standard deviation over seeds, with its freedom.

    Objectives share the random numbers of a seed and so move together; the degrees of freedom
    are those of a sum of correlated squares (Satterthwaite 1946): n - 1 where all objectives
    move as one, up to (n - 1)^2.
    """
    good = without_floor(rows[rows["status"] == "ok"])
    found: dict[object, tuple[float, float]] = {}
    scored = good.assign(score=good.groupby(list(SCORE_KEY), dropna=False).ngroup())
    for pool, own in scored.groupby("pool"):
        table = own.pivot_table(index="seed", columns="score", values="value")
        freedom = (table.count() - 1).clip(lower=0)
        rest = (table - table.mean()).fillna(0.0).to_numpy()
        total = float(np.square(rest).sum())
        if freedom.sum() < 1:
            continue
        moved = float(np.square(rest @ rest.T).sum())
        shared = total**2 / moved if moved > 0 else 1.0
        found[pool] = (float(np.sqrt(total / freedom.sum())), shared * freedom.max())
    return found


def _diverged(rows: Rows) -> dict[tuple[object, ...], str]:
    lost = rows[rows["status"] == "diverged"]
    return {_model(row): "diverged" for row in lost.to_dict("records")}


def _model(row: Mapping[Any, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in MODEL)


def _failure(rows: Rows | None) -> str:
    statuses = set() if rows is None else set(rows["status"]) - {"ok"}
    return ", ".join(sorted(statuses))


def _name(row: Mapping[Any, Any]) -> str:
    parts = [row["dataset"], row["objective"], row["variant"], f"d = {row['latent_dim']}"]
    parts += [f"in {row['space']}" if row["space"] != "unit" else ""]
    parts += [row["images"], row["density"], row["metric"]]
    return " ".join(str(part) for part in parts if part)


def _shortened(notes: list[str], most: int = 20) -> list[str]:
    rest = len(notes) - most
    return notes[:most] + ([f"... and {rest} more such scores."] if rest > 0 else [])

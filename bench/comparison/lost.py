"""Runs that diverged: each stands, without a value, in every column that its like has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records.results import Rows
from .labels import without_floor

SETTING = ("suite", "scale", "dataset", "split", "latent_dim")
SCORE = (
    *("density", "images", "metric", "unit", "better", "kind", "model", "samples_k"),
    *("n_real", "n_generated", "features"),
)


def spread_lost(rows: Rows) -> Rows:
    """Gives each diverged run a row for every score that its like has.

    A run that diverged leaves one row, without a score; so that it is missing in each column
    by name instead of silently, the scores of its own objective's other runs are taken, or,
    where all of them are lost, those of the other objectives that are no likelihoods.
    """
    import pandas as pd

    rows = rows.reset_index(drop=True)
    diverged = rows["status"] == "diverged"
    if not diverged.any():
        return rows
    kept, lost = rows[~diverged], rows[diverged]
    like = _Like(kept)
    own = dict(rows.groupby("run", sort=False).indices)
    scores, others = [], []  # Where the columns of the score, and all others, are taken from.
    for at, row in zip(np.flatnonzero(diverged), lost.to_dict("records"), strict=True):
        found = like.scores(row)
        places = found if len(found) else own[row["run"]]
        scores.append(places)
        others.append(np.full(len(found), at) if len(found) else places)
    taken = [
        rows[names].iloc[np.concatenate(places)].reset_index(drop=True)
        for names, places in (
            (list(SCORE), scores),
            ([name for name in rows.columns if name not in SCORE], others),
        )
    ]
    spread = pd.concat(taken, axis=1)[list(rows.columns)]
    return pd.concat([kept, spread], ignore_index=True).astype(rows.dtypes.to_dict())


# Columns, rows, the places among them of each value of the columns, and what was found so far.
_Sorted = tuple[tuple[str, ...], Rows, dict[Any, Any], dict[Any, NDArray[np.intp]]]


class _Like:
    """Which rows a run that diverged is like, sorted out once for all such runs.

    Args:
        kept: The rows of runs that did not diverge, with their places among all rows as index.
    """

    def __init__(self, kept: Rows) -> None:
        plain = without_floor(kept[kept["kind"] == ""])
        keys = ((*SETTING, "recipe"), (*SETTING, "objective", "variant"), SETTING)
        self._known: list[_Sorted] = [
            (names, rows, dict(rows.groupby(list(names), sort=False).indices), {})
            for names, rows in zip(keys, (kept, kept, plain), strict=True)
        ]

    def scores(self, row: Mapping[Any, Any]) -> NDArray[np.intp]:
        """Returns the places of one row for each score that a run's like has."""
        for names, rows, places, found in self._known:
            key = tuple(row[name] for name in names)
            if key in places:
                if key not in found:
                    like = rows.take(places[key])
                    found[key] = like.drop_duplicates(list(SCORE)).index.to_numpy()
                return found[key]
        return np.array([], dtype=np.intp)

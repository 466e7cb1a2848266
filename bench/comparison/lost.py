"""Diverged runs and failed metrics stand, without a value, in every column that their like has."""

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

# Where a score of one metric stands, whatever the run; and where one run has its scores.
LIKE_SCORES = (*("suite", "scale", "dataset", "split"), *("images", "features", "unit", "better"))
OWN_SCORES = ("run", "recipe", "images", "density", "features")


def spread_lost(rows: Rows) -> Rows:
    """Gives each diverged run, and each metric that failed, a row for every score of its like.

    A run that diverged leaves one row, without a score; so that it is missing in each column
    by name instead of silently, the scores of its own objective's other runs are taken, or,
    where all of them are lost, those of the other objectives that are no likelihoods.
    """
    import pandas as pd

    rows = _spread_failed(rows.reset_index(drop=True))
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


def without_failures(rows: Rows) -> Rows:
    """Leaves out metrics that failed in every run: no name of a score is known of them.

    Where there is nothing else, they stay.
    """
    failed = (rows["status"] == "failed").groupby(rows["metric"]).transform("all")
    return rows if failed.all() else rows[~failed]


def _spread_failed(rows: Rows) -> Rows:
    """Gives each metric that failed, which left one row under its own name, one for each score.

    All scores of a metric have one unit: they are those of its unit that other runs have of the
    same images, and that this run lacks.
    """
    import pandas as pd

    scored = without_floor(rows[(rows["kind"] == "") & (rows["status"] == "ok")])
    failed = (rows["kind"] == "") & (rows["status"] == "failed")
    failed &= ~rows["metric"].isin(scored["metric"])
    if not failed.any():
        return rows
    known = dict(scored.groupby(list(LIKE_SCORES))["metric"].unique())
    own = dict(rows.groupby(list(OWN_SCORES))["metric"].agg(set))
    at, names = [], []
    for place, row in zip(
        np.flatnonzero(failed).tolist(), rows[failed].to_dict("records"), strict=True
    ):
        had = own[tuple(row[name] for name in OWN_SCORES)]
        like = known.get(tuple(row[name] for name in LIKE_SCORES), ())
        lacking = [name for name in like if name not in had] or [row["metric"]]
        at += [place] * len(lacking)
        names += lacking
    spread = rows.iloc[at].assign(metric=names)
    # Two metrics of one unit that both failed lack the same scores.
    spread = spread.drop_duplicates([*OWN_SCORES, "metric"])
    return pd.concat([rows[~failed], spread], ignore_index=True)


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

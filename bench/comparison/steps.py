"""Methods that were trained for several counts of steps: one table has each of them once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..records.results import Rows
from .columns import is_reference, join, method_labels, without_floor
from .labels import settings_of

if TYPE_CHECKING:
    import pandas as pd

SHORTER = "steps-"  # In the names of files on other than the longest trainings.
# Rows that agree in these are one objective under one setting, however long it was trained.
LIKE = (
    *("suite", "scale", "dataset", "split", "image_shape", "space", "backbone_hash"),
    *("objective", "variant", "latent_dim", "selection"),
)
# Rows that agree in these can stand in one column.
SCORED = ("suite", "scale", "dataset", "split", "image_shape", "latent_dim", "metric")


def asked_steps(rows: Rows) -> pd.Series[int]:
    """Returns for each row the steps that its training was asked for.

    A run that diverged took fewer; where its settings are not known, those of its recipe count.
    """
    import pandas as pd

    texts = rows["settings"].tolist()
    asked = {text: _asked(text) for text in set(texts)}
    known = pd.Series([asked[text] for text in texts], index=rows.index, dtype=object)
    if None in asked.values():
        known = known.where(known.notna(), rows.groupby("recipe")["steps"].transform("max"))
    return known.astype(int)


def longest(rows: Rows) -> Rows:
    """Keeps of each objective and setting the runs of most steps, and all that is no training."""
    shorter = _is_shorter(without_floor(rows))
    return rows.drop(shorter.index[shorter]).reset_index(drop=True) if shorter.any() else rows


def by_steps(rows: Rows) -> Iterator[tuple[int | None, Rows]]:
    """Yields the rows of the longest trainings, with none, then those of each smaller count.

    A count has every method that was trained for it, its longest training or not, in the scores
    that any of the shorter trainings has: what none of them has would repeat the first alone.
    Rows that are no training, such as those of the floor, go with each.
    """
    yield None, longest(rows)
    trained = without_floor(rows)
    others = rows[is_reference(rows)]
    shorter, steps = _is_shorter(trained), asked_steps(trained)
    for count in sorted(set(steps[shorter]), reverse=True):
        own = trained[steps == count]
        scored = [own[name] for name in SCORED]
        beside = shorter[own.index].groupby(scored, dropna=False).transform("any")
        yield count, join(others, own[beside])


def _is_shorter(trained: Rows) -> pd.Series[bool]:
    steps = asked_steps(trained)
    if steps.nunique() < 2:
        return steps < steps
    like = [trained[name] for name in LIKE]
    return steps < steps.groupby(like, dropna=False).transform("max")


def named_without_steps(placed: Rows) -> Rows:
    """Returns rows whose methods are named as if all had as many steps, with ``asked`` steps.

    Args:
        placed: Rows with the columns of ``with_places``.
    """
    alike = placed.groupby(list(LIKE), dropna=False).ngroup().astype(str)
    names = method_labels(placed.assign(recipe=alike, settings=""))
    return placed.assign(asked=asked_steps(placed), recipe=alike, settings="", method=names)


def steps_note(rows: Rows) -> str:
    """Returns the sentence of a caption on the steps, empty where all trainings had as many.

    Args:
        rows: Rows of one table, with the columns of ``with_places``.
    """
    trained = without_floor(rows)
    if not len(trained):
        return ""
    counts = asked_steps(trained).groupby(trained["method"]).max()
    usual = int(counts.mode().iloc[-1])
    others = [f"{method} {steps:,}" for method, steps in counts.items() if steps != usual]
    return f"Steps: {usual:,}, but {', '.join(others)}." if others else ""


def _asked(settings: str) -> int | None:
    training = settings_of(settings).get("training")
    steps = training.get("steps") if isinstance(training, dict) else None
    return steps if isinstance(steps, int) else None

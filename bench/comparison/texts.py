"""Texts that runs saved as symbols, read with the form of their data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from ...models.registry import UnknownName
from ...models.sequences.forms import form
from ..data.dataset import find_source
from ..data.texts import texts
from ..errors import UserError
from ..optimisation.ranking import best_distinct
from ..records.results import Rows
from .strings import EXPRESSIONS, MOLECULES, SEARCH, WRITTEN, task_of

if TYPE_CHECKING:
    import numpy as np

ArraysOf: TypeAlias = "Callable[[str], Mapping[str, np.ndarray]]"  # Of a run, by its name.
BEST = f"best_{SEARCH}"
SIGNS = {EXPRESSIONS: 1, MOLECULES: -1}  # By which the best score is the least.


def read_texts(symbols: np.ndarray, dataset: str) -> list[str]:
    """Returns the texts of symbols (N, T); none where the data set has no form that is known.

    Raises:
        UserError: The symbols are of no text of this data set.
    """
    try:
        name = find_source(dataset).form
    except UnknownName:
        return []
    if not name:
        return []
    try:
        return list(texts(form(name), symbols))
    except (ValueError, TypeError) as error:
        raise UserError(f"Saved strings of '{dataset}' cannot be read: {error}") from error


def best_texts(rows: Rows, arrays_of: ArraysOf) -> list[tuple[float, str]]:
    """Returns the best strings of distinct scores that the searches of some runs found.

    Args:
        rows: The rows of one method; all their runs count.
        arrays_of: The arrays of a run.
    """
    found: list[tuple[str, float]] = []
    sign = 1
    for run, dataset in sorted(set(zip(rows["run"], rows[WRITTEN], strict=True))):
        arrays, sign = arrays_of(str(run)), SIGNS[task_of(str(dataset))]
        symbols, scores = arrays.get(BEST), arrays.get(f"{BEST}_scores")
        if symbols is not None and scores is not None:
            pairs = zip(read_texts(symbols, str(dataset)), map(float, scores), strict=False)
            found += [(text, sign * score) for text, score in pairs if text and isfinite(score)]
    return [(sign * score, text) for text, score in best_distinct(found)]

"""Autoencoders that come with their weights: on a board they stand beside one another."""

from __future__ import annotations

from ..records.results import Rows
from ..suites.config import comes_with_weights
from .labels import backbone_text

TOGETHER = {"backbone": "networks as given", "backbone_hash": "given"}


def given_together(placed: Rows) -> Rows:
    """Returns rows in which given autoencoders share a board, each under its own name.

    No two of them have the same networks, so that a board of each would have one entry. Under
    one data set and size of codes they are ranked among each other, and never with models that
    were trained here. All other rows stay as they are.

    Args:
        placed: Rows with the columns of ``with_places``.
    """
    given = placed["backbone"].map(comes_with_weights) & (placed["steps"] == 0)
    if not given.any():
        return placed
    own = placed[given]
    # The digest tells two files of one name apart; the rest of the method's name two settings.
    columns = (own[name] for name in ("backbone", "backbone_hash", "method", "objective"))
    names = [
        f"{backbone_text(backbone)} #{structure[:6]}{method.removeprefix(objective)}"
        for backbone, structure, method, objective in zip(*columns, strict=True)
    ]
    rows = placed.copy()
    rows.loc[given] = own.assign(method=names, **TOGETHER)
    return rows

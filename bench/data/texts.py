"""The texts that a data set of sequences holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...models.sequences.forms import form

if TYPE_CHECKING:
    from .splits import Dataset


def texts(dataset: Dataset, part: str) -> tuple[str, ...]:
    """Returns the texts of a part, in the order of its rows.

    Args:
        dataset: One of texts.
        part: ``train``, ``validation`` or ``test``.

    Raises:
        UnknownName: The data set holds images.
    """
    kind = form(dataset.form)
    rows = getattr(dataset, part)[:, 0, 0].tolist()
    return tuple(kind.text(row) for row in rows)

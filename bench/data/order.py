"""An order of data that follows from what the data are, not from how they happen to lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .source import Part

if TYPE_CHECKING:
    import numpy as np

SEED = 0


def content_order(items: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Returns a random permutation of the rows that depends on their content alone.

    Rows of any order, files of any names give the same sequence. Rows are sorted by their
    SHA-256 and then shuffled by a fixed seed: of rows that are equal it does not matter which
    comes first, and the shuffle keeps them from lying side by side.

    Args:
        items: Shape (N, ...).
        labels: Integers of shape (N,), which tell equal items apart.

    Returns:
        Indices of shape (N,).

    Example:
        >>> import numpy as np
        >>> rows = np.arange(8).reshape(4, 2)
        >>> upside_down = rows[::-1]
        >>> bool((rows[content_order(rows)] == upside_down[content_order(upside_down)]).all())
        True
    """
    import numpy as np

    marks = [hashlib.sha256(item.tobytes()).digest() for item in items]
    if labels is not None:
        marks = [
            mark + int(label).to_bytes(16, "big", signed=True)
            for mark, label in zip(marks, labels, strict=True)
        ]
    ranked = np.array(sorted(range(len(marks)), key=marks.__getitem__), np.int64)
    return ranked[np.random.default_rng(SEED).permutation(len(ranked))]


def text_order(texts: Sequence[str]) -> np.ndarray:
    """Returns a random permutation of texts that depends on what they say alone.

    It is the same however the texts are written as symbols.

    Returns:
        Indices of shape (N,).
    """
    import numpy as np

    ranked = np.array(sorted(range(len(texts)), key=texts.__getitem__), np.int64)
    return ranked[np.random.default_rng(SEED).permutation(len(ranked))]


def shuffled(part: Part) -> Part:
    """Returns a part in the order of its content."""
    return part.take(content_order(part.images, part.labels))

"""Which scored strings are the best ones."""

from __future__ import annotations

from collections.abc import Iterable

BEST = 3
ALIKE = 1e-6  # Scores that differ by less are one: the same function, written differently.


def best_distinct(found: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Returns the ``BEST`` strings of distinct scores, best first; scores lower is better.

    Of strings with one score the first in the order of the alphabet stands for all.

    Args:
        found: Strings with their scores.
    """
    groups: list[tuple[float, list[str]]] = []
    for text, score in sorted(found, key=lambda pair: pair[1]):
        if not groups or score - groups[-1][0] > ALIKE:
            groups.append((score, []))
        groups[-1][1].append(text)
    return [(min(texts), score) for score, texts in groups[:BEST]]

"""How many of the distinct valid generated texts are not among those of the training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .memory import remembered
from .registry import Estimate, register
from .strings import NONE_VALID, check_texts, count_valid, jackknife_error


@register("novelty", unit="share of distinct valid texts", better="higher")
def novelty(
    *, generated_texts: Sequence[str], training_texts: Sequence[str], task: str
) -> dict[str, Estimate]:
    """Scores the share of distinct valid texts that the training did not see.

    Two ways of writing one molecule are the same. The standard error is the jackknife's over
    the valid texts; it holds for these training texts.

    References:
        Molecular Sets (Polykovskiy et al., 2020), Section 3, arXiv:1811.12823.

    Raises:
        BadInput: One of the sets has no texts, or there is no such task.
        MissingPackage: The texts are molecules, and rdkit is not installed.

    Example:
        >>> texts = ["x", "x", "x+", "1", "2"]
        >>> score = novelty(generated_texts=texts, training_texts=["1"], task="expressions")
        >>> round(score["novelty"].value, 3)
        0.667
    """
    check_texts(generated_texts=generated_texts, training_texts=training_texts)
    counts = count_valid(generated_texts, task)
    if not counts:
        return {"novelty": NONE_VALID}
    content = np.frombuffer("\n".join(training_texts).encode(), dtype=np.uint8)
    seen = remembered(
        lambda: frozenset(count_valid(training_texts, task)), "texts", content, task=task
    )
    new = len(counts.keys() - seen)
    return {"novelty": Estimate(new / len(counts), _error(counts, seen))}


def _error(counts: Counter[str], seen: frozenset[str]) -> float | None:
    distinct, new = len(counts), len(counts.keys() - seen)
    if distinct < 2:
        return None
    single = [text for text, count in counts.items() if count == 1]
    single_new = sum(text not in seen for text in single)
    groups = [
        (single_new, (new - 1) / (distinct - 1)),
        (len(single) - single_new, new / (distinct - 1)),
        (counts.total() - len(single), new / distinct),
    ]
    return jackknife_error(counts.total(), groups)

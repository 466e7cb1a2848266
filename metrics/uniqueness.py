"""How many of the valid generated texts differ from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .registry import Estimate, register
from .strings import NONE_VALID, check_texts, count_valid, jackknife_error


@register("uniqueness", unit="share of valid texts", better="higher")
def uniqueness(*, generated_texts: Sequence[str], task: str) -> dict[str, Estimate]:
    """Scores the number of distinct valid texts over the number of valid ones.

    It falls with the number of texts: compare at equal counts only. Two ways of writing one
    molecule count once. The standard error is the jackknife's over the valid texts, whose
    number it takes as given.

    References:
        Molecular Sets (Polykovskiy et al., 2020), Section 3, arXiv:1811.12823.

    Raises:
        BadInput: There are no texts, or no such task.
        MissingPackage: The texts are molecules, and rdkit is not installed.

    Example:
        >>> texts = ["x", "x", "x+", "1", "2"]
        >>> uniqueness(generated_texts=texts, task="expressions")["uniqueness"].value
        0.75
    """
    check_texts(generated_texts=generated_texts)
    counts = count_valid(generated_texts, task)
    valid, distinct = counts.total(), len(counts)
    if not valid:
        return {"uniqueness": NONE_VALID}
    return {"uniqueness": Estimate(distinct / valid, _error(valid, distinct, counts.values()))}


def _error(valid: int, distinct: int, counts: Iterable[int]) -> float | None:
    if valid < 2:
        return None
    single = sum(count == 1 for count in counts)
    rest = valid - 1
    groups = [(single, (distinct - 1) / rest), (valid - single, distinct / rest)]
    return jackknife_error(valid, groups)

"""How many of the generated texts are expressions or molecules."""

from __future__ import annotations

from collections.abc import Sequence

from .registry import Estimate, register
from .strings import check_texts, count_valid


@register("validity", unit="share of texts", better="higher")
def validity(*, generated_texts: Sequence[str], task: str) -> dict[str, Estimate]:
    """Scores the share of texts that are valid, with its binomial standard error.

    An expression is valid where its language has it, a molecule where rdkit reads it. The empty
    text, which stands for a derivation without an end, is invalid.

    Raises:
        BadInput: There are no texts, or no such task.
        MissingPackage: The texts are molecules, and rdkit is not installed.

    Example:
        >>> validity(generated_texts=["x+1", "x+", "", "x"], task="expressions")["validity"].value
        0.5
    """
    check_texts(generated_texts=generated_texts)
    valid = count_valid(generated_texts, task).total()
    count = len(generated_texts)
    return {"validity": Estimate.of_share(valid / count, count)}

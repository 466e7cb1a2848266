"""The mean score of the valid generated texts: one metric a task, for directions differ."""

from __future__ import annotations

from collections.abc import Sequence

from .registry import Estimate, register
from .strings import NONE_VALID, check_texts, find_task, string_scores


@register("expression-score", unit="log(1 + squared error)", better="lower")
def mean_expression_score(*, generated_texts: Sequence[str], task: str) -> dict[str, Estimate]:
    """Averages the score of the valid expressions, which is in [0, log 1001].

    Raises:
        BadInput: There are no texts, or no such task.

    Example:
        >>> texts = ["1/3+x+sin(x*x)", "x+"]
        >>> mean_expression_score(generated_texts=texts, task="expressions")["mean_score"].value
        0.0
    """
    return _mean("expressions", "expression-score", generated_texts, task)


@register("penalised-logp", unit="standard deviations over ZINC250k", better="higher")
def mean_penalised_logp(*, generated_texts: Sequence[str], task: str) -> dict[str, Estimate]:
    """Averages the penalised logP of the valid molecules, with the constants of ZINC250k.

    Raises:
        BadInput: There are no texts, or no such task.
        MissingPackage: The texts are molecules, and rdkit is not installed.
    """
    return _mean("smiles", "penalised-logp", generated_texts, task)


def _mean(own: str, name: str, texts: Sequence[str], task: str) -> dict[str, Estimate]:
    find_task(task)
    if task != own:
        return {name: Estimate(float("nan"), None, f"scores {own}, not {task}")}
    check_texts(generated_texts=texts)
    scores, valid = string_scores(texts, task)
    return {"mean_score": Estimate.of_mean(scores[valid]) if valid.any() else NONE_VALID}

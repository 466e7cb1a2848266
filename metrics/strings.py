"""Texts of a task: which are valid, how they score, and when two are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .arrays import BadInput, Floats
from .expressions import expression_scores, is_expression
from .molecules import canonical_smiles, penalised_logps


class Task(NamedTuple):
    """What makes a text valid, and how it is scored.

    Attributes:
        scores: Scores of texts (N,), float64, and which are valid, bool (N,).
        canonical: One way of writing a valid text, ``None`` for an invalid one.
    """

    scores: Callable[[Sequence[str]], tuple[Floats, Any]]
    canonical: Callable[[str], str | None]


TASKS = {
    "expressions": Task(expression_scores, lambda text: text if is_expression(text) else None),
    "smiles": Task(penalised_logps, canonical_smiles),
}


def string_scores(texts: Sequence[str], task: str) -> tuple[Floats, Any]:
    """Scores many texts: expressions by their error, molecules by their penalised logP.

    Args:
        texts: Texts, N of them; equal ones are scored once.
        task: ``expressions``, where lower is better, or ``smiles``, where higher is better.

    Returns:
        The scores, float64 (N,), log 1001 for an invalid expression and nan for an invalid
        molecule; and which texts are valid, bool (N,). An expression may be valid and still
        undefined at some point, which scores log 1001.

    Raises:
        BadInput: There is no such task.
        MissingPackage: The texts are molecules, and rdkit is not installed.

    Example:
        >>> scores, valid = string_scores(["1/3+x+sin(x*x)", "x+"], "expressions")
        >>> scores.round(3).tolist(), valid.tolist()
        ([0.0, 6.909], [True, False])
    """
    return find_task(task).scores(texts)


def find_task(name: str) -> Task:
    """Returns a task.

    Raises:
        BadInput: There is no such task.
    """
    if name not in TASKS:
        raise BadInput(f"'task' is '{name}'; expected {' or '.join(TASKS)}.")
    return TASKS[name]

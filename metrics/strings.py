"""Texts of a task: which are valid, how they score, and when two are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .arrays import BadInput, Floats
from .expressions import expression_scores, is_expression
from .molecules import canonical_smiles, penalised_logps
from .registry import Estimate

NONE_VALID = Estimate(float("nan"), None, "no text is valid")


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


def check_texts(**texts: Sequence[str]) -> None:
    """Checks that there is a text in each of the named sets.

    Raises:
        BadInput: A set is empty.
    """
    for name, each in texts.items():
        if len(each) == 0:
            raise BadInput(f"'{name}' holds no texts; expected at least 1.")


def count_valid(texts: Sequence[str], task: str) -> Counter[str]:
    """Counts how often each valid text occurs, by its canonical form.

    Raises:
        BadInput: There is no such task.
        MissingPackage: The texts are molecules, and rdkit is not installed.

    Example:
        >>> count_valid(["x", "x", "x+", "1"], "expressions")
        Counter({'x': 2, '1': 1})
    """
    canonical = find_task(task).canonical
    counts: Counter[str] = Counter()
    for text, count in Counter(texts).items():
        written = canonical(text)
        if written is not None:
            counts[written] += count
    return counts


def jackknife_error(count: int, groups: Sequence[tuple[int, float]]) -> float:
    """Computes the delete-one jackknife's standard error of a score of ``count`` texts.

    References:
        The Jackknife and Bootstrap (Shao and Tu, 1995), Section 1.2.

    Args:
        count: How many texts were scored.
        groups: Numbers of texts, which sum to ``count``, each with the score that is left
            without one of them.

    Example:
        >>> round(jackknife_error(4, [(2, 1 / 3), (2, 2 / 3)]), 6)  # Of a mean of 0, 0, 1, 1.
        0.288675
    """
    groups = [(size, value) for size, value in groups if size]
    if len({value for _, value in groups}) == 1:
        return 0.0  # Exactly, where a mean would be rounded.
    mean = sum(size * value for size, value in groups) / count
    squares = sum(size * (value - mean) ** 2 for size, value in groups)
    return float(((count - 1) / count * squares) ** 0.5)

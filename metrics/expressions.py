"""Expressions in one variable, and how near they come to the target ``1/3 + x + sin(x*x)``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import BadInput, Floats

WORST_SQUARE = 1000.0
WORST = float(np.log(1.0 + WORST_SQUARE))
POINTS = np.linspace(-10.0, 10.0, 1000)
TARGET = 1 / 3 + POINTS + np.sin(POINTS * POINTS)

_TOKEN = re.compile(r"sin\(|exp\(|[x123()+*/]")
_PRECEDENCE = {"+": 1, "*": 2, "/": 2}
_OPENING = {"(": "", "sin(": "sin", "exp(": "exp"}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"sin": np.sin, "exp": np.exp}


class NotAnExpression(ValueError):
    """A text outside the language of expressions; the message names the position."""


def expression_score(text: str, *, division: str = "true") -> float:
    """Scores an expression: ``log(1 + mean of min((e(x) - y(x))^2, 1000))``, lower is better.

    The mean is over 1000 equally spaced x in [-10, 10], and ``y(x) = 1/3 + x + sin(x*x)``. A
    square that overflows, or a pole at one of the points, counts as 1000, as in the released
    script. Where a value can't be told at some point, such as inf/inf or the sine of inf, the
    expression is undefined. Sines of huge numbers follow the processor's rounding of ``exp``.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), Section 4.1, arXiv:1703.01925.

    Args:
        text: An expression of ``x``, ``1``, ``2``, ``3``, ``+``, ``*``, ``/``, ``(``, ``)``,
            ``sin(`` and ``exp(``, of any length, without blanks.
        division: ``true``, or ``legacy``, where a quotient of two integers is rounded down as
            in Python 2. The target is the same under both.

    Returns:
        A score in [0, log 1001]; log 1001 where the text is no expression, or is undefined.

    Raises:
        BadInput: ``division`` is neither.

    Example:
        >>> round(expression_score("1/2+(x)+sin(x*x)"), 6)
        0.027399
        >>> round(expression_score("1/2+(x)+sin(x*x)", division="legacy"), 6)
        0.105361
    """
    if division not in ("true", "legacy"):
        raise BadInput(f"'division' is '{division}'; expected true or legacy.")
    try:
        steps = postfix(text)
    except NotAnExpression:
        return WORST
    return _score(steps, division)


def expression_scores(texts: Sequence[str]) -> tuple[Floats, Any]:
    """Scores many expressions under true division.

    Returns:
        The scores, float64 (N,), and which texts are expressions, bool (N,).
    """
    scores, valid = np.full(len(texts), WORST), np.zeros(len(texts), dtype=bool)
    known: dict[str, float] = {}
    for at, text in enumerate(texts):
        if text not in known:
            try:
                known[text] = _score(postfix(text), "true")
            except NotAnExpression:
                continue
        scores[at], valid[at] = known[text], True
    return scores, valid


def is_expression(text: str) -> bool:
    """Says whether a text is in the language of expressions; the empty one is not."""
    try:
        postfix(text)
    except NotAnExpression:
        return False
    return True


def expression_values(text: str) -> Floats:
    """Returns the values of an expression at the points, float64 (1000,); nan where undefined.

    Raises:
        NotAnExpression: The text is not in the language.
    """
    steps = postfix(text)
    with np.errstate(all="ignore"):
        try:
            values = _evaluate(steps, "true")
        except (ZeroDivisionError, OverflowError):  # Of whole numbers, which have no inf.
            values = np.nan
    return np.full(POINTS.shape, values, dtype=np.float64)


def postfix(text: str) -> list[str]:
    """Returns an expression in postfix order: operands before their operator or function.

    Ordinary precedence, from left to right; no recursion, so that no length is too long.

    Raises:
        NotAnExpression: The text is not in the language.

    Example:
        >>> postfix("1+x*sin(x)")
        ['1', 'x', 'x', 'sin', '*', '+']
    """
    steps: list[str] = []
    pending: list[str] = []
    at, after_operand = 0, False
    while at < len(text):
        found = _TOKEN.match(text, at)
        token = found.group() if found else ""
        if not token or after_operand != (token in _PRECEDENCE or token == ")"):
            raise NotAnExpression(f"'{text[at]}' at position {at} is not expected here.")
        if token in _OPENING:
            pending.append(token)
        elif token == ")":
            _close(steps, pending, at)
        elif token in _PRECEDENCE:
            _reduce(steps, pending, _PRECEDENCE[token])
            pending.append(token)
            after_operand = False
        else:
            steps.append(token)
            after_operand = True
        at += len(token)
    if not after_operand:
        raise NotAnExpression("The text ends where an operand is expected.")
    _reduce(steps, pending, 0)
    if pending:
        raise NotAnExpression(f"{len(pending)} parentheses are open at the end.")
    return steps


def _close(steps: list[str], pending: list[str], at: int) -> None:
    _reduce(steps, pending, 0)
    if not pending:
        raise NotAnExpression(f"')' at position {at} closes nothing.")
    function = _OPENING[pending.pop()]
    if function:
        steps.append(function)


def _reduce(steps: list[str], pending: list[str], precedence: int) -> None:
    """Moves the pending operators that bind at least as strongly."""
    while pending and _PRECEDENCE.get(pending[-1], -1) >= precedence:
        steps.append(pending.pop())


def _score(steps: list[str], division: str) -> float:
    with np.errstate(all="ignore"):
        try:
            squares = (_evaluate(steps, division) - TARGET) ** 2
        except (ZeroDivisionError, OverflowError):  # Of whole numbers, which have no inf.
            return WORST
        score = float(np.log(1.0 + np.minimum(squares, WORST_SQUARE).mean()))
    return score if np.isfinite(score) else WORST


def _evaluate(steps: list[str], division: str) -> Any:  # noqa: ANN401
    """Returns the values at the points, shape (1000,), or one number where there is no x."""
    divide = _divide_legacy if division == "legacy" else operator.truediv
    operators = {"+": operator.add, "*": operator.mul, "/": divide}
    values: list[Any] = []
    for step in steps:
        if step in operators:
            right = values.pop()
            values[-1] = operators[step](values[-1], right)
        elif step in _FUNCTIONS:
            argument = values[-1]
            whole = isinstance(argument, int)
            values[-1] = _FUNCTIONS[step](float(argument) if whole else argument)
        else:
            values.append(POINTS if step == "x" else int(step))
    return values[0]


def _divide_legacy(left: Any, right: Any) -> Any:  # noqa: ANN401
    whole = isinstance(left, int) and isinstance(right, int)
    return left // right if whole else left / right

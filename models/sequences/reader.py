"""Grammars read from text."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from .grammar import PADDING, Grammar, Production, endings, parts
from .parsing import is_literal

WORD = r"[A-Za-z_]\w*"
SYMBOL = rf"(?:'[^'\s]+'|{WORD})"
LINE = re.compile(rf"({WORD})\s*->\s*({SYMBOL}(?:\s+(?:\|\s+)?{SYMBOL})*)")
NEVER = re.compile(rf"never\s+({WORD})")


def read_grammar(text: str, name: str) -> Grammar:
    r"""Returns the grammar that a text describes.

    A line is a left side with all its right sides: ``S -> S '+' T | T``. Literals are in single
    quotes, with no escapes. Productions are numbered from 0 as they are written, and the first
    left side is what a whole text is; the padding is added as the last production. Empty lines,
    and lines that begin with ``#``, say nothing.

    A line ``never class`` says that ``class`` has no right side, so that the productions with it
    can never complete: they keep their numbers and are masked.

    Raises:
        ValueError: A line is none of these, or a symbol has no rules, is unreachable, can become
            no text or becomes itself.

    Example:
        >>> read_grammar("S -> S '+' T | T\nT -> 'x' | U", "sums")
        Traceback (most recent call last):
        ...
        ValueError: Grammar 'sums': 'U' has no rules; expected a line "U -> ..." or "never U".
    """
    productions: list[Production] = []
    never: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        where = f"Grammar '{name}', line {number}"
        if match := NEVER.fullmatch(words):
            never.append(match[1])
        elif match := LINE.fullmatch(words):
            productions += _productions(match[1], match[2], productions, where)
        else:
            raise ValueError(
                f"{where}: {words!r} is not a rule; expected such as \"S -> S '+' T | T\"."
            )
    if not productions:
        raise ValueError(f"Grammar '{name}' has no rules.")
    try:
        _check_lefts(productions, never)
        _check_completes(productions)
        _check_loops(productions)
    except ValueError as error:
        raise ValueError(f"Grammar '{name}': {error}") from None
    return Grammar(name, productions)


def _productions(
    left: str, rights: str, known: Sequence[Production], where: str
) -> list[Production]:
    if left == PADDING:
        raise ValueError(f"{where}: '{left}' is the padding, which is added; expected no rule.")
    if any(production.left == left for production in known):
        raise ValueError(f"{where}: '{left}' has a line already; expected one with all its rules.")
    found = [Production(left, tuple(right.split())) for right in re.split(r"\s\|\s", rights)]
    for index, production in enumerate(found):
        if production in found[:index]:
            raise ValueError(f"{where}: '{production}' is written twice; expected once.")
    return found


def _check_lefts(productions: Sequence[Production], never: Collection[str]) -> None:
    lefts = {production.left for production in productions}
    used = [symbol for production in productions for symbol in parts(production)]
    for symbol in used:
        if symbol not in lefts and symbol not in never:
            raise ValueError(
                f"'{symbol}' has no rules; expected a line \"{symbol} -> ...\" or "
                f'"never {symbol}".'
            )
    for symbol in never:
        if symbol in lefts:
            raise ValueError(f"'{symbol}' has rules; expected none, as it is said never to end.")
        if symbol not in used:
            raise ValueError(f"'{symbol}' is unreachable: no rule has it on its right side.")


def _check_completes(productions: Sequence[Production]) -> None:
    """Refuses left sides that no text needs."""
    ends = endings(productions)
    lefts = dict.fromkeys(production.left for production in productions)
    for left in lefts:
        if left not in ends:
            raise ValueError(f"'{left}' is unproductive: none of its rules can become a text.")
    start = productions[0].left
    reached = {start}
    whole = [production for production in productions if ends.issuperset(parts(production))]
    while more := {s for p in whole if p.left in reached for s in parts(p)} - reached:
        reached |= more
    for left in lefts:
        if left not in reached:
            raise ValueError(f"'{left}' is unreachable from '{start}'.")


def _check_loops(productions: Sequence[Production]) -> None:
    """Refuses a left side that becomes itself alone: its texts would be read in endless ways."""
    for start in dict.fromkeys(production.left for production in productions):
        reached: set[str] = set()
        while (
            more := {
                p.right[0]
                for p in productions
                if p.left in reached | {start} and len(p.right) == 1 and not is_literal(p.right[0])
            }
            - reached
        ):
            reached |= more
        if start in reached:
            raise ValueError(f"'{start}' can become '{start}' alone, without end.")

"""A context-free grammar: its numbered productions, their masks, and texts as productions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .parsing import Parser, SequenceError, is_literal

PADDING = "Nothing"  # Left side of the last production, which fills a sequence up.


class Production(NamedTuple):
    """A rule of a grammar.

    Args:
        left: Its left side.
        right: Its right side: literals in quotes, all else left sides.
    """

    left: str
    right: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.left} -> {' '.join(self.right)}".rstrip()


class Grammar:
    """Writes a text as the productions of its leftmost derivation, and back.

    References: Grammar Variational Autoencoder (Kusner et al., 2017), section 3;
    arXiv:1703.01925.

    Args:
        name: The word for messages.
        productions: All but the padding, whose number is the last; checked by `read_grammar`.
            The first left side is what a whole text is.

    Example:
        >>> from aebench.models import grammar
        >>> grammar("expressions").parse("x+1")
        [0, 3, 7, 8]
        >>> grammar("expressions").text([0, 3, 7, 8])
        'x+1'
    """

    def __init__(self, name: str, productions: Sequence[Production]) -> None:
        self.name = name
        self.productions = (*productions, Production(PADDING, ()))
        self.start = productions[0].left
        self.lefts = tuple(dict.fromkeys(p.left for p in self.productions))
        ends = endings(productions) | {PADDING}
        self.completes = tuple(ends.issuperset(parts(p)) for p in self.productions)

    @property
    def padding(self) -> int:
        """Number of the production that fills a sequence up."""
        return len(self.productions) - 1

    @cached_property
    def state_of(self) -> NDArray[np.int64]:
        """For each production the place of its left side among ``lefts``, shape (K,)."""
        return np.array([self.lefts.index(p.left) for p in self.productions], dtype=np.int64)

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """Which productions each left side may take, shape (S, K); none that cannot complete."""
        same = self.state_of == np.arange(len(self.lefts))[:, None]
        return same & np.array(self.completes)

    @cached_property
    def pushed(self) -> tuple[tuple[int, ...], ...]:
        """For each production the places of what it leaves to write, the next one last.

        Those of productions that cannot complete are left out; the padding is followed by itself.
        """
        places = {left: place for place, left in enumerate(self.lefts)}
        sides = [parts(p) for p in self.productions[: self.padding]] + [[PADDING]]
        return tuple(tuple(places[s] for s in reversed(side) if s in places) for side in sides)

    @cached_property
    def _parser(self) -> Parser:
        return Parser(self.productions[: self.padding], self.start)

    def parse(self, text: str) -> list[int]:
        """Returns the productions of the leftmost derivation of a text, of any length.

        Raises:
            SequenceError: The text has none; the message names the first character that cannot
                follow what is before it, counted from 1.
        """
        return self._parser.parse(text)

    def text(self, rules: Iterable[int]) -> str:
        """Returns the text of a leftmost derivation; it is empty where the derivation goes on.

        Args:
            rules: Numbers of productions; padding may follow.

        Raises:
            SequenceError: A production has not the left side that is next.
        """
        numbers = [int(rule) for rule in rules]
        while numbers and numbers[-1] == self.padding:
            numbers.pop()
        written: list[str] = []
        waiting = [self.start]  # What is still to be written, the next symbol last.
        for place, number in enumerate(numbers, start=1):
            expected = waiting.pop() if waiting else PADDING
            waiting += reversed(self._right(number, expected, place))
            while waiting and is_literal(waiting[-1]):
                written.append(waiting.pop()[1:-1])
        return "" if waiting else "".join(written)

    def _right(self, number: int, left: str, place: int) -> tuple[str, ...]:
        """Returns the right side of a production of a left side."""
        known = 0 <= number <= self.padding
        if known and self.productions[number].left == left:
            return self.productions[number].right
        found = f"{number} ({self.productions[number]})" if known else f"{number}"
        raise SequenceError(
            f"Production {place} of a derivation in '{self.name}' is {found}; "
            f"expected one of '{left}'."
        )


def parts(production: Production) -> list[str]:
    """Returns the symbols of a right side that are not literals."""
    return [symbol for symbol in production.right if not is_literal(symbol)]


def endings(productions: Iterable[Production]) -> set[str]:
    """Returns the left sides from which a text can be reached."""
    ends: set[str] = set()
    while more := {p.left for p in productions if ends.issuperset(parts(p))} - ends:
        ends |= more
    return ends

"""Shift-reduce parsing of any context-free grammar that is not ambiguous."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

Rule: TypeAlias = tuple[str, tuple[str, ...]]  # Left side and right side, which is not empty.
Item: TypeAlias = tuple[int, int]  # A rule, and how much of its right side has been read.

GOAL = ""  # Left side of the rule that makes a whole text of the start symbol.
END = ""  # The token after the last.
SHOWN = 60  # Characters of a text that a message repeats.


class SequenceError(ValueError):
    """A text that a form cannot write, or symbols that are no text; the message says where."""


def is_literal(symbol: str) -> bool:
    """Says whether a symbol of a right side stands for text: it is written in quotes."""
    return symbol.startswith("'")


class Parser:
    """Reads a text from left to right, with a stack of what has been read so far.

    The tables are those of an SLR(1) parser. Where the next token allows two steps both are
    followed; the wrong one ends within a token or two. Left recursion needs no depth, and no
    text is too long or too deep, as nothing here calls itself.

    References: Simple LR(k) grammars (DeRemer, 1971).

    Args:
        rules: Left and right sides; literals in quotes, all else a left side. A rule that needs
            a left side without rules is never used.
        start: The left side that a whole text is.
    """

    def __init__(self, rules: Sequence[Rule], start: str) -> None:
        self._rules = [*rules, (GOAL, (start,))]
        # From the last symbol to the first: whether it holds a part of the tree.
        self._kept = [[not is_literal(s) for s in reversed(right)] for _, right in self._rules]
        # The longest literal that fits; a character that begins none is a token of its own.
        literals = {s[1:-1] for _, right in rules for s in right if is_literal(s)}
        longest_first = sorted(literals, key=lambda text: (-len(text), text))
        self._token = re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL)
        self._shifts: list[dict[str, int]] = []  # By state and token, the next state.
        self._gotos: list[dict[str, int]] = []  # By state and left side, the next state.
        self._reductions: list[dict[str, list[int]]] = []  # By state and token, rules now whole.
        self._build()

    def parse(self, text: str) -> list[int]:
        """Returns the numbers of the rules of the leftmost derivation of a text.

        Raises:
            SequenceError: The text has no derivation, or more than one; the message names the
                first character that cannot follow what is before it, counted from 1.
        """
        tokens = self._token.findall(text)
        stacks: list[Any] = [(0, None, None)]  # State, tree, and the stack below.
        for index, token in enumerate(tokens):
            stacks = self._read(stacks, token)
            if not stacks:
                raise SequenceError(_unexpected(text, tokens[:index], token))
        stacks = self._read(stacks, END)
        if not stacks:
            raise SequenceError(_unfinished(text))
        if len(stacks) > 1:
            raise SequenceError(f"{shown(text)} can be read in {len(stacks)} ways; expected one.")
        return _leftmost(stacks[0][2][1])

    def _read(self, stacks: list[Any], token: str) -> list[Any]:
        """Returns all stacks after a token; none where it cannot follow."""
        after = []
        for stack in stacks:  # It grows meanwhile: what is reduced is looked at in turn.
            state = stack[0]
            for rule in self._reductions[state].get(token, ()):
                tree: list[Any] = [rule]
                below = stack
                for keep in self._kept[rule]:
                    if keep:
                        tree.append(below[1])
                    below = below[2]
                stacks.append((self._gotos[below[0]][self._rules[rule][0]], tree, below))
            following = self._shifts[state].get(token)
            if following is not None:
                after.append((following, None, stack))
        return after

    def _build(self) -> None:
        """Makes the tables: one state for each set of items that can be open together."""
        follow = self._follow()
        states = [self._closure([(len(self._rules) - 1, 0)])]
        numbers = {states[0]: 0}
        for items in states:  # It grows meanwhile.
            moved: dict[str, list[Item]] = {}
            whole: dict[str, list[int]] = {}
            for rule, dot in sorted(items):
                left, right = self._rules[rule]
                if dot < len(right):
                    moved.setdefault(right[dot], []).append((rule, dot + 1))
                elif left != GOAL:
                    for token in follow[left]:
                        whole.setdefault(token, []).append(rule)
            shifts: dict[str, int] = {}
            gotos: dict[str, int] = {}
            for symbol, kernel in moved.items():
                state = self._closure(kernel)
                if state not in numbers:
                    numbers[state] = len(states)
                    states.append(state)
                if is_literal(symbol):
                    shifts[symbol[1:-1]] = numbers[state]
                else:
                    gotos[symbol] = numbers[state]
            if (len(self._rules) - 1, 1) in items:
                shifts[END] = 0  # Any state will do: nothing is read after the end.
            self._shifts.append(shifts)
            self._gotos.append(gotos)
            self._reductions.append(whole)

    def _closure(self, kernel: Iterable[Item]) -> frozenset[Item]:
        """Returns items with those of all left sides that may begin where they stand."""
        items = list(kernel)
        seen = set(items)
        for rule, dot in items:  # It grows meanwhile.
            following = self._rules[rule][1][dot : dot + 1]
            for number, (left, _) in enumerate(self._rules):
                if left in following and (number, 0) not in seen:
                    seen.add((number, 0))
                    items.append((number, 0))
        return frozenset(items)

    def _first(self) -> defaultdict[str, set[str]]:
        """Returns the tokens that each left side may begin with; no right side is empty."""
        first: defaultdict[str, set[str]] = defaultdict(set)

        def grow() -> int:
            for left, right in self._rules:
                first[left] |= {right[0][1:-1]} if is_literal(right[0]) else first[right[0]]
            return sum(map(len, first.values()))

        _until_unchanged(grow)
        return first

    def _follow(self) -> defaultdict[str, set[str]]:
        """Returns the tokens that may come after each left side."""
        first = self._first()
        follow: defaultdict[str, set[str]] = defaultdict(set)
        follow[GOAL].add(END)

        def grow() -> int:
            for left, right in self._rules:
                for symbol, after in zip(right, [*right[1:], None], strict=True):
                    if is_literal(symbol):
                        continue
                    if after is None:
                        follow[symbol] |= follow[left]
                    else:
                        follow[symbol] |= {after[1:-1]} if is_literal(after) else first[after]
            return sum(map(len, follow.values()))

        _until_unchanged(grow)
        return follow


def _until_unchanged(grow: Callable[[], int]) -> None:
    """Calls a function that adds to sets and returns their size, until it adds nothing."""
    size = -1
    while size != (size := grow()):
        pass


def _leftmost(tree: list[Any]) -> list[int]:
    """Returns the rules of a tree, each before those of its parts, from left to right."""
    rules = []
    waiting = [tree]
    while waiting:
        rule, *parts = waiting.pop()
        rules.append(rule)
        waiting += parts  # The first part lies last, as the parser pops from the right.
    return rules


def shown(text: str) -> str:
    """Returns a text as a message repeats it: quoted, in one line, not too long."""
    return repr(text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}...")


def _unexpected(text: str, before: Sequence[str], token: str) -> str:
    place = sum(map(len, before)) + 1
    after = f"after '{before[-1]}'" if before else "at the beginning"
    return f"{shown(text)} does not parse: character {place} is {token!r}, not expected {after}."


def _unfinished(text: str) -> str:
    if not text:
        return "The empty text does not parse: it ends before character 1."
    return f"{shown(text)} does not parse: it ends after character {len(text)}, unfinished."

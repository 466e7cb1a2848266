"""Ways of writing a text as a sequence of symbols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .grammar import Grammar
from .parsing import SequenceError, shown


class Form(ABC):
    """One way of writing the texts of a task: symbols, and which of them may follow.

    What may follow is decided by a stack of states. Reading begins with ``begin`` (its last is
    the top); each symbol takes the top state away and puts its ``pushed`` in its place. A
    sequence is a text when as many states are left as there is padding for, which is one.

    Attributes:
        name: Its name, such as ``"smiles-grammar"``.
        task: The name of what it writes, such as ``"smiles"``.
        symbols: K, how many symbols there are, the padding among them.
        length: T, the most symbols in a sequence, unless told otherwise.
        masks: Which symbols each state may take, bool of shape (S, K). Not to be written to.
        state_of: The state that each symbol needs, int64 of shape (K,). Not to be written to.
        begin: The first stack of states.
        pushed: For each symbol the states that take the place of its own, the top one last.
        unit: The word for one symbol.
    """

    name: str
    task: str
    symbols: int
    length: int
    masks: NDArray[np.bool_]
    state_of: NDArray[np.int64]
    begin: tuple[int, ...]
    pushed: tuple[tuple[int, ...], ...]
    unit: str

    @property
    def padding(self) -> int:
        """The symbol that fills a sequence up, K - 1."""
        return self.symbols - 1

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Returns the symbols of a text, without padding and without limit of length.

        Raises:
            SequenceError: The form cannot write it; the message names the place.
        """

    @abstractmethod
    def text(self, symbols: Iterable[int]) -> str:
        """Returns the text of symbols, padding aside; it is empty for symbols that do not end.

        Raises:
            SequenceError: A symbol may not stand where it does; the message names the place.
        """

    def padded(self, text: str, length: int | None = None) -> list[int]:
        """Returns the symbols of a text, filled up to T.

        Args:
            text: What to write.
            length: T; that of the form by default.

        Raises:
            SequenceError: The form cannot write it, or it takes more than T symbols.
        """
        most = self.length if length is None else length
        symbols = self.encode(text)
        if len(symbols) > most:
            raise SequenceError(
                f"{shown(text)} has {len(symbols)} {self.unit}; "
                f"'{self.name}' takes at most {most}."
            )
        return symbols + [self.padding] * (most - len(symbols))


class GrammarForm(Form):
    """A text as the productions of its leftmost derivation."""

    unit = "productions"

    def __init__(self, grammar: Grammar, length: int) -> None:
        self.name = f"{grammar.name}-grammar"
        self.task = grammar.name
        self.length = length
        self.symbols = len(grammar.productions)
        self.masks = grammar.masks
        self.state_of = grammar.state_of
        self.begin = (len(grammar.lefts) - 1, 0)
        self.pushed = grammar.pushed
        self._grammar = grammar

    def encode(self, text: str) -> list[int]:
        """Returns the productions of a text."""
        return self._grammar.parse(text)

    def text(self, symbols: Iterable[int]) -> str:
        """Returns the text of productions."""
        return self._grammar.text(symbols)


class CharacterForm(Form):
    """A text as its characters; any may follow any."""

    unit = "characters"

    def __init__(self, task: str, alphabet: str, length: int) -> None:
        self.name = f"{task}-characters"
        self.task = task
        self.length = length
        self.symbols = len(alphabet)
        self.masks = np.ones((1, self.symbols), dtype=bool)
        self.state_of = np.zeros(self.symbols, dtype=np.int64)
        self.begin = (0,)
        self.pushed = ((0,),) * self.symbols
        self._alphabet = alphabet
        self._symbol_of = {character: i for i, character in enumerate(alphabet[:-1])}

    def encode(self, text: str) -> list[int]:
        """Returns the characters of a text."""
        for place, character in enumerate(text, start=1):
            if character not in self._symbol_of:
                raise SequenceError(
                    f"{shown(text)} cannot be written in '{self.name}': character {place} is "
                    f"{character!r}; expected one of {self._alphabet[:-1]!r}."
                )
        return [self._symbol_of[character] for character in text]

    def text(self, symbols: Iterable[int]) -> str:
        """Returns the text of characters; a padding inside is a space, at an end nothing."""
        numbers = [int(symbol) for symbol in symbols]
        for place, number in enumerate(numbers, start=1):
            if not 0 <= number <= self.padding:
                raise SequenceError(
                    f"Character {place} in '{self.name}' is {number}; "
                    f"expected 0 to {self.padding}."
                )
        space = self._alphabet[self.padding]
        return "".join(self._alphabet[number] for number in numbers).strip(space)

"""What a task of texts is made of; each one is a module of data beside this one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A set of texts and the two ways of writing them as symbols.

    Args:
        name: The word that names its forms.
        grammar: Its grammar, as text for `read_grammar`.
        rules: Most productions in a sequence.
        alphabet: The characters that a text may have, the space of the padding last.
        characters: Most characters in a sequence.
    """

    name: str
    grammar: str
    rules: int
    alphabet: str
    characters: int

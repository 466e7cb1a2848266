"""The known grammars and forms, by name."""

from __future__ import annotations

import functools

from ..registry import UnknownName, unknown_name
from .expressions import EXPRESSIONS
from .form import CharacterForm, Form, GrammarForm
from .grammar import Grammar
from .reader import read_grammar
from .smiles import SMILES

# Imported by name, so that the digest of what uses a form covers its grammar.
TASKS = {task.name: task for task in (EXPRESSIONS, SMILES)}
FORMS = tuple(f"{name}-{way}" for name in TASKS for way in ("grammar", "characters"))


@functools.cache
def grammar(name: str) -> Grammar:
    """Returns the grammar called ``name``: ``expressions`` or ``smiles``.

    Raises:
        UnknownName: There is no such grammar.

    Example:
        >>> grammar("smiles").parse("C")
        [0, 72, 62, 2, 5]
    """
    if name not in TASKS:
        raise UnknownName(unknown_name("grammar", name, sorted(TASKS)))
    return read_grammar(TASKS[name].grammar, name)


@functools.cache
def form(name: str) -> Form:
    """Returns a way of writing texts as symbols, such as ``expressions-characters``.

    Raises:
        UnknownName: There is no such form.

    Example:
        >>> form("expressions-characters").padded("x+1", length=5)
        [0, 1, 4, 14, 14]
    """
    if name not in FORMS:
        raise UnknownName(unknown_name("form", name, sorted(FORMS)))
    task, _, way = name.rpartition("-")
    made_of = TASKS[task]
    if way == "grammar":
        return GrammarForm(grammar(task), made_of.rules)
    return CharacterForm(task, made_of.alphabet, made_of.characters)

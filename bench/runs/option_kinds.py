"""Options from a suite as the kinds of values that a constructor declares."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}


def of_declared_kinds(kind: type, given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Returns options with whole numbers as real ones where a real one is declared.

    Args:
        kind: A class of objectives or backbones. Options of other annotations than bool, int,
            float and str, or unknown to it, are left to the class.
        given: Options by name.
        key: Where they are in a suite: ``options`` or ``backbone_options``.

    Raises:
        ValueError: A value is of another kind.
    """
    declared = _annotations(kind)
    found = dict(given)
    for name, value in given.items():
        wanted = declared.get(name, "").removesuffix(" | None")
        if wanted in WORDS and type(value).__name__ != wanted:
            if (wanted, type(value)) != ("float", int):
                raise ValueError(f"'{key}.{name}' is {value!r}; expected {WORDS[wanted]}")
            found[name] = float(value)
    return found


def _annotations(kind: type) -> dict[str, str]:
    """Returns the annotations of a class's keyword options, with those of its parents."""
    found: dict[str, str] = {}
    for owner in kind.__mro__:
        if "__init__" in vars(owner):
            parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
            own = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
            found = {name: getattr(a, "__name__", str(a)) for name, a in own.items()} | found
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found

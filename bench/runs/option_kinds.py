"""Options from a suite as the kinds of values that a constructor declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...models.options import keyword_options

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
    annotations = {name: p.annotation for name, p in keyword_options(kind).items()}
    declared = {name: getattr(a, "__name__", str(a)) for name, a in annotations.items()}
    found = dict(given)
    for name, value in given.items():
        wanted = declared.get(name, "").removesuffix(" | None")
        if wanted in WORDS and type(value).__name__ != wanted:
            if (wanted, type(value)) != ("float", int):
                raise ValueError(f"'{key}.{name}' is {value!r}; expected {WORDS[wanted]}")
            found[name] = float(value)
    return found

"""What the constructor of somebody's own objective lacks, in words."""

from __future__ import annotations

import inspect

FORM = (
    'expected __init__(self, backbone, space, *, preset="mnist", OPTION=DEFAULT, ...), which '
    "calls super().__init__(backbone, space, preset=preset) first (docs/extending.md)"
)


def lacking(kind: type) -> str:
    """Returns what the constructor of an objective lacks; empty where it has the form.

    Args:
        kind: A subclass of `Objective`.

    Example:
        >>> class Own:
        ...     def __init__(self, backbone, space, weight=1.0): ...
        >>> lacking(Own).partition(";")[0]
        "The constructor of 'Own' has no 'preset', and 'weight' before the '*'"
    """
    owner = next(base for base in kind.__mro__ if "__init__" in vars(base))
    parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
    plain = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    found = [] if passes_on or "preset" in [*named, *plain] else ["no 'preset'"]
    if len(plain) < 2 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        found.append("not both 'backbone' and 'space'")
    found += [f"'{name}' before the '*'" for name in plain[2:]]
    return (
        f"The constructor of '{owner.__name__}' has {', and '.join(found)}; {FORM}."
        if found
        else ""
    )


def check_built(objective: object) -> None:
    """Checks that an objective's constructor has called that of its parent.

    Raises:
        ValueError: It has not.
    """
    if not hasattr(objective, "backbone"):
        raise ValueError(
            f"The constructor of '{type(objective).__name__}' does not call its parent's; {FORM}."
        )

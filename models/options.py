"""The options of a backbone or an objective, read off its constructor."""

from __future__ import annotations

import inspect
from typing import Any


def option_defaults(kind: type) -> dict[str, Any]:
    """Returns the keyword options of a backbone or an objective with their defaults.

    A constructor that passes ``**options`` on to its parent takes the parent's options too.
    ``preset`` is no option of the user's, and what a class names in ``ignored_options`` it
    shares with its relatives and does not use: both are left out.
    """
    ignored = ("preset", *getattr(kind, "ignored_options", ()))
    defaults: dict[str, Any] = {}
    for owner in kind.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        own = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        defaults = own | defaults
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: default for name, default in defaults.items() if name not in ignored}

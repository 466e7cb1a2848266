"""The options of a backbone or an objective, and the ranges in which they are tuned."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """The values among which an option is tuned, from ``low`` to ``high``, both included.

    Args:
        low: Smallest value.
        high: Largest value.
        log: Whether values are spread evenly by their logarithm.

    Raises:
        ValueError: There is no value between the ends, or none has a logarithm.

    Example:
        >>> Range(1e-3, 10.0, log=True).clamp(20.0)
        10.0
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        ends = f"'low' is {self.low} and 'high' is {self.high}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"{ends}; expected two finite numbers, the lower one first.")
        if self.log and self.low <= 0:
            raise ValueError(f"{ends}; expected positive numbers for a logarithmic range.")

    def clamp(self, value: float) -> float:
        """Returns the value in the range that is nearest to ``value``."""
        return min(max(value, self.low), self.high)


def option_defaults(kind: type) -> dict[str, Any]:
    """Returns the keyword options of a backbone or an objective with their defaults.

    ``preset`` is no option of the user's, and what a class names in ``ignored_options`` it
    shares with its relatives and does not use: both are left out.
    """
    ignored = ("preset", *getattr(kind, "ignored_options", ()))
    return {name: p.default for name, p in keyword_options(kind).items() if name not in ignored}


def keyword_options(kind: type) -> dict[str, inspect.Parameter]:
    """Returns the keyword parameters of a class by name.

    A constructor that passes ``**options`` on to its parent takes the parent's options too.
    """
    found: dict[str, inspect.Parameter] = {}
    for owner in kind.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        found = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found

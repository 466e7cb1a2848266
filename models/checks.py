"""Checks of options and of log-determinants: no silent nan."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from .switches import VALUE_CHECKS


def check_choice(option: str, value: str, known: Iterable[str]) -> str:
    """Returns the value of an option.

    Raises:
        ValueError: It is none of the known ones.
    """
    names = list(known)
    if value in names:
        return value
    expected = " or ".join(f"'{name}'" for name in names)
    if len(names) > 2:
        expected = f"one of: {', '.join(names)}"
    raise ValueError(f"'{option}' is '{value}'; expected {expected}.")


def check_at_least(least: int, **options: float) -> None:
    """Raises ValueError for the first option, by its name, below ``least`` or not finite."""
    for option, value in options.items():
        if not least <= value < math.inf:
            number = "" if least else "a number of "
            number = number if math.isfinite(value) else "a finite number of "
            raise ValueError(f"'{option}' is {value}; expected {number}at least {least}.")


def check_finite(log_determinants: dict[str, Tensor]) -> None:
    """Raises FloatingPointError, naming layer and image, unless all values are finite.

    It does nothing while `VALUE_CHECKS` is off: the terms are then checked later, as a whole.

    Args:
        log_determinants: Log-determinants (B,) by the name of their layer.
    """
    if not VALUE_CHECKS:
        return
    stacked = torch.stack(tuple(log_determinants.values())).detach()
    finite = torch.isfinite(stacked)
    if bool(finite.all()):
        return
    layer, index = (int(i) for i in (~finite).nonzero()[0])
    name = tuple(log_determinants)[layer]
    raise FloatingPointError(
        f"The log-determinant of '{name}' is {float(stacked[layer, index])} "
        f"for image {index} of the batch; expected a finite number."
    )

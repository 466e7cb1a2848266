"""Numbers in words: the digits that an error allows, and intervals of means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .ranges import ANYTHING, Limits, interval_within
from .significance import half_width

MOST_DIGITS = 6


def estimate_text(value: float, half: float | None, limits: Limits = ANYTHING) -> str:
    """Returns a mean with the half-width of its interval, or the ends where that is cut short.

    No digit is shown that the half-width makes meaningless, nor is it ever shown as 0.

    Example:
        >>> estimate_text(4.73, 0.098), estimate_text(888.42, 36.61), estimate_text(4.73, None)
        ('4.73 ± 0.10', '888 ± 37', '4.73')
        >>> estimate_text(1607.5, 2099.5, (0.0, math.inf))
        '1608 [0, 3707]'
    """
    shown = format_number(value, error=half)
    if half is None:
        return shown
    low, high = interval_within(value, half, limits)
    if (low, high) != (value - half, value + half):
        ends = (format_number(end, like=value, error=half) for end in (low, high))
        return f"{shown} [{', '.join('0' if float(end) == 0 else end for end in ends)}]"
    text = format_number(half, like=value, error=half)
    return f"{shown} ± {half:.1g}" if half and float(text) == 0 else f"{shown} ± {text}"


def is_cut(text: str) -> bool:
    """Returns whether a text of `estimate_text` shows an interval by its ends."""
    return "[" in text


def kept_digits(mean: float | None, half: float | None) -> tuple[float | None, float | None]:
    """Returns mean and half-width with the digits that lists and pages keep: six and three."""
    kept = None if mean is None else float(f"{mean:.6g}")
    return kept, None if half is None else float(f"{half:.3g}")


def format_number(value: float, like: float | None = None, error: float | None = None) -> str:
    """Returns a number with about four digits, or as many decimals as ``like`` gets.

    Args:
        value: The number.
        like: A number whose decimals are enough.
        error: What is not known of the number; decimals end at its second digit, which adds
            some where it is small, up to six digits in all.

    Example:
        >>> format_number(123.456), format_number(3.14159), format_number(0.004, like=0.5)
        ('123.5', '3.14', '0.004')
        >>> format_number(123.456, error=36.0), format_number(3.14159, error=0.0025)
        ('123', '3.1416')
    """
    size = abs(value if like is None else like)
    if size != 0 and size < 0.01:
        return f"{value:.2e}"
    if not math.isfinite(size):
        return str(value)
    decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
    known = decimals_known(error)
    if error and error < 10.0**-decimals:  # Else it would be told of digits that are not shown.
        room = MOST_DIGITS - 1 - math.floor(math.log10(size)) if size else MOST_DIGITS
        return fixed_text(value, max(decimals, min(known, room)))
    return fixed_text(value, min(decimals, known))


def with_sign(value: float) -> str:
    """Returns a number as `format_number` does, with ``+`` where it is not negative."""
    text = format_number(value)
    return text if text.startswith("-") else f"+{text}"


def mean_text(values: Sequence[float]) -> str:
    """Returns the mean over seeds with the digits that their scatter allows."""
    return format_number(float(np.mean(values)), error=half_width(values))


def with_error(value: float, error: float | None, sign: str = "") -> str:
    """Returns a number of any size with the digits that its error allows, four without one.

    Args:
        value: The number.
        error: Its standard error or the half-width of its interval.
        sign: ``+`` where a positive number has a sign, too.

    Example:
        >>> with_error(1607.32461, 36.0), with_error(0.98304, 0.0012), with_error(1607.32461, None)
        ('1607', '0.9830', '1607')
        >>> with_error(3.21e-7, 4e-8), with_error(12.3456, 0.01, "+"), with_error(-0.3, 32.0)
        ('3.21e-07', '+12.346', '0')
    """
    size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    known = bool(error) and math.isfinite(error or math.nan)
    digits = min(decimals_known(error) + 1 + size, MOST_DIGITS) if known else 4
    if -5 < size:
        return fixed_text(value, max(digits - 1 - size, 0), sign)
    return f"{value:{sign}.{max(digits, 1)}g}"


def decimals_known(error: float | None) -> int:
    """Returns how many decimals a number has down to the second digit of its error.

    Example:
        >>> decimals_known(36.0), decimals_known(0.25), decimals_known(0.0204)
        (0, 2, 3)
    """
    if not error or not math.isfinite(error):
        return 17
    return max(0, 1 - math.floor(math.log10(float(f"{error:.1e}"))))


def fixed_text(value: float, decimals: int, sign: str = "") -> str:
    """Returns a number with so many decimals, never -0."""
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"

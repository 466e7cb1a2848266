"""The words that `aebench run` and `aebench tune` have in common."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from ..errors import UserError


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def key_values(option: str, given: list[str]) -> dict[str, str]:
    """Returns the pairs of an option that takes ``KEY=VALUE``.

    Raises:
        UserError: One has no key or no value.
    """
    pairs: dict[str, str] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UserError(f"'{option}' is '{text}'; expected KEY=VALUE.")
        pairs[key] = value
    return pairs


def dotted_settings(given: list[str]) -> dict[str, Any]:
    """Returns the values that ``--set`` gives, by dotted key; what is no TOML is text."""
    settings: dict[str, Any] = {}
    for key, text in key_values("--set", given).items():
        try:
            settings[key] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            settings[key] = text
    return settings


def chosen_device(wanted: str) -> str:
    """Returns ``cpu`` or ``cuda``.

    Raises:
        UserError: There is no GPU where one was asked for.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("'--device' is 'cuda', but torch sees no GPU here; use --device cpu.")
    return wanted


def check_writable(out: Path) -> None:
    """Checks that an output folder can be written, or made.

    Raises:
        UserError: It cannot.
    """
    nearest = next(p for p in (out, *out.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"Output folder '{out}' cannot be written; name another with --out.")

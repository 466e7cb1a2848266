"""The words of a command that carries out a suite, and the folder that it writes by default."""

from __future__ import annotations

import shlex

from .config import OWN_BUDGET


def run_command(name: str, scale: str, *words: str) -> str:
    """Returns the command that runs a suite at a scale, to be pasted into a shell.

    Args:
        name: The suite's name, or the path of its file.
        scale: Its scale, as words or rows have it.
        words: More options and their values.
    """
    return shlex.join(["aebench", "run", name, "--set", f"scale={_known(scale)}", *words])


def folder_name(name: str, scale: str) -> str:
    """Returns the name of a suite's results folder at a scale."""
    return name if _known(scale) == "full" else f"{name}-{scale}"


def _known(scale: str) -> str:
    return "full" if scale == OWN_BUDGET else scale

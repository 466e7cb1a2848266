"""The two ways in which a command ends badly; everything else is a bug and shows a traceback."""

from __future__ import annotations


class UserError(Exception):
    """What the user gave cannot be used: one line on stderr, exit code 2."""


class RunFailed(Exception):
    """What was asked for went wrong on the way: one line on stderr, exit code 1."""

"""The two ways in which a command ends badly; everything else is a bug and shows a traceback."""

from __future__ import annotations


def one_line(text: object) -> str:
    r"""Returns text in which nothing ends the line or moves a terminal's cursor.

    Example:
        >>> one_line("a\nb")
        'a\\nb'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


class UserError(Exception):
    """What the user gave cannot be used: one line on stderr, exit code 2."""


class RunFailed(Exception):
    """What was asked for went wrong on the way: one line on stderr, exit code 1."""

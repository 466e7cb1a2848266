"""The two ways in which a command ends badly, and words that their lines share.

Everything else is a bug and shows a traceback.
"""

from __future__ import annotations


def one_line(text: object) -> str:
    r"""Returns text in which nothing ends the line or moves a terminal's cursor.

    Example:
        >>> one_line("a\nb")
        'a\\nb'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def number_of(count: int, thing: str) -> str:
    """Returns a count with what is counted, in the singular where it is one."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


class UserError(Exception):
    """What the user gave cannot be used: one line on stderr, exit code 2."""


class RunFailed(Exception):
    """What was asked for went wrong on the way: one line on stderr, exit code 1."""

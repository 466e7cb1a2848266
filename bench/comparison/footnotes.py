"""Footnotes of a table: warnings about single scores, each text once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

UNTRUSTED = (
    "Not trusted: the effective sample size of the estimate is too small. It has no interval, "
    "and it enters no mean, difference, mark or rank."
)
DAGGER = "†"
DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


class Footnotes:
    """The footnotes of one table.

    Texts that differ in nothing but numbers are one footnote, with the range of each number. What
    holds for every score of a column is marked in its header instead of in each cell.

    Args:
        columns: For each column, for each of its scores, the warnings about it.

    Example:
        >>> notes = Footnotes([[("size 3 of 9",), ("size 12 of 9", "blurred")], [()]])
        >>> notes.sentences
        ('¹ size 3 to 12 of 9.', '² blurred.')
        >>> notes.header(0), notes.cell(0, ("size 12 of 9", "blurred"))
        (' ¹', ' ²')
    """

    def __init__(self, columns: Iterable[Iterable[Iterable[str]]]) -> None:
        cells = [[list(own) for own in column] for column in columns]
        texts: dict[str, list[str]] = {}
        for text in (text for column in cells for own in column for text in own):
            texts.setdefault(_form(text), []).append(text)
        forms = [form for form in texts if form != UNTRUSTED]
        self._marks = {form: str(at + 1).translate(DIGITS) for at, form in enumerate(forms)}
        if UNTRUSTED in texts:
            self._marks = {UNTRUSTED: DAGGER, **self._marks}
        self._headers = [
            [f for f in forms if column and all(f in map(_form, own) for own in column)]
            for column in cells
        ]
        self.sentences = tuple(
            f"{mark} {_merged(texts[form])}." for form, mark in self._marks.items()
        )

    def header(self, at: int) -> str:
        """Returns what stands behind a column's name, with a space before each mark."""
        return "".join(f" {self._marks[form]}" for form in self._headers[at])

    def cell(self, at: int, warnings: Iterable[str]) -> str:
        """Returns what stands behind a cell of a column, with a space before each mark."""
        forms = dict.fromkeys(map(_form, warnings))
        return "".join(f" {self._marks[form]}" for form in forms if form not in self._headers[at])


def _form(text: str) -> str:
    return NUMBER.sub("#", text)


def _merged(texts: Sequence[str]) -> str:
    """Returns texts of one form as one text, without its full stop."""
    found = zip(*(NUMBER.findall(text) for text in texts), strict=True)
    ranges = [sorted(set(numbers), key=float) for numbers in found]
    shown = iter(r[0] if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in ranges)
    return NUMBER.sub(lambda _: next(shown), texts[0]).rstrip(".")

"""Texts as rows of symbols: what all data sets of texts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from ...models.sequences.forms import form
from ...models.sequences.parsing import SequenceError
from ..errors import UserError
from .dataset import Source, register
from .source import Part
from .splits import Shape
from .text_files import Lines

GRAMMAR, CHARACTERS = "grammar", "characters"


class TextSource(Source):
    """Texts of one task, written as rows of symbols: rules of its grammar, or characters.

    A subclass sets the task and, for both ways of writing, the shape (1, T, K) that models
    see. The parts hold the same texts in the same order, however they are written.
    """

    task: str
    shapes: ClassVar[Mapping[str, Shape]]
    default_space = "sequence"
    preset = "sequence"
    native = False

    def __init__(self, writing: str = GRAMMAR) -> None:
        self.writing = writing
        self.form = f"{self.task}-{writing}"
        self.image_shape = self.shapes[writing]
        if writing != GRAMMAR:
            scheme, colon, path = self.name.partition(":")
            self.name = f"{scheme}-{writing}{colon}{path}"

    def written(self, lines: Lines) -> Part:
        """Returns texts as rows of symbols.

        Raises:
            UserError: A text cannot be written so, or not in T symbols.
        """
        rows, failed = [], []
        for index, text in enumerate(lines.texts):
            try:
                rows.append(self.symbols(text, self.writing))
            except SequenceError as error:
                failed.append(f"{lines.at(index)}: {error}")
        if failed:
            more = f" So it is with {len(failed) - 1} more." if failed[1:] else ""
            raise UserError(f"{failed[0]}{more}")
        return stacked(rows)

    def symbols(self, text: str, writing: str) -> bytes:
        """Returns the T symbols of a text, written in one of the two ways.

        Raises:
            SequenceError: It cannot be written so.
        """
        return bytes(form(f"{self.task}-{writing}").padded(text, self.shapes[writing][1]))


def stacked(rows: Sequence[bytes]) -> Part:
    """Returns rows of T symbols as uint8 of shape (N, 1, 1, T)."""
    import numpy as np

    return Part(np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 1, 1, -1))


TextKind = TypeVar("TextKind", bound=type[TextSource])


def register_texts(kind: TextKind) -> TextKind:
    """Files a data set of texts under its name, and as characters under ``NAME-characters``."""
    for writing in (GRAMMAR, CHARACTERS):
        register(kind(writing))
    return kind

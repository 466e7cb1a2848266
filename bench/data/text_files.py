"""Texts from a file, one a line."""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError

HEADING = "smiles"
BETWEEN = re.compile(r"[,;\s]+")
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Lines:
    """Texts, and what an error calls the place where each of them stands.

    Args:
        texts: One a line.
        origin: The file.
        first: Number of the first line.
    """

    texts: Sequence[str]
    origin: str
    first: int = 1

    def at(self, index: int) -> str:
        """Returns the place of a text in words."""
        return f"{self.origin}, line {index + self.first}"


def read_lines(path: Path) -> Lines:
    """Returns the SMILES of a file of one column, below a heading where there is one.

    A byte-order mark, any ends of lines, spaces around a text and empty lines at the end are
    passed over.

    Raises:
        UserError: The file is not there, broken, empty or no UTF-8, or a line is empty or has
            more than one column.
    """
    content = unpacked(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: is not UTF-8; expected text.") from None
    unified = text.rstrip().replace("\r\n", "\n").replace("\r", "\n")
    rows = [row.strip() for row in unified.split("\n")]
    first = 1 + (rows[0].lower() == HEADING)
    lines = Lines(rows[first - 1 :], str(path), first)
    if not any(lines.texts):
        raise UserError(f"{path} is empty; expected one SMILES a line.")
    for index, row in enumerate(lines.texts):
        if not row or BETWEEN.search(row):
            columns = len(BETWEEN.split(row)) if row else 0
            raise UserError(f"{lines.at(index)}: has {columns} columns; expected one SMILES.")
    return lines


def unpacked(path: Path) -> bytes:
    """Returns the content of a file, that of .gz and .xz files unpacked.

    Raises:
        UserError: The file is not there or broken.
    """
    if not path.is_file():
        raise UserError(f"{path} is not there; expected a file of texts.")
    unpack = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(path.suffix, bytes)
    try:
        return unpack(path.read_bytes())
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read: {error}.") from None

"""CSV whose cells no spreadsheet runs and which read back as they were."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from types import SimpleNamespace

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Returns lines of cells as CSV in which no cell is taken for a formula.

    Args:
        lines: Cells of any type; ``None`` and nan become empty, a text that a spreadsheet would
            run (it begins with ``=``, ``+``, ``-``, ``@``, one of them in full width, a tab or
            an end of line) gets a leading apostrophe.
    """
    texts: list[str] = []
    stream = SimpleNamespace(write=texts.append)  # It gets each line by itself.
    writer = csv.writer(stream)  # With its line end it quotes cells that hold any.
    for line in lines:
        writer.writerow(map(_to_cell, line))
    return "".join(text.removesuffix("\r\n") + "\n" for text in texts)


def _to_cell(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def from_cell(text: str, kind: str) -> object:
    """Returns the value of a cell that `csv_text` wrote.

    Args:
        text: The cell.
        kind: The column's type, such as ``"float | None"``.

    Raises:
        ValueError: The cell is no number of that kind.
    """
    if text.startswith("'") and _FORMULA.match(text):
        text = text[1:]
    if kind not in ("int", "float", "int | None", "float | None"):
        return text
    if text == "" and kind.endswith("None"):
        return None
    return int(text) if kind.startswith("int") else float(text)

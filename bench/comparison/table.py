"""A table of cells, and its three forms: CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...models.registry import Registry
from ..files.storage import write_atomically
from ..records.results import csv_text

LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"±": r"$\pm$", "≤": r"$\le$", "∞": r"$\infty$", "↓": r"$\downarrow$", "↑": r"$\uparrow$"}
    | {"≥": r"$\ge$", "→": r"$\to$", "≈": r"$\approx$", "<": "$<$", ">": "$>$", "|": "$|$"}
)


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: What is shown, without marks.
        value: The mean over seeds, where the cell is a number.
        deviation: The standard deviation over seeds (divisor n - 1), from two seeds on.
        seeds: The count of seeds, such as ``3`` or ``2/3``.
        mark: ``best``, ``tie`` or empty.
    """

    text: str = ""
    value: float | None = None
    deviation: float | None = None
    seeds: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table with two header lines.

    Attributes:
        name: File name without ending.
        title: Title; suite and scale are part of it.
        notes: Sentences of the caption.
        corner: Header of the label column.
        columns: For each column its group and its name.
        lines: For each line its label and its cells.
        splits: Further sentences of the caption: why a column had to be split in two.
    """

    name: str
    title: str
    notes: tuple[str, ...]
    corner: str
    columns: tuple[tuple[str, str], ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]
    splits: tuple[str, ...] = ()

    def as_csv(self) -> str:
        """Returns mean, standard deviation, seeds and mark of each cell as CSV."""
        header: list[object] = [self.corner]
        counted = [any(c[at].seeds for _, c in self.lines) for at in range(len(self.columns))]
        for (group, name), full in zip(self.columns, counted, strict=True):
            base = f"{group} {name}".strip()
            header += [base, *(f"{base} {part}" for part in ("sd", "seeds", "mark") if full)]
        lines: list[list[object]] = [header]
        for label, cells in self.lines:
            line: list[object] = [label]
            for cell, full in zip(cells, counted, strict=True):
                text = "" if cell.text.startswith("-") else cell.text
                line.append(text if cell.value is None else cell.value)
                line += [cell.deviation, cell.seeds, cell.mark] if full else []
            lines.append(line)
        return csv_text(lines)

    def as_markdown(self) -> str:
        """Returns the table as GitHub Markdown with title and caption."""
        import pandas as pd

        groups = {group for group, _ in self.columns if group}
        few = len(groups) < 2
        names = [n if few or not group else f"{group}: {n}" for group, n in self.columns]
        data = [
            [markdown_text(label), *(_markdown_cell(cell) for cell in cells)]
            for label, cells in self.lines
        ]
        header = [markdown_text(name) for name in [self.corner, *names]]
        align = ("left", *("right" for _ in names))
        body = pd.DataFrame(data, columns=header).to_markdown(
            index=False, disable_numparse=True, colalign=align
        )
        caption = " ".join(markdown_text(note) for note in (*self.notes, *self.splits))
        return f"**{markdown_text(self.title)}**\n\n{body}\n\n{caption}\n"

    def as_latex(self) -> str:
        """Returns the table as a LaTeX float; it needs the packages booktabs and graphicx."""
        import pandas as pd

        header = [(_latex(group), _latex(name)) for group, name in self.columns]
        frame = pd.DataFrame(
            [[_latex_cell(cell) for cell in cells] for _, cells in self.lines],
            index=pd.Index([_latex(label) for label, _ in self.lines]),
            columns=pd.MultiIndex.from_tuples(header),
        )
        return frame.style.to_latex(
            hrules=True,
            column_format="l" + "r" * len(header),
            multicol_align="c",
            position="tbp",
            position_float="centering",
            caption=_latex(" ".join([self.title + ".", *self.notes, *self.splits])),
            label=f"tab:{self.name}",
        )


# Each takes result rows and yields the tables that they allow.
TABLES: Registry[Callable[[Any], Iterable[Table]]] = Registry(
    "table", folder="aebench.bench.tables", group="aebench.tables"
)


def text_table(
    name: str,
    title: str,
    header: Sequence[str],
    lines: Iterable[Sequence[object]],
    notes: Iterable[str] = (),
) -> Table:
    """Returns a table with one header line.

    Args:
        name: File name without ending.
        title: Title.
        header: The label column's header and those of the others.
        lines: For each line its label and its cells, as cells or as anything to be shown.
        notes: Sentences of the caption.
    """
    cells = tuple(
        (str(label), tuple(c if isinstance(c, Cell) else Cell(str(c)) for c in others))
        for label, *others in lines
    )
    corner, *names = header
    return Table(name, title, tuple(notes), corner, tuple(("", n) for n in names), cells)


def write_table(folder: Path, table: Table) -> list[Path]:
    """Writes a table in its three forms and returns the files."""
    forms = {".csv": table.as_csv, ".md": table.as_markdown, ".tex": table.as_latex}
    paths = []
    for ending, render in forms.items():
        paths.append(folder / f"{table.name}{ending}")
        write_atomically(paths[-1], render())
    return paths


def seeds_cell(seeds: Mapping[int, float], expected: int, lost: str = "", mark: str = "") -> Cell:
    """Returns the cell of a score over seeds: mean ± standard deviation (count).

    Args:
        seeds: The score of each seed that has one.
        expected: How many seeds there should be.
        lost: Why some are missing, such as ``"1 diverged"``.
        mark: ``best``, ``tie`` or empty.
    """
    values = list(seeds.values())
    count = f"{len(values)}" if len(values) >= expected else f"{len(values)}/{expected}"
    shown = f"{count}, {lost}" if lost else count
    if not values:
        return Cell(f"- ({shown})", seeds=shown)
    mean = float(np.mean(values))
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    spread = "" if deviation is None else f" ± {format_number(deviation, like=mean)}"
    return Cell(f"{format_number(mean)}{spread} ({shown})", mean, deviation, shown, mark)


def format_number(value: float, like: float | None = None) -> str:
    """Returns a number with about four digits, or as many decimals as ``like`` gets.

    Example:
        >>> format_number(123.456), format_number(3.14159), format_number(0.004, like=0.5)
        ('123.5', '3.14', '0.004')
    """
    size = abs(value if like is None else like)
    if size != 0 and size < 0.01:
        return f"{value:.2e}"
    if not math.isfinite(size):
        return str(value)
    decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
    return f"{value:.{decimals}f}"


def file_name(*parts: str) -> str:
    """Returns parts joined as a portable file name of at most 160 characters."""
    plain = (re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-") for part in parts if part)
    name = "-".join(plain)
    return name if len(name) <= 160 else f"{name[:150]}-{zlib.crc32(name.encode()):08x}"


def markdown_text(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    for character in "\\|<>*`[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _markdown_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    return {"best": f"**{text}**", "tie": f"*{text}*"}.get(cell.mark, text)


def _latex(text: str) -> str:
    return " ".join(text.split()).translate(LATEX)


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    return {"best": rf"\textbf{{{text}}}", "tie": rf"\textit{{{text}}}"}.get(cell.mark, text)

"""A table of cells, and its three forms: CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...models.registry import Registry
from ..files.csv_cells import csv_text
from ..files.storage import write_atomically
from ..records.rows import TUNED
from .footnotes import Footnotes
from .labels import TUNED_NOTE
from .numbers import estimate_text, is_cut
from .ranges import ANYTHING, CUT_NOTE, Limits
from .significance import half_width

LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"±": r"$\pm$", "≤": r"$\le$", "∞": r"$\infty$", "↓": r"$\downarrow$", "↑": r"$\uparrow$"}
    | {"†": r"$^\dagger$"}
    | {own: f"$^{{{at}}}$" for at, own in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
    | {"≥": r"$\ge$", "→": r"$\to$", "≈": r"$\approx$", "<": "$<$", ">": "$>$", "|": "$|$"}
)
SOME_SEEDS = re.compile("[1-9]")  # What the count of seeds with a value begins with.
FEW_NOTE = "k/n in brackets: k of n seeds have a value."


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: What is shown, without marks.
        value: The mean over seeds, where the cell is a number.
        half_width: The half-width of the mean's 95 % interval.
        seeds: The count of seeds, such as ``3`` or ``2/3``.
        mark: ``best``, ``tie`` or empty.
        warnings: What is to be known of the number; the table shows them as footnotes.
        cut: Whether the interval is shown by its ends, of which one is the score's limit.
    """

    text: str = ""
    value: float | None = None
    half_width: float | None = None
    seeds: str = ""
    mark: str = ""
    warnings: tuple[str, ...] = ()
    cut: bool = False


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
        """Returns each cell as CSV: mean, half-width of its interval, seeds, mark, warnings."""
        cells = [[line[at] for _, line in self.lines] for at in range(len(self.columns))]
        columns: list[list[object]] = [[self.corner, *(label for label, _ in self.lines)]]
        for (group, name), own in zip(self.columns, cells, strict=True):
            columns += _csv_columns(f"{group} {name}".strip(), own)
        return csv_text(list(zip(*columns, strict=True)))

    def as_markdown(self) -> str:
        """Returns the table as GitHub Markdown with title and caption."""
        import pandas as pd

        notes = self.footnotes
        names = self.headers(notes)
        cells = self.rendered(notes, _markdown_cell)
        data = [
            [markdown_text(line[0]), *own] for line, own in zip(self.lines, cells, strict=True)
        ]
        header = [markdown_text(name) for name in [self.corner, *names]]
        align = ("left", *("right" for _ in names))
        body = pd.DataFrame(data, columns=header).to_markdown(
            index=False, disable_numparse=True, colalign=align
        )
        caption = " ".join(markdown_text(sentence) for sentence in self.sentences(notes))
        return f"**{markdown_text(self.title)}**\n\n{body}\n\n{caption}\n"

    def as_latex(self) -> str:
        """Returns the table as a LaTeX float; it needs the packages booktabs and graphicx."""
        import pandas as pd

        notes = self.footnotes
        header = [
            (_latex(group), _latex(f"{name}{notes.header(at)}"))
            for at, (group, name) in enumerate(self.columns)
        ]
        frame = pd.DataFrame(
            self.rendered(notes, _latex_cell),
            index=pd.Index([_latex(label) for label, _ in self.lines]),
            columns=pd.MultiIndex.from_tuples(header),
        )
        return frame.style.to_latex(
            hrules=True,
            column_format="l" + "r" * len(header),
            multicol_align="c",
            position="tbp",
            position_float="centering",
            caption=_latex(" ".join([self.title + ".", *self.sentences(notes)])),
            label=f"tab:{self.name}",
        )

    def rendered(self, notes: Footnotes, render: Callable[[Cell, str], str]) -> list[list[str]]:
        """Returns each line's cells as text, given what makes text of a cell and its marks."""
        return [
            [render(cell, notes.cell(at, cell.warnings)) for at, cell in enumerate(cells)]
            for _, cells in self.lines
        ]

    def headers(self, notes: Footnotes) -> list[str]:
        """Returns each column's name with its marks, and its group where there are several."""
        several = len({group for group, _ in self.columns if group}) > 1
        names = [f"{group}: {n}" if several and group else n for group, n in self.columns]
        return [f"{name}{notes.header(at)}" for at, name in enumerate(names)]

    def sentences(self, notes: Footnotes) -> tuple[str, ...]:
        """Returns the caption, which says what a tuned line is where there is one."""
        tuned = (
            [TUNED_NOTE]
            if any(re.search(rf"\b{TUNED}\b", label) for label, _ in self.lines)
            else []
        )
        cut = any(cell.cut for _, cells in self.lines for cell in cells)
        cut_note = [CUT_NOTE] if cut else []
        few = any("/" in cell.seeds for _, cells in self.lines for cell in cells)
        few_note = [FEW_NOTE] if few else []
        return (*self.notes, *few_note, *cut_note, *tuned, *notes.sentences, *self.splits)

    @property
    def footnotes(self) -> Footnotes:
        """The warnings of all cells, each once."""
        columns = ([line[at] for _, line in self.lines] for at in range(len(self.columns)))
        return Footnotes(
            [c.warnings for c in column if c.warnings or SOME_SEEDS.match(c.seeds)]
            for column in columns
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


def seeds_cell(
    seeds: Mapping[int, float],
    expected: int,
    lost: str = "",
    mark: str = "",
    image_error: float | None = None,
    limits: Limits = ANYTHING,
) -> Cell:
    """Returns the cell of a score over seeds: mean ± half-width of its interval (count).

    Args:
        seeds: The score of each seed that has one.
        expected: How many seeds there should be.
        lost: Why some are missing, such as ``"1 diverged"``.
        mark: ``best``, ``tie`` or empty.
        image_error: Standard error of the mean over test images, where it is to be counted.
        limits: The least and the largest value that the score can have.
    """
    values = list(seeds.values())
    count = f"{len(values)}" if len(values) >= expected else f"{len(values)}/{expected}"
    shown = f"{count}, {lost}" if lost else count
    if not values:
        return Cell(f"- ({shown})", seeds=shown)
    mean = float(np.mean(values))
    half = half_width(values, image_error)
    text = estimate_text(mean, half, limits)
    return Cell(f"{text} ({shown})", mean, half, shown, mark, cut=is_cut(text))


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


def _csv_columns(name: str, cells: Sequence[Cell]) -> Iterator[list[object]]:
    texts = ["" if cell.text.startswith("-") else cell.text for cell in cells]
    values = [t if c.value is None else c.value for c, t in zip(cells, texts, strict=True)]
    yield [name, *values]
    if any(cell.seeds for cell in cells):
        yield [f"{name} half-width", *(cell.half_width for cell in cells)]
        yield [f"{name} seeds", *(cell.seeds for cell in cells)]
        yield [f"{name} mark", *(cell.mark for cell in cells)]
    if any(cell.warnings for cell in cells):
        yield [f"{name} warnings", *(" ".join(cell.warnings) for cell in cells)]


def _markdown_cell(cell: Cell, notes: str) -> str:
    text = markdown_text(cell.text)
    return {"best": f"**{text}**", "tie": f"*{text}*"}.get(cell.mark, text) + notes


def _latex(text: str) -> str:
    return " ".join(text.split()).translate(LATEX)


def _latex_cell(cell: Cell, notes: str) -> str:
    text = _latex(cell.text)
    marked = {"best": rf"\textbf{{{text}}}", "tie": rf"\textit{{{text}}}"}.get(cell.mark, text)
    return marked + notes.translate(LATEX)

"""Writes into the README what the committed results say: a finding, a picture, the headline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from aebench.bench.comparison.cells import OWN_DENSITY, WORSE_THAN_REAL
from aebench.bench.comparison.footnotes import UNTRUSTED
from aebench.bench.comparison.labels import FLOOR
from aebench.bench.comparison.table import Cell, Table
from aebench.bench.pages.families import headline_of, largest_study, study_folder
from aebench.bench.pages.found import short_text
from aebench.bench.pages.report import suite_folders
from aebench.bench.records.per_image import read_those_of
from aebench.bench.records.results import joined, read_results, records_of
from aebench.bench.tables.headline import SHOWN

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
COLUMNS = ("FD", "bits/dim", "CPU s", "GPU s")  # What the names of columns begin with.
KEPT_NOTES = ("Features:", "Steps:", "Bold:", "Italic:", "Likelihoods:", FLOOR)
LEFT_OUT = (SHOWN,)
LEGEND = (
    "FD: Fréchet distance to real images, of reconstructions (rec), of samples from the model's "
    "own density (own), and from a mixture of ten Gaussians fitted to its codes (GMM-10).",
    f"own: {OWN_DENSITY}.",
    "bits/dim: = exact, ≤ a bound, c completed after training.",
    "CPU s: seconds of one training.",
    "± half-width of the 95 % interval over seeds (count of seeds).",
)


def results_block(results: Path) -> str:
    """Returns what the largest comparison of families found, its picture and its table.

    Args:
        results: A folder of results of suites.
    """
    found = {folder: read_results(folder).rows for folder in suite_folders(results)}
    rows = joined(found.values())
    study = largest_study(rows)
    if study is None:
        return ""
    folder = study_folder(study, found)
    tables = headline_of(rows)
    home = f"{results.name}/{folder.name}"
    return "\n\n".join(
        [
            short_text(rows, read_those_of(found, records_of(rows))),
            f"![samples of each model](<{home}/plots/samples.png>)",
            *(in_short(table).as_markdown().rstrip() for table in tables),
            f"Left out here, but on [the study's page]({home}/README.md): "
            f"{', '.join(left_out(tables))}, further notes, tables and pictures.",
        ]
    )


def in_short(table: Table) -> Table:
    """Returns a headline with the columns that a newcomer needs."""
    kept = [at for at, (_, name) in enumerate(table.columns) if name.startswith(COLUMNS)]
    lines = [
        (label, tuple(without_notes(cells[at]) for at in kept))
        for label, cells in table.lines
        if label not in LEFT_OUT
    ]
    columns = tuple(table.columns[at] for at in kept)
    kept_notes = (note for note in table.notes if note.startswith(KEPT_NOTES))
    # Which columns have no marks, and why, the study's page says.
    notes = (*LEGEND, *kept_notes)
    return replace(table, columns=columns, lines=tuple(lines), notes=notes)


def left_out(tables: Iterable[Table]) -> list[str]:
    """Returns which columns and lines of headlines are left out."""
    names = [name.rstrip(" ↑↓") for table in tables for _, name in table.columns]
    gone = dict.fromkeys(name for name in names if not name.startswith(COLUMNS))
    told = {"outside": "parameters outside the backbone"}
    return [*(told.get(name, name) for name in gone), *LEFT_OUT]


def without_notes(cell: Cell) -> Cell:
    """Returns a cell that says of its number whether it is trusted, and what it loses to."""
    kept = (text for text in cell.warnings if text.startswith((UNTRUSTED, WORSE_THAN_REAL)))
    return replace(cell, warnings=tuple(kept))


def with_block(readme: str, block: str) -> str:
    """Returns the README with a block of results; as it is where there is none.

    Raises:
        ValueError: The README does not say where the results begin and end.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks '{BEGIN}' before '{END}'.")
    return f"{before}{begin}\n{block}\n{end}{after}" if block else readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    text = with_block(path.read_text(encoding="utf-8"), results_block(ROOT / "results"))
    path.write_text(text, encoding="utf-8")

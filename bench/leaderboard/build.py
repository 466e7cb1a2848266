"""The leaderboard: what the seeds allow to be said about ranks, over one or many suites."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..comparison.numbers import kept_digits
from ..comparison.table import Table
from ..figures.run_files import RunFiles
from ..figures.sheet import sheet_names
from ..figures.text_sheets import text_sheet_names
from ..files.csv_cells import csv_text
from ..files.storage import write_atomically
from ..pages.families import headline_of
from ..pages.found import found_paragraph
from ..records.per_image import read_those_of
from ..records.results import Rows, joined, read_results, records_of
from ..tables.boards import Entry, board_entries, board_tables
from .cards import models_of
from .page import leaderboard_html

PAGE = "leaderboard.html"
SHOWN = (
    *("dataset", "latent_dim", "score", "place", "rank", "objective"),
    *("sign", "mean", "half_width"),
    *("seeds", "kind", "model", "parameters_backbone", "parameters_outside"),
    *("compute_seconds", "suite", "protocol", "run", "sheet"),
)
# What a row's mean over seeds is then not of one method.
VERSIONS = (
    "its runs were trained by {count} versions of the training code; --rerun-stale trains the "
    "older ones again"
)


def build_leaderboard(directories: Sequence[Path], out: Path) -> list[Path]:
    """Writes leaderboard.csv, .md and .html over the results of one or many suites.

    Args:
        directories: Results folders of suites; a run that lies in two counts once, and
            the seeds of one method are pooled.
        out: Where the three files go.

    Returns:
        The files written.

    Raises:
        UserError: A folder does not exist or has no rows.
    """
    rows = {directory: read_results(directory).rows for directory in directories}
    whole = joined(rows.values())
    entries, headline = board_entries(whole), headline_of(whole)
    files = {directory: RunFiles(directory) for directory in directories}
    for entry, sheet in zip(entries, _sheets(entries, rows, out), strict=True):
        entry["sheet"] = sheet
    # Suites that compare all families of objectives come first.
    entries.sort(key=lambda entry: not str(entry["suite"]).startswith("families-"))
    # Of a run that lies in two folders, the first one's files count.
    folders = {str(run): files[d] for d in reversed(directories) for run in rows[d]["run"]}
    models = models_of(whole, folders)
    for entry in entries:
        if (count := models[entry["run"]].versions) > 1:
            entry["warnings"] = (*entry["warnings"], VERSIONS.format(count=count))
    paragraph = found_paragraph(whole, read_those_of(directories, records_of(whole)))
    page = leaderboard_html(whole, entries, models, headline, paragraph)
    contents = {
        "leaderboard.csv": _csv(entries),
        "leaderboard.md": _markdown(entries, headline),
        PAGE: page,
    }
    for name, content in contents.items():
        write_atomically(out / name, content)
    return [out / name for name in contents]


def _sheets(entries: Sequence[Entry], rows: Mapping[Path, Rows], out: Path) -> Iterator[str]:
    """Yields for each entry the path of the sheet of pictures that it stands on, or nothing."""
    sheets: dict[str, str] = {}
    for directory, found in rows.items():
        for run, stem in (sheet_names(found) | text_sheet_names(found)).items():
            sheet = directory / "plots" / f"{stem}.png"
            if sheet.is_file():
                sheets.setdefault(run, Path(os.path.relpath(sheet, out)).as_posix())
    return (sheets.get(entry["run"], "") for entry in entries)


def _csv(entries: Sequence[Entry]) -> str:
    lines = [[*SHOWN, "warnings"]]
    for entry in entries:
        mean, half = kept_digits(entry["mean"], entry["half_width"])
        kept = {**entry, "mean": mean, "half_width": half}
        lines.append([*(kept[name] for name in SHOWN), " ".join(entry["warnings"])])
    return csv_text(lines)


def _markdown(entries: Sequence[Entry], headline: Sequence[Table]) -> str:
    tables = [table.as_markdown() for table in headline]
    return "\n\n".join([*tables, *_boards_markdown(entries)]) + "\n"


def _boards_markdown(entries: Sequence[Entry]) -> Iterator[str]:
    sheets: dict[str, list[str]] = {}
    for entry in entries:
        sheets.setdefault(entry["board"], []).append(entry["sheet"])
    for table in board_tables(entries):
        links = [f"[{Path(s).stem}](<{s}>)" for s in dict.fromkeys(sheets[table.title]) if s]
        yield table.as_markdown() + (f"\nPictures: {' · '.join(links)}\n" if links else "")

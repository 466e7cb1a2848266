"""The leaderboard: what the seeds allow to be said about ranks, over one or many suites."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.html import as_html
from ..comparison.table import Table
from ..figures.run_files import RunFiles
from ..figures.sheet import run_strips, sheet_names
from ..figures.text_sheets import text_sheet_names
from ..files.storage import write_atomically
from ..records.results import csv_text, joined, read_results
from ..tables.boards import NOTES, Entry, board_entries, board_tables
from .families import headline_of

if TYPE_CHECKING:
    from PIL import Image

SHOWN = (
    *(
        "dataset",
        "latent_dim",
        "score",
        "place",
        "rank",
        "objective",
        "sign",
        "mean",
        "half_width",
    ),
    *("seeds", "kind", "model", "parameters_backbone", "parameters_outside"),
    *("compute_seconds", "suite", "protocol", "run", "sheet"),
)
SHEET_WIDTH = 900
SHEET_COLOURS = 64
_PAGE_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


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
    pictures: dict[str, str] = {}
    rest = entries
    for directory, found in rows.items():
        runs = set(found["run"])
        own = [entry for entry in rest if entry["run"] in runs]
        rest = [entry for entry in rest if entry["run"] not in runs]
        sheets = sheet_names(found) | text_sheet_names(found)
        _add_pictures(own, pictures, RunFiles(directory), sheets, out)
    # Suites that compare all families of objectives come first.
    entries.sort(key=lambda entry: not str(entry["suite"]).startswith("families-"))
    lines = [[*SHOWN, "warnings"]]
    lines += [[*(e[name] for name in SHOWN), " ".join(e["warnings"])] for e in entries]
    contents = {
        "leaderboard.csv": csv_text(lines),
        "leaderboard.md": "\n\n".join(
            [*(table.as_markdown() for table in headline), *_boards_markdown(entries)]
        )
        + "\n",
        "leaderboard.html": render_html(entries, pictures, headline),
    }
    for name, content in contents.items():
        write_atomically(out / name, content)
    return [out / name for name in contents]


def render_html(
    entries: Sequence[Entry], pictures: Mapping[str, str], headline: Sequence[Table] = ()
) -> str:
    """Returns the page: one file that asks the network for nothing and runs only its own code.

    Args:
        entries: What is listed.
        pictures: For each run that has pictures their data address.
        headline: Tables that stand first.
    """
    from jinja2 import Environment

    library, script = _asset("tabulator.min.js"), _asset("leaderboard.js")
    content = {"entries": list(entries), "pictures": dict(pictures)}
    data = json.dumps(content, allow_nan=False, sort_keys=True).translate(_PAGE_SAFE)
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in (library, script))
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"
    template = Environment(autoescape=True).from_string(_asset("leaderboard.html.j2"))
    return template.render(
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        titles=", ".join(sorted({str(entry["suite"]) for entry in entries})),
        headline=[as_html(table) for table in headline],
        notes=NOTES,
        library_style=_asset("tabulator_simple.min.css"),
        library=library,
        script=script,
        content=data,
    )


def run_picture(runs: RunFiles, run: str) -> str:
    """Returns a run's pictures as a data address: test, reconstruction and sample strips."""
    from PIL import Image

    strips = list(run_strips(runs.arrays(run), wide=8).values())[:3]
    if not strips:
        return ""
    width = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(s, ((0, 1), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips
    ]
    return _data_address(Image.fromarray(np.concatenate(padded)))


def sheet_picture(path: Path) -> str:
    """Returns a suite's picture sheet as a data address, made smaller in size and colours."""
    from PIL import Image

    with Image.open(path) as sheet:
        small = sheet.convert("RGB")
    small.thumbnail((SHEET_WIDTH, 10 * SHEET_WIDTH))
    return _data_address(small.quantize(SHEET_COLOURS))


def _data_address(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _add_pictures(
    entries: list[Entry],
    pictures: dict[str, str],
    runs: RunFiles,
    sheets: dict[str, str],
    out: Path,
) -> None:
    """Gives each entry the path of its sheet, and pictures: the run's own, else the sheet."""
    for entry in entries:
        run = entry["run"]
        sheet = runs.directory / "plots" / f"{sheets.get(run, '')}.png"
        shown = sheet.is_file()
        entry["sheet"] = Path(os.path.relpath(sheet, out)).as_posix() if shown else ""
        if run not in pictures and (picture := run_picture(runs, run)):
            pictures[run] = picture
        entry["picture"] = run if run in pictures else entry["sheet"]
        if shown and entry["picture"] == entry["sheet"] and entry["sheet"] not in pictures:
            pictures[entry["sheet"]] = sheet_picture(sheet)


def _boards_markdown(entries: Sequence[Entry]) -> Iterator[str]:
    sheets: dict[str, list[str]] = {}
    for entry in entries:
        sheets.setdefault(entry["board"], []).append(entry["sheet"])
    for table in board_tables(entries):
        links = [f"[{Path(s).stem}](<{s}>)" for s in dict.fromkeys(sheets[table.title]) if s]
        yield table.as_markdown() + (f"\nPictures: {' · '.join(links)}\n" if links else "")


def _asset(name: str) -> str:
    return (files("aebench.bench.pages") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

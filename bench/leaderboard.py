"""The leaderboard: what the seeds allow to be said about ranks, over one or many suites."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import Arrays
from .figures_sheet import run_strips, sheet_names
from .labels import ARROWS, metric_title, suite_title
from .protocol import FLOOR, IDENTITY, Column, columns_of, with_places
from .results import csv_text, read_results
from .significance import rank_intervals
from .storage import write_atomically
from .tables import Cell, Table, format_number
from .tables_wide import lost_text, method_order, seed_values

if TYPE_CHECKING:
    import pandas as pd

Entry = dict[str, Any]
SCORES = ("fd", "bits_per_dim", "prd_f8", "prd_f1/8")
SHOWN = (
    *("dataset", "latent_dim", "score", "place", "rank", "objective", "mean", "sd", "seeds"),
    *("kind", "model", "parameters_backbone", "parameters_outside", "train_seconds", "suite"),
    *("protocol", "run", "sheet"),
)
SHEET_WIDTH = 900
SHEET_COLOURS = 64
NOTES = (
    "A rank is an interval: an entry is ahead of another only where a paired test over at least "
    "five shared seeds, Holm-corrected within the board, separates them. With fewer seeds every "
    "entry may hold every rank.",
    "Nothing is ranked ahead of a lower bound on a likelihood, since the truth may be better.",
    "Entries are compared only with entries of the same board: same suite and scale, data set, "
    "backbone, score and protocol.",
)
_PAGE_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


def build_leaderboard(directories: Sequence[Path], out: Path) -> list[Path]:
    """Writes leaderboard.csv, .md and .html over the results of one or many suites.

    Args:
        directories: Results folders of suites; rows of the same run in two are taken once.
        out: Where the three files go.

    Returns:
        The files written.

    Raises:
        UserError: A folder does not exist or has no rows.
    """
    entries: list[Entry] = []
    pictures: dict[str, str] = {}
    for directory in directories:
        rows = read_results(directory).rows
        own = board_entries(rows)
        _add_pictures(own, pictures, Arrays(directory), sheet_names(rows), out)
        entries += own
    # Suites that compare all families of objectives come first.
    entries.sort(key=lambda entry: not str(entry["suite"]).startswith("families-"))
    lines = [SHOWN, *([entry[name] for name in SHOWN] for entry in entries)]
    contents = {
        "leaderboard.csv": csv_text(lines),
        "leaderboard.md": "\n\n".join(_boards_markdown(entries)) + "\n",
        "leaderboard.html": render_html(entries, pictures),
    }
    for name, content in contents.items():
        write_atomically(out / name, content)
    return [out / name for name in contents]


def board_entries(rows: pd.DataFrame) -> list[Entry]:
    """Returns one entry for each method on each board, best rank first.

    A board is a column of comparable rows: suite, scale, data set, backbone, score and protocol.
    """
    entries: list[Entry] = []
    for (suite, scale), part in rows.groupby(["suite", "scale"], sort=True):
        placed = with_places(part[part["objective"] != FLOOR])
        placed.loc[placed["metric"] == "bits_per_dim", "place"] = "bits/dim"
        board = placed["images"].isin(["reconstruction", "sample", "interpolation"])
        board |= placed["metric"] == "bits_per_dim"
        for metric in SCORES:
            for _, own in placed[board & (placed["metric"] == metric)].groupby("latent_dim"):
                for column in columns_of(own)[0]:
                    title = suite_title({"suite": suite, "scale": scale})
                    entries += _column_entries(column, title)
    return entries


def board_tables(entries: Sequence[Entry]) -> list[Table]:
    """Returns a table for each board."""
    header = (
        "objective",
        "mean ± sd (seeds)",
        "kind",
        "model",
        "parameters",
        "outside",
        "train s",
    )
    tables = []
    for board in dict.fromkeys(entry["board"] for entry in entries):
        own = [entry for entry in entries if entry["board"] == board]
        lines = tuple((entry["rank"], _board_cells(entry)) for entry in own)
        columns = tuple(("", name) for name in header)
        notes = (f"Protocol: {own[0]['protocol']}.", NOTES[0])
        tables.append(Table("leaderboard", board, notes, "rank", columns, lines))
    return tables


def render_html(entries: Sequence[Entry], pictures: Mapping[str, str]) -> str:
    """Returns the page: one file that asks the network for nothing and runs only its own code.

    Args:
        entries: What is listed.
        pictures: For each run that has pictures their data address.
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
        notes=NOTES,
        library_style=_asset("tabulator_simple.min.css"),
        library=library,
        script=script,
        content=data,
    )


def run_picture(arrays: Arrays, run: str) -> str:
    """Returns a run's pictures as a data address: test, reconstruction and sample strips."""
    from io import BytesIO

    from PIL import Image

    strips = list(run_strips(arrays.of(run), wide=8).values())[:3]
    if not strips:
        return ""
    width = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(s, ((0, 1), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips
    ]
    stream = BytesIO()
    Image.fromarray(np.concatenate(padded)).save(stream, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def sheet_picture(path: Path) -> str:
    """Returns a suite's picture sheet as a data address, made smaller in size and colours."""
    from io import BytesIO

    from PIL import Image

    with Image.open(path) as sheet:
        small = sheet.convert("RGB")
    small.thumbnail((SHEET_WIDTH, 10 * SHEET_WIDTH))
    stream = BytesIO()
    small.quantize(SHEET_COLOURS).save(stream, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _add_pictures(
    entries: list[Entry],
    pictures: dict[str, str],
    arrays: Arrays,
    sheets: dict[str, str],
    out: Path,
) -> None:
    """Gives each entry the path of its sheet, and pictures: the run's own, else the sheet."""
    for entry in entries:
        run = entry["run"]
        sheet = arrays.directory / "plots" / f"{sheets.get(run, '')}.png"
        shown = sheet.is_file()
        entry["sheet"] = Path(os.path.relpath(sheet, out)).as_posix() if shown else ""
        if run not in pictures and (picture := run_picture(arrays, run)):
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


def _column_entries(column: Column, suite: str) -> list[Entry]:
    rows = column.rows
    first = rows.iloc[0]
    if first["kind"]:
        rows = rows.assign(method=rows["method"] + _density_text(rows))
    bounds = set(rows.loc[rows["kind"] == "lower bound", "method"])
    groups = {str(name): own for name, own in rows.groupby("method", sort=False)}
    seeds = {name: seed_values(own) for name, own in groups.items()}
    ranks = rank_intervals(seeds, str(first["better"]), bounds)
    identity = [
        f"{name}={first[name]}" for name in IDENTITY if str(first[name]) not in ("", "<NA>")
    ]
    arrow = ARROWS.get(str(first["better"]), "")
    score = f"{metric_title(str(first['metric']))} {arrow}".strip()
    shared = {
        "board": f"{column.group}, d = {first['latent_dim']}: {score}, {column.place} · {suite}",
        "dataset": str(first["dataset"]),
        "latent_dim": int(first["latent_dim"]),
        "score": score,
        "place": column.place,
        "suite": suite,
        "protocol": ", ".join([*identity, f"backbone={first['backbone']}"]),
    }
    entries = [
        {**shared, **_entry(groups[name], seeds[name], ranks.get(name), len(ranks))}
        for name in method_order(rows)
    ]
    return sorted(entries, key=lambda entry: (entry["rank_low"], entry["rank_high"]))


def _density_text(rows: pd.DataFrame) -> pd.Series[str]:
    return (" + " + rows["density"]).where(rows["density"] != "", "")


def _entry(
    rows: pd.DataFrame, seeds: dict[int, float], rank: tuple[int, int] | None, count: int
) -> Entry:
    first = rows.sort_values("seed", kind="stable").iloc[0]
    values = list(seeds.values())
    low, high = rank or (count + 1, count + 1)
    return {
        "objective": str(first["method"]),
        "rank": _rank_text(rank) if rank else lost_text(rows) or "-",
        "rank_low": low,
        "rank_high": high,
        "mean": float(f"{np.mean(values):.6g}") if values else None,
        "sd": float(f"{np.std(values, ddof=1):.3g}") if len(values) > 1 else None,
        "seeds": len(values),
        "kind": str(first["kind"]),
        "model": str(first["model"]),
        "parameters_backbone": int(first["parameters_backbone"]),
        "parameters_outside": int(first["parameters_outside"]),
        "train_seconds": round(float(rows["train_seconds"].mean()), 1),
        "run": str(first["run"]),
    }


def _rank_text(rank: tuple[int, int]) -> str:
    return f"{rank[0]}" if rank[0] == rank[1] else f"{rank[0]} to {rank[1]}"


def _board_cells(entry: Entry) -> tuple[Cell, ...]:
    spread = f" ± {format_number(entry['sd'], like=entry['mean'])}" if entry["sd"] else ""
    mean = "-" if entry["mean"] is None else format_number(entry["mean"])
    texts = (
        entry["objective"],
        f"{mean}{spread} ({entry['seeds']})",
        entry["kind"],
        entry["model"],
    )
    numbers = (entry["parameters_backbone"], entry["parameters_outside"], entry["train_seconds"])
    return (*(Cell(text) for text in texts), *(Cell(f"{n:,}", float(n)) for n in numbers))


def _asset(name: str) -> str:
    return (files("aebench.bench") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

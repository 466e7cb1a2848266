"""A report from result rows alone: tables, plots and a page that opens with what they say."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..comparison.columns import with_places, without_floor
from ..comparison.gains import Arrays
from ..comparison.labels import suite_titles, variant_text
from ..comparison.steps import SHORTER, by_steps
from ..comparison.table import TABLES, Table, write_table
from ..errors import UserError
from ..figures.all import write_figures
from ..figures.run_files import RunFiles
from ..files.storage import write_atomically
from ..files.written import read_list, update_list
from ..records.per_image import gather_per_image, read_per_image
from ..records.results import (
    Results,
    Rows,
    checksum,
    has_results,
    read_results,
    records_of,
    write_results,
)
from ..records.trainings import write_trainings
from ..suites.trials import PAGE
from ..tables.best_strings import BEST, best_string_tables
from ..tables.gains import gain_tables
from ..tables.headline import HEADLINE
from ..tables.precision import precision_tables
from ..tables.published import published_tables
from ..tables.strings import CANDIDATES, CODES, SAMPLES
from .aef import anchor_paragraph
from .cards import CARDS, write_cards
from .claims import findings, reading
from .effects import CLAIMS, Finding, claims_table
from .found import found_paragraph
from .protocol import suite_paragraphs
from .staleness import staleness

# Pictures that stand at the top of a page.
FIRST = ("samples", "steps", "cost", "best")
# Tables that a page shows, by what their names begin with.
MAIN = ("fd", "bits_per_dim", CANDIDATES, BEST, SAMPLES, CODES)


def build_report(directory: Path, *, cards: bool = False) -> list[Path]:
    """Writes results.csv, tables/, plots/ and README.md of a results folder.

    Tables, plots and cards that a former report wrote, and that the rows no longer give, go.

    Args:
        directory: The results folder; rows come from its runs and its results.csv.
        cards: Whether to write cards/, a card of each model; those there are kept up to date.

    Returns:
        The files written.

    Raises:
        UserError: There is no such folder, or no row in it.
    """
    results = read_results(directory)
    warnings = list(results.warnings)
    runs = RunFiles(directory, results.origins)
    arrays = read_per_image(directory)
    written = _gather(directory, results, runs, arrays)
    if not results.table_is_sound:
        warnings.append("results.csv was left as it is, since some of its rows cannot be used.")
    tables, notes = all_tables(results.rows, arrays)
    tables += best_string_tables(results.rows, runs.arrays)
    judged = findings(results.rows, arrays)
    tables += [claims_table(judged)] if judged else []
    made = [path for table in tables for path in write_table(directory / "tables", table)]
    plots = write_figures(results.rows, runs, directory / "plots")
    made += plots
    # Folders of before arrays were committed: without runs the pictures there are the newest.
    if not (directory / "runs").is_dir() and not runs.figures.committed:
        plots += sorted(set(directory.glob("plots/*.png")) - set(plots))
        made += [directory / name for name in read_list(directory) if name.startswith("plots/")]
    warnings += notes + list(dict.fromkeys(runs.warnings)) + missing_runs(results.rows)
    warnings += staleness(directory, results.rows, runs)
    shown = write_cards(directory, results.rows) if cards or (directory / CARDS).is_dir() else []
    opening = (found_paragraph(results.rows, arrays), anchor_paragraph(results.rows, arrays))
    found = "\n\n".join(filter(None, opening))
    tuning = [PAGE] if (directory / PAGE).is_file() else []
    page = render_page(results, judged, tables, plots, warnings, shown, found, arrays, tuning)
    write_atomically(directory / "README.md", page)
    listed = update_list(directory, [*made, *shown])
    files = [*written, *made, *plots, *shown, directory / "README.md", listed]
    return list(dict.fromkeys(files))


def _gather(directory: Path, results: Results, runs: RunFiles, arrays: Arrays) -> list[Path]:
    """Writes all that a later report or run needs where the runs are gone."""
    names, sound = set(results.rows["run"]), results.table_is_sound
    # Arrays of rows that cannot be used stay until their owner has looked at the table.
    written = runs.figures.gather(names, keep=not sound)
    kept = names if sound else {key.run for key in arrays}
    written += gather_per_image(directory, kept, arrays)
    if sound:
        records = records_of(results.rows)
        sums = [checksum(record) for record in records]
        written += write_results(directory / "results.csv", results.rows, records, sums)
        of_run: dict[str, list[str]] = {}
        for record, own in zip(records, sums, strict=True):
            of_run.setdefault(record["run"], []).append(own)
        written += write_trainings(directory, of_run, runs.trainings, runs.figures, arrays)
    return written


def suite_folders(directory: Path) -> list[Path]:
    """Returns the folder itself if it holds results, else those of its folders that do."""
    if has_results(directory) or not directory.is_dir():
        return [directory]
    return sorted(path for path in directory.iterdir() if has_results(path)) or [directory]


def all_tables(rows: Rows, arrays: Arrays) -> tuple[list[Table], list[str]]:
    """Returns every table that the rows allow, and notes on columns that had to be split.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images.
    """
    if not len(without_floor(rows)):
        return [], []
    tables = [table for name, make in TABLES.items() for table in _checked(name, make(rows))]
    for make in (published_tables, precision_tables, gain_tables):
        tables += make(rows, arrays)
    return tables, list(dict.fromkeys(note for table in tables for note in table.splits))


def _checked(name: str, made: Any) -> list[Table]:  # noqa: ANN401
    """Returns the tables that one of the registered functions made.

    Raises:
        UserError: It made something else.
    """
    tables = list(made) if isinstance(made, Iterable) else [made]
    if odd := [table for table in tables if not isinstance(table, Table)]:
        raise UserError(f"Table '{name}' makes {reprlib.repr(odd[0])}; expected a list of Table.")
    return tables


def missing_runs(rows: Rows) -> list[str]:
    """Names lost seeds, which other methods of the same suite and size have, and failed scores."""
    found = []
    places = ["suite", "scale", "dataset", "latent_dim"]
    told: set[str] = set()
    for steps, some in by_steps(rows):
        some = some[~some["run"].isin(told)]  # The longest of a method stand in two tables.
        told |= set(some["run"])
        longer = f", {steps:,} steps" if steps else ""
        for (suite, scale, dataset, size), part in without_floor(with_places(some)).groupby(
            places
        ):
            seeds = set(part["seed"].tolist())
            known: dict[str, set[int]] = {}
            for method, seed in zip(part["method"].tolist(), part["seed"].tolist(), strict=True):
                known.setdefault(method, set()).add(seed)
            for method in sorted(known):
                lost = sorted(seeds - known[method])
                if lost:
                    where = f"{suite} ({scale}), {dataset}, d = {size}{longer}"
                    found.append(f"{where}: '{method}' has no run of seeds {lost}.")
    trained = without_floor(with_places(rows))
    for status in ("diverged", "failed"):
        bad = trained[trained["status"] == status]
        for (_, _, run, reason), own in bad.groupby(["method", "seed", "run", "reason"]):
            row = own.iloc[0]
            scores = f"{', '.join(sorted(set(own['metric'])))} " if status == "failed" else ""
            name = f"'{row['method']}' (seed {row['seed']}, run {str(run)[:12]})"
            found.append(f"{name}: {scores}{status}: {reason}")
    return found


def render_page(
    results: Results,
    judged: Sequence[Finding],
    tables: list[Table],
    plots: Iterable[Path],
    warnings: list[str],
    cards: Iterable[Path],
    found: str,
    arrays: Arrays,
    tuning: Sequence[str],
) -> str:
    """Returns the report's page in Markdown; it opens with what was found."""
    rows = results.rows
    claims = [table for table in tables if table.name == CLAIMS]
    first, headlines = main_tables(tables), headlines_of(tables)
    pictures = sorted(path.name for path in plots if path.suffix == ".png")
    shown = [name for stem in FIRST for name in pictures if name.startswith(stem)]
    sheets = [name for name in pictures if name.startswith("sheet")]
    missing = f"## What is missing or was left out\n\n{_bullets(warnings)}" if warnings else ""
    parts = [
        f"# {_text(', '.join(suite_titles(rows)))}",
        _text(found),
        *(table.as_markdown().rstrip() for table in headlines),
        *(f"![{Path(name).stem}](plots/{name})" for name in shown),
        *map(_text, suite_paragraphs(rows)),
        _text(reading(rows, judged, arrays)),
        *(table.as_markdown().rstrip() for table in [*first, *claims]),
        *(f"![{Path(name).stem}](plots/{name})" for name in sheets),
        _links("Tables", [f"tables/{table.name}.md" for table in tables]),
        _links("Plots", [f"plots/{n}" for n in pictures if n not in (*sheets, *shown)]),
        _links("Trials of settings", tuning),
        _links("Model cards", [f"{CARDS}/{path.name}" for path in cards]),
        missing,
        "## Provenance\n\n" + provenance_block(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def headlines_of(tables: Iterable[Table]) -> list[Table]:
    """Returns the tables that say most in the fewest lines."""
    return [table for table in tables if table.name.startswith(HEADLINE)]


def main_tables(tables: Sequence[Table]) -> list[Table]:
    """Returns the tables that a page shows, those of the longest trainings."""
    main = [table for table in tables if SHORTER not in table.name]
    found = [table for name in MAIN for table in main if table.name.startswith(name)]
    return found or [table for table in main if not table.name.startswith(HEADLINE)][:1]


def provenance_block(rows: Rows) -> str:
    """Returns suite, scale, digest of the run list, commits, versions, devices and dates."""
    trained = without_floor(rows)
    trained = trained if len(trained) else rows
    runs = sorted(set(trained["run"]))
    dates = sorted(date for date in rows["date"] if date)
    facts = {
        "suite": _values(rows["suite"]),
        "scale": _values(rows["scale"]),
        "runs": f"{len(runs)}, digest of the list `{checksum(runs)[:16]}`",
        "training steps": _values(trained["steps"].astype(str)),
        "selection": _values(trained["selection"]),
        "backbones": _values(trained["backbone"] + " #" + trained["backbone_hash"].str[:12]),
        "features": _values(rows["features"]),
        "commits": _values(rows["commit"]),
        "devices": _values(rows["device"]),
        "versions": "; ".join(map(variant_text, sorted(set(rows["versions"])))),
        "dates": f"{dates[0]} to {dates[-1]}" if dates else "",
    }
    return _bullets(f"{name}: {value}" for name, value in facts.items() if value)


def _values(column: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in sorted(set(column)) if value)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_text(' '.join(line.split()))}" for line in lines)


def _text(text: str) -> str:
    return text.replace("<", "\\<")  # A name must not become an element of the page.


def _links(heading: str, paths: Sequence[str]) -> str:
    links = [f"[{Path(path).stem}]({path})" for path in paths]
    return f"{heading}: {' · '.join(links)}" if links else ""

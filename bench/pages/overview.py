"""The page of a folder of results: what was run on what hardware, and what the rows say of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..comparison.columns import with_places, without_floor
from ..comparison.labels import settings_of, suite_titles
from ..comparison.scored import compute_seconds, scores_in
from ..comparison.steps import longest
from ..files.storage import write_atomically
from ..records.per_image import read_per_image, read_those_of
from ..records.results import Rows, joined, read_results, records_of
from ..suites.suite_files import suite_names
from .claims import MEANINGS, extent, findings, seeds_range
from .effect_words import claim_verdict
from .families import headline_of, largest_study, study_folder
from .found import found_paragraph
from .protocol import training_text
from .report import FIRST

HEADERS = ("suite", "runs", "objectives", "seeds", "compute hours", "device", "torch", "commits")
PAPERS = (
    "The RAE paper (Ghosh et al., ICLR 2020) makes seven claims that rows can speak to, the AEF "
    "paper (Silvestri et al., ICLR 2023) two:"
)
VERDICTS = (
    "What each suite says of them, computed from its rows. A claim is contradicted where one of "
    "its comparisons is, and supported where all are. Where comparisons at default and at tuned "
    "settings differ in it, both are told. A suite's page shows every comparison with its "
    "interval."
)


def build_overview(directories: Sequence[Path], out: Path) -> list[Path]:
    """Writes README.md over the results of many suites.

    Args:
        directories: Results folders of suites, inside ``out`` or elsewhere.
        out: Where the page goes.

    Returns:
        The file written.

    Raises:
        UserError: A folder does not exist or has no rows.
    """
    found = [(directory, read_results(directory).rows) for directory in directories]
    claims = "\n".join(f"- {claim}: {meaning}." for claim, meaning in MEANINGS.items())
    parts = [
        "# Results",
        *_opening(dict(found), out),
        _table(HEADERS, [_line(rows) for _, rows in found]),
        PAPERS,
        claims,
    ]
    parts += [
        VERDICTS,
        _table(("suite", *MEANINGS, "training"), [_verdicts(*own) for own in found]),
    ]
    for directory, rows in found:
        title = ", ".join(suite_titles(rows))
        link = f"[{title}]({directory.name}/README.md)" if directory.parent == out else title
        parts += [f"## {link}", extent(rows)]
    ran = {name for _, rows in found for name in rows["suite"]}
    missing = [f"`{name}`" for name in suite_names() if name not in ran]
    if missing:
        parts.append("## Not run here\n\n" + ", ".join(missing) + ".")
    path = out / "README.md"
    write_atomically(path, "\n\n".join(parts) + "\n")
    return [path]


def _opening(found: Mapping[Path, Rows], out: Path) -> list[str]:
    """Returns what the largest comparison of families found, its headline and its pictures."""
    rows = joined(found.values())
    study = largest_study(rows)
    if study is None:
        return []
    folder = study_folder(study, found)
    pictures = [folder / "plots" / f"{name}.png" for name in FIRST]
    parts = [found_paragraph(rows, read_those_of(found, records_of(rows)))]
    parts += [table.as_markdown().rstrip() for table in headline_of(rows)]
    for path in pictures:
        if path.is_file():
            link = Path(os.path.relpath(path, out)).as_posix()
            parts.append(f"![{path.stem}](<{link}>)")
    return [part for part in parts if part]


def _line(rows: Rows) -> tuple[str, ...]:
    trained = without_floor(rows)
    runs = trained.drop_duplicates("run")
    torch = sorted({str(settings_of(text).get("torch", "")) for text in runs["versions"]} - {""})
    return (
        ", ".join(suite_titles(rows)),
        str(len(runs)),
        str(trained["objective"].nunique()),
        seeds_range(with_places(trained)).partition(" seed")[0],
        _hours(runs),
        ", ".join(sorted(set(runs["device"]))),
        ", ".join(torch),
        ", ".join(sorted({f"`{commit}`" for commit in runs["commit"] if commit})),
    )


def _hours(runs: Rows) -> str:
    """Returns the compute hours of all runs, for each device where there are several."""
    own = {str(device): same for device, same in runs.groupby("device", sort=True)}
    means = {device: compute_seconds(scores_in(same)) for device, same in own.items()}
    hours = {
        device: "-" if seconds is None else f"{seconds * len(own[device]) / 3600:.2f}"
        for device, seconds in means.items()
    }
    if len(hours) < 2:
        return "".join(hours.values()) or "-"
    return ", ".join(f"{count} on {device}" for device, count in hours.items())


def _verdicts(directory: Path, rows: Rows) -> tuple[str, ...]:
    found = findings(rows, read_per_image(directory))
    own = {claim: [f for f in found if f.effect.claim == claim] for claim in MEANINGS}
    cells = (claim_verdict(judged) if judged else "-" for judged in own.values())
    return ", ".join(suite_titles(rows)), *cells, training_text(longest(rows))


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))

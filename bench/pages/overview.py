"""The page of a folder of results: what was run on what hardware, and what the rows say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison.columns import without_floor
from ..comparison.labels import settings_of, suite_titles
from ..files.storage import write_atomically
from ..records.results import read_results
from ..suites.suite_files import suite_names
from .claims import reading

if TYPE_CHECKING:
    import pandas as pd

HEADERS = ("suite", "runs", "objectives", "seeds", "training hours", "device", "torch", "commits")
CLAIMS = (
    "Claims (i) to (v) are those of the RAE paper (Ghosh et al., ICLR 2020): (i) a mixture of ten "
    "Gaussians fitted to the codes gives better samples than one Gaussian or the prior; (ii) the "
    "best samples are those of a RAE variant with the mixture; (iii) a plain autoencoder with the "
    "mixture comes close; (iv) RAE interpolations are better than those of VAEs; (v) more "
    "Monte-Carlo samples improve a VAE's reconstructions. That of the AEF paper (Silvestri et "
    "al., ICLR 2023): a strikingly higher log-likelihood than architecturally identical VAEs."
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
    lines = [_line(rows) for _, rows in found]
    table = [HEADERS, ("---",) * len(HEADERS), *lines]
    parts = ["# Results", CLAIMS, "\n".join(f"| {' | '.join(line)} |" for line in table)]
    for directory, rows in found:
        link = (
            f"[{suite_titles(rows)}]({directory.name}/README.md)"
            if directory.parent == out
            else ""
        )
        parts += [f"## {link or suite_titles(rows)}", reading(rows)]
    ran = {name for _, rows in found for name in rows["suite"]}
    missing = [f"`{name}`" for name in suite_names() if name not in ran]
    if missing:
        parts.append("## Not run here\n\n" + ", ".join(missing) + ".")
    path = out / "README.md"
    write_atomically(path, "\n\n".join(parts) + "\n")
    return [path]


def _line(rows: pd.DataFrame) -> tuple[str, ...]:
    trained = without_floor(rows)
    runs = trained.drop_duplicates("run")
    torch = sorted({str(settings_of(text).get("torch", "")) for text in runs["versions"]} - {""})
    return (
        suite_titles(rows),
        str(len(runs)),
        str(trained["objective"].nunique()),
        str(trained["seed"].nunique()),
        f"{runs['train_seconds'].sum() / 3600:.2f}",
        ", ".join(sorted(set(runs["device"]))),
        ", ".join(torch),
        ", ".join(sorted({f"`{commit}`" for commit in runs["commit"] if commit})),
    )

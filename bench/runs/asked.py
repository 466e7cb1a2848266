"""Which runs a results folder was asked for: what its directories cannot say of runs to come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.storage import canonical_json, write_atomically
from ..records.results import checksum

if TYPE_CHECKING:
    from ..suites.config import Config

SCHEMA = 1
FOLDER = "asked"


@dataclass(frozen=True)
class Asked:
    """A run that was asked for: its name in progress and errors, and its count of steps."""

    label: str
    steps: int


def write_asked(out: Path, configs: Iterable[Config]) -> Path:
    """Leaves the list of a command's runs in the results folder.

    Its content names the file, so that machines that share a folder neither wait for one another
    nor overwrite what another one wrote; the same list is written once.

    Args:
        out: The results folder.
        configs: All runs of the suite, those of other shards included.

    Returns:
        The file.

    Raises:
        OSError: The folder cannot be written or the disk is full.
    """
    runs = {config.digest: [config.label, config.training.steps] for config in configs}
    path = out / FOLDER / f"{checksum(runs)[:16]}.json"
    if not path.is_file():
        write_atomically(path, canonical_json({"schema": SCHEMA, "runs": runs}) + "\n")
    return path


def read_asked(out: Path) -> tuple[dict[str, Asked], list[str]]:
    """Returns the runs of all lists in a results folder, and a line for each that is damaged."""
    found: dict[str, Asked] = {}
    warnings: list[str] = []
    for path in sorted((out / FOLDER).glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            runs = document["runs"]
            if document["schema"] != SCHEMA or path.stem != checksum(runs)[:16]:
                raise ValueError("of another version, or edited")
            found |= {run: Asked(str(label), int(steps)) for run, (label, steps) in runs.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            warnings.append(
                f"'{path}' is no whole list of runs ({error}); remove it, and `aebench run` "
                "writes it again."
            )
    return found, warnings

"""What each run's rows were made from: code, data, networks, weights, and how they were scored.

A results folder commits this record beside its rows, so that a run whose directory is gone can
still be told to be the one that is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files.storage import canonical_json, write_atomically
from .encoding import NAME, Origin, Record, checksum
from .figure_file import FigureFile, figures_digest, read_object
from .per_image import PerImage, ScoreKey, by_run

Trainings = dict[str, Origin]  # By run.
COMMITTED = "trainings.json"
SCHEMA = 1
ROWS, ARRAYS = "rows_sha256", "arrays_sha256"  # What an entry says of the committed files.


def run_origin(
    description: Mapping[str, Any], evaluation: Mapping[str, Any], weights: str
) -> Origin:
    """Returns what the rows of a run are made from.

    Args:
        description: Suite, config, hyperparameters, and digests of the backbone's structure, of
            the data and of the training code.
        evaluation: The settings of the evaluation and the digest of its code; empty for a run
            that diverged.
        weights: Digest of the weights; empty for a run that diverged.
    """
    origin = {**description, "evaluation": evaluation, "weights": weights}
    return dict(json.loads(canonical_json(origin)))


def read_origin(run: Path) -> Origin:
    """Returns what the rows in a run's directory were made from, empty where that is not known.

    Runs of before it was kept say their settings in ``config.json``, and nothing of their rows.
    """
    found = read_object(run / "result.json").get("origin")
    return found if isinstance(found, dict) else read_object(run / "config.json")


def read_trainings(folder: Path, origins: Mapping[str, Origin] | None = None) -> Trainings:
    """Returns the record of each run of a results folder.

    What a run's own directory says takes the place of what ``trainings.json``, the committed
    file, says of the run.

    Args:
        folder: The results folder.
        origins: What `read_results` gives of the runs' own directories, where it was called
            before.

    Raises:
        UserError: The committed file is damaged.
    """
    found = read_committed(folder / COMMITTED)
    for run in sorted(folder.glob("runs/*")):
        if NAME.fullmatch(run.name) and (run.name not in found or (run / "result.json").is_file()):
            found[run.name] = (origins or {}).get(run.name) or read_origin(run)
    return {run: origin for run, origin in found.items() if origin}


def read_committed(path: Path) -> Trainings:
    """Returns the record in a committed file; nothing where there is none.

    Raises:
        UserError: The file is damaged or of another version.
    """
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema, runs = document["schema"], document["runs"]
        if schema == SCHEMA and document["checksum"] == checksum(runs):
            return {str(run): dict(origin) for run, origin in runs.items()}
        told = f"schema {schema}; expected {SCHEMA}" if schema != SCHEMA else "was edited"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        told = "half-written or not such a file"
    raise UserError(
        f"{path} is damaged ({told}); restore it, or remove it and `aebench report` where the "
        "runs are."
    )


def write_trainings(
    folder: Path,
    sums: Mapping[str, Iterable[str]],
    own: Trainings,
    figures: FigureFile,
    scores: Mapping[ScoreKey, PerImage],
) -> list[Path]:
    """Writes the record of the runs that have rows, with checksums of their rows and arrays.

    Args:
        folder: The results folder, its arrays gathered.
        sums: The checksums of the rows of its ``results.csv``, by run.
        own: What `read_trainings` gives of it.
        figures: The arrays of its runs.
        scores: The log-likelihoods of single images, what `read_per_image` gives.

    Returns:
        The file; empty where nothing is on record of any run.
    """
    known, scores_of = read_committed(folder / COMMITTED), by_run(scores)
    found: Trainings = {}
    for run, rows in sums.items():
        if run in own and own[run] != known.get(run):
            arrays = arrays_digest(run, figures, scores_of.get(run, {}))
            found[run] = {**own[run], ROWS: rows_digest(rows), ARRAYS: arrays}
        elif run in own:
            found[run] = own[run]
    return write_committed(folder / COMMITTED, found)


def write_committed(path: Path, found: Trainings) -> list[Path]:
    """Writes a record of trainings unless it is there already; an empty one is no file.

    Returns:
        The file, if there is one.
    """
    if not found:
        path.unlink(missing_ok=True)
        return []
    document = {"schema": SCHEMA, "runs": found, "checksum": checksum(found)}
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text)
    return [path]


def rows_by_run(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Returns rows by the run that they are of."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["run"], []).append(record)
    return found


def rows_digest(sums: Iterable[str]) -> str:
    """Returns a checksum of rows that does not depend on their order, from that of each."""
    return checksum(sorted(sums))


def arrays_digest(run: str, figures: FigureFile, scores: Mapping[ScoreKey, PerImage]) -> str:
    """Returns a checksum of all arrays of a run: those of figures and those of single images.

    Args:
        run: The run's name.
        figures: The figures of its folder.
        scores: The run's own log-likelihoods of single images.
    """
    digest = hashlib.sha256(figures_digest(figures.arrays(run)).encode())
    own = {canonical_json(key): score for key, score in scores.items()}
    for key, score in sorted(own.items()):
        digest.update(key.encode())
        for part in (score.images, score.values, score.upper):
            digest.update(b"-" if part is None else part.tobytes())
    return digest.hexdigest()

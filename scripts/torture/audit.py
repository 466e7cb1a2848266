"""What must hold of a results folder: after every kill, and when its commands are done."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.records.encoding import Record, checksum, decode_result
from aebench.bench.records.results import KEY, read_results, records_of
from aebench.bench.records.rows import COLUMNS

TIMES = ("date", "train_seconds", "compute_seconds")
LOCK = ".lock"
PART = ".part"


@dataclass
class Audit:
    """Counts of what was checked and what was wrong, over all folders.

    Attributes:
        files: Files read to their end and found whole.
        rows: Rows compared with those of the undisturbed run.
        lost: Rows that were there and are gone, or missing at the end.
        doubled: Rows that are there more than once.
        altered: Rows that differ from those of the undisturbed run.
        broken: Files that are not whole.
        leftovers: Files in a finished folder that an undisturbed run does not leave.
        troubles: A line for each of these.
    """

    files: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    broken: int = 0
    leftovers: int = 0
    troubles: list[str] = field(default_factory=list)


Rows = dict[tuple[Any, ...], Record]


def conclude(troubles: list[str], work: Path) -> int:
    """Returns the exit code: 1 where there were troubles, which are told and their folder kept."""
    sys.stderr.write("".join(f"{line}\n" for line in troubles[:50]))
    if troubles:
        sys.stderr.write(f"{len(troubles)} troubles; the folders are kept in {work}\n")
        return 1
    shutil.rmtree(work)
    return 0


def check_files(out: Path, audit: Audit) -> None:
    """Reads every file of a folder; those that a killed writer was at do not count."""
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        if path.suffix == PART or path.name == LOCK:
            continue
        audit.files += 1
        try:
            check_file(path)
        except Exception as error:  # Whatever a broken file makes of its reader.
            audit.broken += 1
            audit.troubles.append(f"{path} is not whole: {error!r:.200}")


def check_file(path: Path) -> None:
    """Reads a file to its end by its form.

    Raises:
        Exception: It is not whole; the kind depends on the form.
    """
    content = path.read_bytes()
    if path.name == "result.json":
        decode_result(content.decode())
    elif path.name == "evaluation.json":
        document = json.loads(content)
        if document.pop("checksum") != checksum(document):
            raise ValueError("its checksum differs")
    elif path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".jsonl":
        # The last line may have been cut by the kill: its length is kept in the saved state.
        [json.loads(line) for line in content.split(b"\n")[:-1]]
    elif path.suffix == ".safetensors" and "features" not in path.parts:
        load_checkpoint(path)
    elif path.suffix in _READERS:
        _READERS[path.suffix](content)
    elif not content:
        raise ValueError("it is empty")


def _read_npz(content: bytes) -> None:
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        [arrays[name] for name in arrays.files]


def _read_png(content: bytes) -> None:
    from PIL import Image

    Image.open(io.BytesIO(content)).load()


def _read_pdf(content: bytes) -> None:
    if not (content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")):
        raise ValueError("begin or end is missing")


def _read_csv(content: bytes) -> None:
    lines = list(csv.reader(io.StringIO(content.decode(), newline="")))
    if len({len(line) for line in lines}) != 1 or not content.endswith(b"\n"):
        raise ValueError("lines differ in length")


def _read_safetensors(content: bytes) -> None:
    from safetensors.numpy import load

    load(content)


_READERS = {
    ".npz": _read_npz,
    ".png": _read_png,
    ".pdf": _read_pdf,
    ".csv": _read_csv,
    ".safetensors": _read_safetensors,
}


def rows_of(out: Path, audit: Audit) -> Rows:
    """Returns the rows of a folder by what they are; doubled and unusable ones are troubles."""
    if not (list(out.glob("runs/*/result.json")) or (out / "results.csv").is_file()):
        return {}
    count_doubles(out, audit)
    read = read_results(out)
    unfinished = ": unfinished; `aebench run` goes on."
    told = [warning for warning in read.warnings if not warning.endswith(unfinished)]
    audit.broken += len(told)
    audit.troubles += told
    return {tuple(row[name] for name in KEY): _timeless(row) for row in records_of(read.rows)}


def count_doubles(out: Path, audit: Audit) -> None:
    """Counts rows that a file has twice, or two run folders."""
    records: list[Record] = []
    for path in out.glob("runs/*/result.json"):
        records += decode_result(path.read_text(encoding="utf-8"))[0]
    tables = [records]
    if (out / "results.csv").is_file():
        with (out / "results.csv").open(newline="", encoding="utf-8") as stream:
            tables.append([dict(line) for line in csv.DictReader(stream)])
    for table in tables:
        for key, count in Counter(tuple(row[name] for name in KEY) for row in table).items():
            if count > 1:
                audit.doubled += count - 1
                audit.troubles.append(f"{out} has {count} times the row {key}")


def compare(found: Rows, expected: Rows, before: Rows, audit: Audit, where: str) -> None:
    """Compares rows with those of the undisturbed run, and with what was there before."""
    for key, row in found.items():
        audit.rows += 1
        if expected.get(key) != row:
            audit.altered += 1
            audit.troubles.append(f"{where}: row {key} differs from the undisturbed run's")
    for key in before.keys() - found.keys():
        audit.lost += 1
        audit.troubles.append(f"{where}: row {key} is gone")


def compare_folders(out: Path, whole: Path, audit: Audit) -> None:
    """Compares a finished folder with the undisturbed one: files, logs, weights, arrays."""
    names, wanted = (_names(folder) for folder in (out, whole))
    for name in sorted(names - wanted):
        audit.leftovers += 1
        audit.troubles.append(f"{out / name} is left over")
    for name in sorted(wanted - names):
        audit.broken += 1
        audit.troubles.append(f"{out / name} is missing")
    for name in sorted(names & wanted):
        if not _same(out / name, whole / name):
            audit.altered += 1
            audit.troubles.append(f"{out / name} differs from the undisturbed run's")


def temporary_files(folder: Path) -> list[Path]:
    """Returns the temporary files in a folder."""
    return [p for p in folder.rglob("*") if p.suffix == PART]


def _same(path: Path, other: Path) -> bool:
    if path.name == "checkpoint.safetensors":
        tensors, expected = load_checkpoint(path)[0], load_checkpoint(other)[0]
        return tensors.keys() == expected.keys() and all(
            bool((value == expected[name]).all()) for name, value in tensors.items()
        )
    if path.name in ("log.jsonl", "arrays.npz", "samples.png"):
        return path.read_bytes() == other.read_bytes()
    return True


def _names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def _timeless(row: Record) -> Record:
    return {name: row[name] for name in COLUMNS if name not in TIMES}

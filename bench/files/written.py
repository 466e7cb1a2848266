"""The list of what a report wrote, so that the next one removes what it no longer writes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from .storage import write_atomically

LIST = "report.sha256"  # `sha256sum --check report.sha256` reads it.
LINE = re.compile(r"([0-9a-f]{64})  ((?:tables|plots|cards)/[^/\\]+)")


def update_list(directory: Path, written: Iterable[Path]) -> Path:
    """Removes what a former report wrote and this one did not, and lists what this one wrote.

    A file that was changed since is no longer the report's, and stays.

    Args:
        directory: The results folder.
        written: The tables, plots and cards of this report.

    Returns:
        The list.
    """
    names = {path.relative_to(directory).as_posix(): path for path in written if path.is_file()}
    for name, digest in read_list(directory).items():
        path = directory / name
        if name not in names and path.is_file() and _digest(path) == digest:
            path.unlink()
    lines = [f"{_digest(path)}  {name}\n" for name, path in sorted(names.items())]
    write_atomically(directory / LIST, "".join(lines))
    return directory / LIST


def read_list(directory: Path) -> dict[str, str]:
    """Returns the digest of each file that a former report wrote into tables, plots and cards."""
    try:
        text = (directory / LIST).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found = filter(None, map(LINE.fullmatch, text.splitlines()))
    return {match[2]: match[1] for match in found}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

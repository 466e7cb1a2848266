"""The files that runs left beside their rows: arrays, logs and settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files.arrays import read_arrays
from ..records.results import NAME
from .canvas import Array


@dataclass
class RunFiles:
    """The files of runs, read on demand; arrays and logs that cannot be read are named.

    Attributes:
        directory: The results folder with ``runs/``.
        warnings: One line for each file that could not be read.
    """

    directory: Path
    warnings: list[str] = field(default_factory=list)
    _known: dict[str, dict[str, Array]] = field(default_factory=dict)

    def path(self, run: str, name: str) -> Path | None:
        """Returns a file of a run if it is there; a run's name cannot lead out of ``runs/``."""
        path = self.directory / "runs" / run / name
        return path if NAME.fullmatch(run) and path.is_file() else None

    def arrays(self, run: str) -> dict[str, Array]:
        """Returns the arrays of a run, empty where it saved none."""
        if run not in self._known:
            self._known[run] = self._read_arrays(self.path(run, "arrays.npz"))
        return self._known[run]

    def log(self, run: str) -> list[dict[str, Any]]:
        """Returns the lines of a run's log that are whole."""
        path = self.path(run, "log.jsonl")
        lines: list[dict[str, Any]] = []
        for line in path.read_text("utf-8", "replace").splitlines() if path else ():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                self.warnings.append(f"'{path}' has a half-written line; it is left out.")
                continue
            if isinstance(entry, dict):
                lines.append(entry)
        return lines

    def record(self, run: str) -> dict[str, Any]:
        """Returns what a run's config.json says, empty where it cannot be read."""
        path = self.path(run, "config.json")
        try:
            found = json.loads(path.read_text("utf-8")) if path else {}
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _read_arrays(self, path: Path | None) -> dict[str, Array]:
        try:
            return read_arrays(path) if path else {}
        except UserError as error:
            self.warnings.append(f"{error} Its pictures are left out.")
            return {}

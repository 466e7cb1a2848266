"""What figures and pages know of runs beside their rows: arrays, training curves and settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ..records.compact import LOG, log_entries
from ..records.figure_file import FigureFile
from ..records.trainings import Origin, Trainings, read_trainings
from .canvas import Array


class RunFiles:
    """The compact arrays and the settings of runs, read on demand.

    They are the same whether a run's directory is here or its committed arrays alone: figures
    are drawn from what is committed.

    Args:
        directory: The results folder.
        origins: What `read_results` gives of the runs' own directories, where it was called
            before.

    Attributes:
        warnings: One line for each file of a run that could not be read.
    """

    def __init__(self, directory: Path, origins: Mapping[str, Origin] | None = None) -> None:
        self.directory, self._origins = directory, origins
        self.warnings: list[str] = []
        self.figures = FigureFile(directory, self.warnings)

    @cached_property
    def trainings(self) -> Trainings:
        """What is on record of each run's training."""
        return read_trainings(self.directory, self._origins)

    def arrays(self, run: str) -> dict[str, Array]:
        """Returns the arrays of a run, empty where it saved none."""
        return {n: a for n, a in self.figures.arrays(run).items() if not n.startswith(LOG)}

    def log(self, run: str) -> list[dict[str, Any]]:
        """Returns the lines of a run's log, thinned to what a plot shows."""
        return log_entries(self.figures.arrays(run))

    def record(self, run: str) -> dict[str, Any]:
        """Returns what is on record of a run's training, empty where nothing is."""
        return self.trainings.get(run, {})

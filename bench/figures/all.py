"""Every plot that the rows and saved arrays of a results folder allow."""

from __future__ import annotations

from pathlib import Path

from ..records.results import Rows
from .canvas import PLOTS, STYLE, save_figure
from .run_files import RunFiles


def write_figures(rows: Rows, runs: RunFiles, folder: Path) -> list[Path]:
    """Writes the plots and returns the files."""
    import matplotlib as mpl

    paths: list[Path] = []
    with mpl.rc_context(STYLE):
        for _, draw in PLOTS.items():
            for name, figure in draw(rows, runs):
                paths += save_figure(folder, name, figure)
    return paths

"""Every plot that the rows and saved arrays of a results folder allow."""

from __future__ import annotations

from pathlib import Path

from ..records.results import Rows
from .canvas import STYLE, save_figure
from .curves import prd_plots, training_plots
from .images import denoising_plots, grid_plots, latent_plots, neighbour_plots, temperature_plots
from .run_files import RunFiles
from .sheet import picture_sheets
from .sweep import latent_size_plots, setting_plots

PLOTS = (
    picture_sheets,
    prd_plots,
    latent_size_plots,
    setting_plots,
    neighbour_plots,
    latent_plots,
    grid_plots,
    temperature_plots,
    denoising_plots,
    training_plots,
)


def write_figures(rows: Rows, runs: RunFiles, folder: Path) -> list[Path]:
    """Writes the plots as PNG and PDF and returns the files."""
    import matplotlib as mpl

    paths: list[Path] = []
    with mpl.rc_context(STYLE):
        for draw in PLOTS:
            for name, figure in draw(rows, runs):
                paths += save_figure(folder, name, figure)
    return paths

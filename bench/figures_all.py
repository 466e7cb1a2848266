"""Every plot that the rows and saved arrays of a results folder allow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .figures import STYLE, Arrays
from .figures_sheet import picture_sheets

if TYPE_CHECKING:
    import pandas as pd


def write_figures(rows: pd.DataFrame, arrays: Arrays, folder: Path) -> list[Path]:
    """Writes the plots as PNG and PDF and returns the files."""
    import matplotlib as mpl

    paths: list[Path] = []
    with mpl.rc_context(STYLE):
        for draw in (picture_sheets,):
            paths += draw(rows, arrays, folder)
    return paths

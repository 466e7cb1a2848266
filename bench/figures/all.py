"""Every plot that the rows and saved arrays of a results folder allow."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..comparison.columns import is_reference, without_floor
from ..comparison.labels import part_title
from ..comparison.steps import longest
from ..errors import UserError
from ..records.results import Rows
from .canvas import PLOTS, STYLE, save_figure
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SETTINGS = 60  # Of one data set, network and latent size that plots can tell apart.
PART = ["suite", "scale", "dataset", "backbone", "latent_dim"]


def write_figures(rows: Rows, runs: RunFiles, folder: Path) -> list[Path]:
    """Writes the plots and returns the files; what is not drawn is among the runs' warnings."""
    import matplotlib as mpl

    paths: list[Path] = []
    shown, notes = drawable(rows)
    runs.warnings.extend(notes)
    if not len(without_floor(shown)):
        return paths
    with mpl.rc_context(STYLE):
        for plot, draw in PLOTS.items():
            for name, figure in _checked(plot, draw(shown, runs)):
                paths += save_figure(folder, name, figure)
    return paths


def _checked(plot: str, made: Any) -> Iterator[tuple[str, Figure]]:  # noqa: ANN401
    """Yields the figures that one of the registered functions makes, one by one.

    Raises:
        UserError: It makes something else.
    """
    from matplotlib.figure import Figure

    for each in made if isinstance(made, Iterable) else [made]:
        match each:
            case (str() as name, Figure() as figure):
                yield name, figure
            case _:
                raise UserError(
                    f"Plot '{plot}' makes {reprlib.repr(each)}; expected pairs of a file name "
                    "without ending and a figure."
                )


def drawable(rows: Rows) -> tuple[Rows, list[str]]:
    """Returns the rows that plots can show, and a sentence on each part that has too many.

    Args:
        rows: Result rows.
    """
    settings = longest(without_floor(rows)).groupby(PART)["recipe"].nunique()
    many = settings[settings > MOST_SETTINGS]
    if not len(many):
        return rows, []
    notes = [
        f"{part_title(row)}: no plots, since they show at most {MOST_SETTINGS} settings and there "
        f"are {row['recipe']:,}. The tables have all of them."
        for row in many.reset_index().to_dict("records")
    ]
    left_out = rows.set_index(PART).index.isin(many.index)
    return rows[is_reference(rows) | ~left_out].reset_index(drop=True), notes

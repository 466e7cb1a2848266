"""Scatter plots of data sets of two numbers: what was generated, over what is real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..comparison.labels import objective_order
from ..comparison.table import file_name
from ..records.results import Rows
from .canvas import PLOTS, Array, Plots, new_figure, title_above, wrapped
from .methods import one_run_each, parts_of
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

START = "vectors_"
SIZE = 2.1
MIDDLE, MARGIN = (0.005, 0.995), 0.15  # The real points shown, and the room around them.


@PLOTS.register("vectors")
def vector_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws vectors of two numbers (arrays ``vectors_<kind>``, (N, 2)) over ``vectors_real``."""
    for stem, title, own in parts_of(rows):
        found: dict[str, dict[str, Array]] = {}
        for row in one_run_each(own):
            saved = runs.arrays(str(row["run"]))
            flat = {n.removeprefix(START): a for n, a in saved.items() if n.startswith(START)}
            flat = {n: a for n, a in flat.items() if a.ndim == 2 and a.shape[1] == 2 and len(a)}
            if len(flat) > 1 and "real" in flat:
                found[str(row["method"])] = flat
        if found:
            yield file_name("vectors", stem), _figure(found, title)


def _figure(found: dict[str, dict[str, Array]], title: str) -> Figure:
    kinds = objective_order(kind for own in found.values() for kind in own if kind != "real")
    size = (0.8 + SIZE * len(kinds), 0.6 + SIZE * len(found))
    figure, axes = new_figure(*size, nrows=len(found), ncols=len(kinds))
    for line, (method, own) in zip(axes, found.items(), strict=True):
        for axis, kind in zip(line, kinds, strict=True):
            if kind in own:
                _draw(axis, own["real"], own[kind])
            else:
                axis.set_visible(False)
            axis.set_title(kind.replace("_", ", "))
        line[0].set_ylabel(f"{wrapped(method, SIZE)}\nx₂")
    for axis in axes[-1]:
        axis.set_xlabel("x₁")
    title_above(figure, f"Vectors · {title}\ngrey: real, colour: generated")
    return figure


def _draw(axis: Axes, real: Array, generated: Array) -> None:
    for points, colour in ((real, "0.6"), (generated, "#D55E00")):
        axis.scatter(points[:, 0], points[:, 1], c=colour, s=3, alpha=0.5, lw=0)
    low, high = np.quantile(real.astype(float), MIDDLE, axis=0)
    room = MARGIN * (high - low) + 1e-6
    axis.set(xlim=(low[0] - room[0], high[0] + room[0]))
    axis.set(ylim=(low[1] - room[1], high[1] + room[1]))

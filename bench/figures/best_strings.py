"""The best strings that searches found: expressions as curves, molecules as drawings."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...metrics.expressions import POINTS, TARGET, expression_values
from ...metrics.molecules import read_molecule
from ..comparison.cells import method_order
from ..comparison.parts import suite_parts
from ..comparison.strings import EXPRESSIONS, candidates_by_task, task_of
from ..comparison.table import file_name
from ..comparison.texts import best_texts
from ..records.results import Rows
from .canvas import (
    PLOTS,
    Array,
    Plots,
    hide_axis,
    label_width,
    new_figure,
    title_above,
    wrapped,
)
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Best = Mapping[str, list[tuple[float, str]]]  # Scores and strings by method.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-"},
    {"color": "#D55E00", "linestyle": "--"},
    {"color": "#009E73", "linestyle": "-."},
)
WIDE, HIGH = 5.0, 8.0  # Of the axes; strings are scored from -10 to 10.
DRAWING, BOND = (420, 300), 32  # Dots of a molecule, and of a bond where there is room.
NO_RDKIT = "strings, since rdkit is not installed"


@PLOTS.register("best")
def best_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws the best three strings of each method over all its searches (``best_bayesian``)."""
    for stem, title, dataset, found in _found(rows, runs):
        draw = _curves if task_of(dataset) == EXPRESSIONS else _molecules
        yield file_name("best", stem), draw(found, f"{dataset} · {title}")


def _found(rows: Rows, runs: RunFiles) -> Iterator[tuple[str, str, str, Best]]:
    for part in suite_parts(rows):
        tasks = list(candidates_by_task(part.rows))
        for dataset, own in tasks:
            best = {
                method: texts
                for method in method_order(own)
                if (texts := best_texts(own[own["method"] == method], runs.arrays))
            }
            if best:
                stem = file_name(part.suffix, dataset if len(tasks) > 1 else "")
                yield stem, part.title, dataset, best


def _curves(found: Best, title: str) -> Figure:
    """Returns a panel for each method, at most four side by side, and its legend under it."""
    columns = min(4, len(found))
    lines = -(-len(found) // columns)
    figure, axes = new_figure(
        *(0.4 + 2.5 * columns, 0.5 + 3.0 * lines),
        nrows=2 * lines,
        ncols=columns,
        height_ratios=[3.0, 1.0] * lines,
    )
    for axis in (*axes[1::2].flat, *axes[::2].flat[len(found) :]):
        hide_axis(axis)
    panels = zip(axes[::2].flat, axes[1::2].flat, found.items(), strict=False)
    for at, (axis, below, (method, texts)) in enumerate(panels):
        axis.plot(POINTS, TARGET, color="0.75", lw=2.5, label="1/3 + x + sin(x·x)")
        for (score, text), look in zip(texts, LOOKS, strict=False):
            axis.plot(POINTS, expression_values(text), lw=0.9, **look, label=_named(score, text))
        axis.set(xlim=(-WIDE, WIDE), ylim=(-HIGH, HIGH), xticks=(-4, -2, 0, 2, 4), xlabel="x")
        axis.set_yticks((-5, 0, 5))
        axis.set_title(wrapped(method, 2.2))
        if at % columns == 0:
            axis.set_ylabel("value")
        below.legend(*axis.get_legend_handles_labels(), loc="upper center", frameon=False)
    note = (
        "grey: the target; a score of 0 is the target itself, lower is better; shown is the "
        "middle half of what is scored"
    )
    title_above(figure, f"Best expressions · {title}\n{note}")
    return figure


def _named(score: float, text: str) -> str:
    return f"{score:.3f}  {text}"


def _molecules(found: Best, title: str) -> Figure:
    drawing = drawer()
    columns = max(map(len, found.values()))
    left = label_width(found)
    figure, axes = new_figure(
        left + 2.2 * columns, 0.6 + 1.75 * len(found), nrows=len(found), ncols=columns
    )
    for line, (method, texts) in zip(axes, found.items(), strict=True):
        for axis in line:
            hide_axis(axis)
        line[0].set_ylabel(wrapped(method, left), rotation=0, ha="right", va="center")
        for axis, (score, text) in zip(line, texts, strict=False):
            _draw_molecule(axis, text, drawing)
            axis.set_xlabel(f"{score:.2f}")
    note = "" if drawing else f"\n{NO_RDKIT}"
    about = "penalised logP under each molecule, higher is better"
    title_above(figure, f"Best molecules · {title}\n{about}{note}")
    return figure


def _draw_molecule(axis: Axes, text: str, drawing: Callable[[str], Array | None] | None) -> None:
    picture = drawing(text) if drawing else None
    if picture is not None:
        axis.imshow(picture, interpolation="bilinear")
        return
    lines = "\n".join(text[at : at + 30] for at in range(0, len(text), 30))
    axis.text(0.5, 0.5, lines, ha="center", va="center", family="monospace", fontsize=6)


def drawer() -> Callable[[str], Array | None] | None:
    """Returns what draws a SMILES as a picture (H, W, 3), none where rdkit is not installed."""
    try:
        from rdkit.Chem.Draw import rdMolDraw2D
    except ImportError:
        return None
    from PIL import Image

    def draw(smiles: str) -> Array | None:
        molecule = read_molecule(smiles)
        if molecule is None:
            return None
        canvas = rdMolDraw2D.MolDraw2DCairo(*DRAWING)
        options: Any = canvas.drawOptions()
        options.fixedBondLength = BOND
        rdMolDraw2D.PrepareAndDrawMolecule(canvas, molecule)
        canvas.FinishDrawing()
        with Image.open(io.BytesIO(canvas.GetDrawingText())) as image:
            return np.asarray(image.convert("RGB"))

    return draw

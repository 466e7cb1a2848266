"""Plots of the calibration study, from its summary alone; the sheet shows the damaged images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.labels import ARROWS, metric_short
from ..figures.canvas import (
    COLOURS,
    LINES,
    MARKERS,
    hide_axis,
    legend_below,
    new_figure,
    new_panels,
    save_figure,
    tile,
)
from .sets import LEVELS, PIXELWISE, UNDAMAGED, Damage, Pools
from .verdicts import FAMILY, pivot, threshold

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PICTURES = 14  # in a line of clean or damaged images
LIMIT = 30.0  # standard errors at which the colours end
BIASED = ("fd", "kid_full", "density", "coverage", "precision", "recall", "prd_f8", "prd_f1/8")


def draw_all(summary: pd.DataFrame, folder: Path) -> list[Path]:
    """Draws every plot that the scores allow and returns their files."""
    paths = []
    limit = threshold(summary)
    for n, own in summary.groupby("n"):
        paths += draw_separation(own, folder, f"separation-{n}", limit)
    for features, own in summary.groupby("features", sort=False):
        sets = own.groupby("n").size()
        most = sets[sets == sets.max()].index.max()
        paths += draw_response(own[own["n"] == most], folder, f"response-{features}")
    return paths + draw_sizes(summary, folder)


def draw_separation(rows: pd.DataFrame, folder: Path, name: str, limit: float) -> list[Path]:
    """Draws standard errors from the floor as a map: a row a score, a column a damaged set.

    Those within ``limit`` are grey.
    """
    damaged = rows[rows["kind"] != UNDAMAGED]
    table = pivot(damaged, "score", "set", "z")
    cells = table.to_numpy(float)
    figure, axes = new_figure(1.9 + 0.36 * cells.shape[1], 1.8 + 0.19 * cells.shape[0])
    axis = axes[0, 0]
    # Logarithmic on both sides of 0, so that 3 and 30 standard errors can be told apart.
    shown = np.sign(cells) * np.log1p(np.abs(np.clip(cells, -LIMIT, LIMIT)))
    edge = np.log1p(LIMIT)
    axis.imshow(shown, cmap="RdBu_r", vmin=-edge, vmax=edge, aspect="auto")
    for (row, column), z in np.ndenumerate(cells):
        text = "" if np.isnan(z) else f"{z:.0f}".replace("-0", "0")
        colour = "0.45" if abs(z) < limit else "white" if abs(z) > 12 else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    slanted = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(table.columns)), table.columns, **slanted)
    axis.set_yticks(range(len(table.index)), table.index)
    axis.grid(visible=False)
    axis.set_title(
        f"Standard errors from the floor, N = {rows['n'].iloc[0]:,}\n"
        f"red: worse than real images, blue: better; grey digits: below {limit:.1f}",
        fontsize=8,
    )
    return save_figure(folder, name, figure)


def draw_response(rows: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Draws every score over severity, a line for each kind of damage."""
    scores = [m for m in FAMILY if m in set(rows["metric"])]
    figure, axes = new_panels(len(scores), (0.0, 0.7), (2.375, 1.75))
    for axis, metric in zip(axes.flat, scores, strict=False):
        own = rows[rows["metric"] == metric]
        for at, kind in enumerate(LEVELS):
            line = own[own["kind"].isin([UNDAMAGED, kind])]
            _draw_line(axis, line, "severity", at, COLOURS[(2 * at + 1) % len(COLOURS)], kind)
        floor = own[own["kind"] == UNDAMAGED].iloc[0]
        axis.axhline(floor["value"], color="black", linewidth=0.6)
        if metric in ("fd", "fd_inf"):
            axis.set_yscale("log")
        axis.set_title(f"{metric_short(metric)} {ARROWS[floor['better']]}", fontsize=8)
        axis.set_xticks([0, 1, 2, 3], ["floor", "1", "2", "3"])
    features, n = rows[["features", "n"]].iloc[0]
    figure.suptitle(f"Scores over severity, {features}, N = {n:,}", fontsize=9)
    legend_below(figure, axes)
    return save_figure(folder, name, figure)


def draw_sizes(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Draws the floor and the mildest damage over the number of images."""
    from matplotlib.ticker import NullLocator

    rows = rows[
        (rows["severity"] <= 1) & rows["kind"].isin([UNDAMAGED, "blur", "noise", "dropped"])
    ]
    features = rows["features"].unique()
    scores = [m for m in BIASED if m in set(rows["metric"])]
    sizes = sorted(rows["n"].unique())
    if len(sizes) < 2 or not scores:
        return []
    figure, axes = new_figure(
        1.5 * len(scores), 0.7 + 1.7 * len(features), nrows=len(features), ncols=len(scores)
    )
    for (down, across), axis in np.ndenumerate(axes):
        own = rows[(rows["features"] == features[down]) & (rows["metric"] == scores[across])]
        for at, (label, line) in enumerate(own.groupby("set", sort=False)):
            colour = COLOURS[2 * at + 1] if at else "black"  # the floor comes first
            _draw_line(axis, line.sort_values("n"), "n", at, colour, str(label))
        axis.set_xscale("log")
        if scores[across] == "fd":
            axis.set_yscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(sizes, [f"{n / 1000:g}k" for n in sizes])
        axis.tick_params(labelsize=6)
        if down == 0:
            axis.set_title(metric_short(scores[across]), fontsize=8)
        if across == 0:
            axis.set_ylabel(features[down])
    figure.suptitle("The floor and the mildest damage over N", fontsize=9)
    legend_below(figure, axes)
    return save_figure(folder, "sizes", figure)


def draw_images(pools: Pools, folder: Path) -> list[Path]:
    """Draws the first clean images and the same under every pixel damage."""
    sets = [Damage(), *(Damage(kind, s) for kind in PIXELWISE for s in (1, 2, 3))]
    figure, axes = new_figure(0.42 * PICTURES + 1, 0.42 * len(sets) + 0.3, nrows=len(sets))
    for axis, damage in zip(axes[:, 0], sets, strict=True):
        axis.imshow(tile(pools.damage(damage, PICTURES)[:PICTURES].numpy(), PICTURES))
        hide_axis(axis)
        axis.set_ylabel(str(damage), rotation=0, ha="right", va="center")
    return save_figure(folder, "images", figure)


def _draw_line(
    axis: Axes, line: pd.DataFrame, over: str, at: int, colour: str, label: str
) -> None:
    """Draws values with their standard errors, none where there is none."""
    axis.errorbar(
        line[over],
        line["value"],
        yerr=np.nan_to_num(line["stderr"]),
        color=colour,
        marker=MARKERS[at],
        linestyle=LINES[at],
        markersize=3,
        linewidth=1,
        label=label,
    )

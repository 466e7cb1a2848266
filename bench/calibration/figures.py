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
    save_figure,
    tile,
)
from .sets import LEVELS, UNDAMAGED, Damage
from .verdicts import SCORES, THRESHOLD, short

if TYPE_CHECKING:
    import pandas as pd

    from .sets import Pools

LIMIT = 30.0  # standard errors at which the colours end
BIASED = ("fd", "kid_full", "density", "coverage", "precision", "recall", "prd_f8", "prd_f1/8")


def draw_all(summary: pd.DataFrame, folder: Path) -> list[Path]:
    """Draws every plot that the scores allow and returns their files."""
    paths = []
    for n in sorted(summary["n"].unique()):
        paths += draw_separation(summary[summary["n"] == n], folder, f"separation-{n}")
    for features, own in summary.groupby("features", sort=False):
        chosen = own[own["n"] == _most_complete(own)]
        paths += draw_response(chosen, folder, f"response-{short(str(features))}")
    return paths + draw_sizes(summary, folder)


def draw_separation(rows: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Draws standard errors from the floor as a map: a row a score, a column a damaged set."""
    damaged = rows[rows["kind"] != UNDAMAGED]
    pairs = damaged[["kind", "severity", "level"]].drop_duplicates()
    columns = [tuple(c) for c in pairs.itertuples(index=False, name=None)]
    kinds = list(LEVELS)
    columns.sort(key=lambda c: (kinds.index(c[0]), c[1]))
    present = set(zip(damaged["metric"], damaged["features"], strict=True))
    features = list(dict.fromkeys(damaged["features"]))
    lines = [(m, f) for m in SCORES for f in features if (m, f) in present]
    keyed = damaged.set_index(["metric", "features", "kind", "severity"])["z"].to_dict()
    cells = np.array([[keyed.get((*line, *c[:2]), np.nan) for c in columns] for line in lines])
    figure, axes = new_figure(1.9 + 0.36 * len(columns), 1.8 + 0.19 * len(lines))
    axis = axes[0, 0]
    shown = np.sign(cells) * np.log1p(np.abs(np.clip(cells, -LIMIT, LIMIT)))
    edge = np.log1p(LIMIT)
    axis.imshow(shown, cmap="RdBu_r", vmin=-edge, vmax=edge, aspect="auto")
    for (row, column), z in np.ndenumerate(cells):
        text = "" if np.isnan(z) else f"{z:.0f}".replace("-0", "0")
        weak = abs(z) < THRESHOLD
        colour = "0.45" if weak else ("white" if abs(z) > 12 else "black")
        axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    axis.set_xticks(range(len(columns)), [f"{k} {v:g}" for k, _, v in columns], rotation=60)
    for label in axis.get_xticklabels():
        label.set_ha("right")
        label.set_rotation_mode("anchor")
    axis.set_yticks(range(len(lines)), [f"{metric_short(m)} · {short(f)}" for m, f in lines])
    axis.grid(visible=False)
    axis.set_title(
        f"Standard errors from the floor, N = {rows['n'].iloc[0]:,}\n"
        f"red: worse than real images, blue: better; grey digits: below {THRESHOLD:g}",
        fontsize=8,
    )
    return save_figure(folder, name, figure)


def draw_response(rows: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Draws every score over severity, a line for each kind of damage."""
    scores = [m for m in SCORES if m in set(rows["metric"])]
    across = 4
    down = -(-len(scores) // across)
    figure, axes = new_figure(9.5, 0.7 + 1.75 * down, nrows=down, ncols=across)
    for axis, metric in zip(axes.flat, scores, strict=False):
        own = rows[rows["metric"] == metric]
        floor = own[own["kind"] == UNDAMAGED].iloc[0]
        for at, kind in enumerate(LEVELS):
            line = own[own["kind"] == kind].sort_values("severity")
            axis.errorbar(
                [0, *line["severity"]],
                [floor["value"], *line["value"]],
                yerr=np.nan_to_num([floor["stderr"], *line["stderr"]]),
                color=COLOURS[(2 * at + 1) % len(COLOURS)],
                marker=MARKERS[at],
                linestyle=LINES[at],
                markersize=3.5,
                linewidth=1,
                label=kind,
            )
        axis.axhline(floor["value"], color="black", linewidth=0.6)
        if metric in ("fd", "fd_inf"):
            axis.set_yscale("log")
        axis.set_title(f"{metric_short(metric)} {ARROWS.get(floor['better'], '')}", fontsize=8)
        axis.set_xticks([0, 1, 2, 3], ["floor", "1", "2", "3"])
    for axis in axes.flat[len(scores) :]:
        hide_axis(axis)
    features, n = short(str(rows["features"].iloc[0])), rows["n"].iloc[0]
    figure.suptitle(f"Scores over severity, {features}, N = {n:,}", fontsize=9)
    legend_below(figure, axes)
    return save_figure(folder, name, figure)


def draw_sizes(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Draws the floor and the mildest damage over the number of images."""
    from matplotlib.ticker import NullLocator

    rows = rows[
        (rows["severity"] <= 1) & rows["kind"].isin([UNDAMAGED, "blur", "noise", "dropped"])
    ]
    features = list(dict.fromkeys(rows["features"]))
    scores = [m for m in BIASED if m in set(rows["metric"])]
    if rows["n"].nunique() < 2 or not scores:
        return []
    figure, axes = new_figure(
        1.5 * len(scores), 0.7 + 1.7 * len(features), nrows=len(features), ncols=len(scores)
    )
    for (down, across), axis in np.ndenumerate(axes):
        own = rows[(rows["features"] == features[down]) & (rows["metric"] == scores[across])]
        for at, (kind, line) in enumerate(own.groupby("kind", sort=False)):
            line = line.sort_values("n")
            black = kind == UNDAMAGED
            axis.errorbar(
                line["n"],
                line["value"],
                yerr=np.nan_to_num(line["stderr"]),
                color="black" if black else COLOURS[2 * at + 1],
                marker=MARKERS[at],
                linestyle=LINES[at],
                markersize=3,
                linewidth=1,
                label="floor" if black else f"{kind} {line['level'].iloc[0]:g}",
            )
        axis.set_xscale("log")
        if scores[across] == "fd":
            axis.set_yscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(sorted(rows["n"].unique()), [f"{n / 1000:g}k" for n in _sizes(rows)])
        axis.tick_params(labelsize=6)
        if down == 0:
            axis.set_title(metric_short(scores[across]), fontsize=8)
        if across == 0:
            axis.set_ylabel(short(str(features[down])))
    figure.suptitle("The floor and the mildest damage over N", fontsize=9)
    legend_below(figure, axes)
    return save_figure(folder, "sizes", figure)


def draw_images(pools: Pools, folder: Path, count: int = 14) -> list[Path]:
    """Draws the first clean images and the same under every pixel damage."""
    sets = [Damage(), *(Damage(k, s + 1) for k in ("blur", "noise", "pca") for s in range(3))]
    figure, axes = new_figure(0.42 * count + 1, 0.42 * len(sets) + 0.3, nrows=len(sets))
    for axis, damage in zip(axes[:, 0], sets, strict=True):
        axis.imshow(tile(pools.damage(damage, count)[:count].numpy(), count))
        hide_axis(axis)
        label = "real" if damage.kind == UNDAMAGED else f"{damage.kind} {damage.level:g}"
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
    return save_figure(folder, "images", figure)


def _sizes(rows: pd.DataFrame) -> list[int]:
    return sorted(int(n) for n in rows["n"].unique())


def _most_complete(rows: pd.DataFrame) -> int:
    """Returns the count at which most sets were scored, the larger on a tie."""
    sets = rows.groupby("n").size()
    return int(sets[sets == sets.max()].index.max())

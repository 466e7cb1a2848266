"""Pictures that runs saved: neighbours, temperatures, denoising, and 2-D latent spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison.labels import objective_order
from ..comparison.table import file_name
from ..records.results import Rows
from .canvas import (
    PLOTS,
    Array,
    Plots,
    hide_axis,
    new_figure,
    new_panels,
    picture_table,
    tile,
    title_above,
    wrapped,
)
from .methods import first_runs, one_run_each, parts_of, shortened
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pictures = dict[str, dict[str, Array]]
LIMIT = 3.5
TITLES = {"prior": "N(0, I)", "gaussian": "fitted Gaussian"}
LEVELS = (0.5, 0.9, 0.99)
CLASS_COLOURS, MOST_CLASSES = "tab10", 10  # Of more classes, neighbours have similar colours.


@PLOTS.register("neighbours")
def neighbour_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws samples beside their nearest training images (arrays ``neighbours_<density>``).

    Each array is (samples, 1 + neighbours, C, H, W), the sample first.
    """
    note = "first column: samples; then the nearest training images in pixels"
    return _strip_plots(rows, runs, "neighbours", note)


@PLOTS.register("temperatures")
def temperature_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws samples by temperature (arrays ``temperature_<t>``, (N, C, H, W))."""
    return _strip_plots(rows, runs, "temperature", "samples at temperatures")


@PLOTS.register("denoising")
def denoising_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws noisy, denoised and clean images (arrays ``denoising_<sigma>``, (N, 3, C, H, W))."""
    note = "columns: standard deviation of the noise; rows: noisy, denoised, clean"
    return _strip_plots(rows, runs, "denoising", note, without="noise_sigma")


@PLOTS.register("latent-space")
def latent_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws 2-D codes of test images with the contours of each density.

    Contours hold 50, 90 and 99 % of the mass. Those of N(0, I) and the fitted Gaussian follow
    from the codes; others are drawn where the array ``density2d_<name>`` has the density on a
    square grid (G, G) over ``extent2d`` (left, right, bottom, top).
    """
    for stem, title, own in parts_of(rows):
        pairs = [(str(row["method"]), runs.arrays(str(row["run"]))) for row in one_run_each(own)]
        if found := {method: saved for method, saved in pairs if _is_flat(saved)}:
            yield file_name("latent", stem), _latent_figure(found, title)


@PLOTS.register("decoded-grid")
def grid_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws decoded quantiles of a 2-D latent density (arrays ``grid2d_<density>``)."""
    for stem, title, own in parts_of(rows):
        found: dict[str, Array] = {}
        for row in one_run_each(own):
            saved = runs.arrays(str(row["run"]))
            for name in sorted(n for n in saved if n.startswith("grid2d_")):
                density = name.removeprefix("grid2d_")
                found[f"{row['method']}, {TITLES.get(density, density)}"] = saved[name]
        if found:
            yield file_name("grid", stem), _grid_figure(found, title)


def _grid_figure(found: dict[str, Array], title: str) -> Figure:
    width = 3.6 if len(found) < 3 else 2.8
    figure, axes = new_panels(len(found), (0.3, 0.7), (width, width + 0.3))
    for axis, (name, images) in zip(axes.flat, found.items(), strict=False):
        side = round(len(images) ** 0.5)
        hide_axis(axis)
        axis.imshow(tile(images, side, side, gap=0), interpolation="nearest")
        axis.set_title(wrapped(name, width))
        axis.set_xlabel("z₁ grows →")
        axis.set_ylabel("z₂ grows →")
    note = "decoded quantiles of 20 evenly spaced probabilities, 0.1 to 0.9, of each code"
    title_above(figure, f"Latent plane · {title}\n{note}")
    return figure


def _is_flat(saved: dict[str, Array]) -> bool:
    codes = saved.get("codes2d")
    return codes is not None and codes.ndim == 2 and codes.shape[1] == 2 and len(codes) > 2


def _latent_figure(found: Pictures, title: str) -> Figure:
    drawn = [name for saved in found.values() for name in sorted(saved)]
    drawn = [name.removeprefix("density2d_") for name in drawn if name.startswith("density2d_")]
    densities = list(dict.fromkeys(["prior", "gaussian", *drawn]))
    size = (0.8 + 2.1 * len(densities), 0.6 + 2.1 * len(found))
    figure, axes = new_figure(*size, nrows=len(found), ncols=len(densities))
    for line, (method, saved) in zip(axes, found.items(), strict=True):
        for axis, density in zip(line, densities, strict=True):
            _draw_codes(axis, saved)
            _draw_contours(axis, saved, density)
            axis.set_title(TITLES.get(density, density))
        line[0].set_ylabel(f"{wrapped(method, 1.8)}\nz₂")
    for axis in axes[-1]:
        axis.set_xlabel("z₁ (latent units)")
    note = "contours: 50, 90, 99 % of the mass"
    note += "; colours: classes" * any("labels" in saved for saved in found.values())
    title_above(figure, f"Codes of test images · {title}\n{note}")
    return figure


def _draw_codes(axis: Axes, saved: dict[str, Array]) -> None:
    codes = saved["codes2d"][:2000]
    labels = saved.get("labels")
    look: dict[str, Any] = {"color": "#0072B2"}
    if labels is not None:
        classes, places = np.unique(labels, return_inverse=True)
        look = {"c": places[: len(codes)], "cmap": "viridis"}
        if len(classes) <= MOST_CLASSES:
            look |= {"cmap": CLASS_COLOURS, "vmin": -0.5, "vmax": MOST_CLASSES - 0.5}
    axis.scatter(codes[:, 0], codes[:, 1], s=3, alpha=0.6, lw=0, **look)
    reach = max(LIMIT, float(np.quantile(np.abs(codes), 0.995)) * 1.1)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def _draw_contours(axis: Axes, saved: dict[str, Array], density: str) -> None:
    style: dict[str, Any] = {"colors": "black", "linewidths": 0.8, "linestyles": ["-", "--", ":"]}
    codes = saved["codes2d"].astype(float)
    if f"density2d_{density}" in saved:
        grid = saved[f"density2d_{density}"]
        left, right, bottom, top = saved.get("extent2d", np.array([-LIMIT, LIMIT] * 2))
        x, y = np.linspace(left, right, grid.shape[1]), np.linspace(bottom, top, grid.shape[0])
        order = np.sort(grid.ravel())[::-1]
        mass = np.cumsum(order) / order.sum()
        levels = sorted({float(order[np.searchsorted(mass, level)]) for level in LEVELS})
        axis.contour(x, y, grid, levels=levels, **(style | {"linestyles": [":", "--", "-"]}))
    elif density in ("prior", "gaussian"):
        mean = np.zeros(2) if density == "prior" else codes.mean(axis=0)
        covariance = np.eye(2) if density == "prior" else np.cov(codes.T)
        if np.linalg.matrix_rank(covariance) < 2:
            return  # Codes on one point or one line have no such contours.
        low, high = axis.get_xlim()
        grid = np.linspace(low, high, 120)
        points = np.stack(np.meshgrid(grid, grid), axis=-1) - mean
        squared = np.einsum("...i,ij,...j", points, np.linalg.inv(covariance), points)
        radii = [-2 * np.log(1 - level) for level in LEVELS]
        axis.contour(grid, grid, squared, levels=radii, **style)


def _strip_plots(rows: Rows, saved: RunFiles, kind: str, note: str, without: str = "") -> Plots:
    for stem, title, own in parts_of(rows):
        found: Pictures = {}
        for method, runs in first_runs(shortened(own, without) if without else own):
            pictures = {
                name.removeprefix(f"{kind}_"): _block(array)
                for run in runs
                for name, array in saved.arrays(run).items()
                if name.startswith(f"{kind}_") and array.ndim in (4, 5) and len(array)
            }
            if pictures:
                found[method] = pictures
        if found:
            names = objective_order(name for pictures in found.values() for name in pictures)
            figure = picture_table(found, names, f"{kind} · {title}\n{note}")
            yield file_name(kind, stem), figure


def _block(array: Array, most: int = 4) -> Array:
    if array.ndim == 4:
        return tile(array, min(len(array), 8))
    if array.shape[1] == 3:  # triples stand in columns: noisy, denoised, clean from the top
        columns = array[:8].swapaxes(0, 1)
        return tile(columns.reshape(-1, *array.shape[2:]), columns.shape[1], 3)
    lines = array[:most]
    return tile(lines.reshape(-1, *array.shape[2:]), lines.shape[1], len(lines))

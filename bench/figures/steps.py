"""Scores against training steps, and against what the training cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison.cells import method_order
from ..comparison.columns import columns_of, join, with_places, without_floor
from ..comparison.costs import device_word, on_one_device
from ..comparison.labels import axis_title, is_tuned
from ..comparison.likelihoods import one_likelihood
from ..comparison.parts import suite_parts
from ..comparison.ranges import bar_lengths, limits_of
from ..comparison.samples import (
    RECONSTRUCTIONS,
    better_density,
    better_samples,
    references_of,
    sampled,
)
from ..comparison.scored import compute_seconds, scores_in, seed_values
from ..comparison.significance import half_width, mean
from ..comparison.steps import named_without_steps
from ..comparison.strings import without_texts
from ..comparison.table import file_name
from ..records.results import Rows
from .canvas import PLOTS, Plots, legend_below, look_of, new_panels, title_above, wrapped
from .methods import likelihood_notes, looks_of, shortened, signed
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLACES = {RECONSTRUCTIONS: "reconstructions", "sample": "samples of the better density"}
CAPTION = (
    "Points: mean over seeds; bars: Student's 95 % interval of it, for likelihoods on these test "
    "images. Black: real images, whole or damaged."
)
Cost = Callable[[Rows], float | None]


@PLOTS.register("steps")
def steps_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws FD and bits/dim against training steps, for objectives with two counts or more."""
    for stem, title, own in _parts(rows):
        counts = own.groupby("line")["asked"].transform("nunique")
        several = join(references_of(own), own[counts > 1])
        if len(without_floor(several)):
            axis = ("training steps", lambda of: float(of["asked"].iloc[0]))
            if figure := _figure(several, title, *axis):
                yield file_name("steps", stem), figure


@PLOTS.register("cost")
def cost_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws FD and bits/dim against compute seconds, where an objective has several counts.

    Tuned settings, which cost what the default ones do, are left out.
    """
    for stem, title, whole in _parts(rows):
        own = whole[~whole["variant"].map(is_tuned).astype(bool)]
        own = on_one_device(own)
        trained = without_floor(own)
        least = trained.groupby(["line", "asked"])["compute_seconds"].min()
        several = trained.groupby("line")["asked"].nunique().max() > 1
        if several and (least > 0).all():
            axis = (f"{device_word(own)} seconds of one training", _seconds)
            if figure := _figure(own, title, *axis):
                yield file_name("cost", stem), figure


def _parts(rows: Rows) -> Iterator[tuple[str, str, Rows]]:
    """Yields file name part, title and rows of images by suite, scale, data set, latent size.

    The column ``line`` names an objective under one setting, whatever its steps, and ``asked``
    the steps that it was asked for.
    """
    for part in suite_parts(without_texts(rows)):
        trained = without_floor(part.rows)
        groups = list(trained.groupby(["dataset", "latent_dim"], sort=True))
        for key, own in groups:
            dataset, size = map(str, key)
            references = references_of(part.rows)
            references = references[references["dataset"] == dataset]
            placed = with_places(join(references, own))
            named = named_without_steps(placed)
            placed = placed.assign(asked=named["asked"], line=shortened(named)["method"])
            name = (dataset, f"d{size}") if len(groups) > 1 else ()
            title = f"{dataset}, d = {size} · {part.title}"
            yield file_name(part.suffix, *name), title, placed


def _figure(rows: Rows, title: str, x: str, cost: Cost) -> Figure | None:
    """Returns a panel for FD by place and extractor and one for likelihood by space, if any."""
    fd = sampled(rows)
    panels = []
    best = better_density(fd)
    for own in (better_samples(fd, best), fd[fd["place"] == RECONSTRUCTIONS]):
        panels += columns_of(join(references_of(fd), without_floor(own)))[0]
    likelihood = one_likelihood(rows)
    panels += columns_of(likelihood)[0]
    panels = [panel for panel in panels if len(without_floor(panel.rows))]
    if not panels:
        return None
    figure, axes = new_panels(len(panels), (0.6, 1.3), (2.9, 2.5))
    lines = without_floor(rows)["line"].unique()
    names = {line: signed(line, likelihood[likelihood["line"] == line]) for line in lines}
    looks = _looks(rows)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw(axis, panel.rows, cost, names, looks)
        first = without_floor(panel.rows).iloc[0]
        _, bracket, identity = panel.group.partition(" [")
        place = PLACES.get(panel.place, panel.place)
        axis.set_title(wrapped(f"{place}{bracket}{identity}", 2.7))
        axis.set_ylabel(axis_title(first["metric"], first["unit"], first["better"]))
        axis.set_xlabel(x)
    legend_below(figure, axes)
    title_above(figure, f"{title}\n{CAPTION}{likelihood_notes(likelihood)}")
    return figure


def _seconds(rows: Rows) -> float | None:
    return compute_seconds(scores_in(rows))


def _looks(rows: Rows) -> dict[str, dict[str, Any]]:
    trained = without_floor(rows)
    return looks_of(trained.assign(method=trained["line"]))


def _draw(
    axis: Axes,
    rows: Rows,
    cost: Cost,
    names: Mapping[str, str],
    looks: Mapping[str, dict[str, Any]],
) -> None:
    trained = without_floor(rows)
    for line in method_order(trained.assign(method=trained["line"])):
        points = []
        for _, own in trained[trained["line"] == line].groupby("asked", sort=True):
            values, at = list(seed_values(scores_in(own)).values()), cost(own)
            if values and at is not None:
                half = half_width(values)
                points.append((at, float(np.mean(values)), half))
        if points:
            xs, means, halves = map(list, zip(*points, strict=True))
            first = trained.iloc[0]
            limits = limits_of(str(first["unit"]), str(first["metric"]), int(first["latent_dim"]))
            errors = bar_lengths(means, halves, limits)
            look = {"label": names[line], "capsize": 2, "lw": 1, "ms": 4, **looks[line]}
            axis.errorbar(xs, means, errors, **look)
    _logarithmic(axis)
    for name, own in references_of(rows).groupby("objective", sort=True):
        look, value = look_of(str(name)), mean(seed_values(scores_in(own)))
        axis.axhline(value, lw=0.8, label=str(name), **look)


def _logarithmic(axis: Axes) -> None:
    """Gives an axis a logarithmic scale with plain numbers at 1, 2, 5, 10, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())

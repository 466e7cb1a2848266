"""Scores against a setting: latent size, KL weight, Monte-Carlo samples, noise level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.cells import method_order, normal_column, usable
from ..comparison.columns import (
    columns_of,
    join,
    with_places,
    without_floor,
    without_setting,
)
from ..comparison.labels import axis_title, metric_short
from ..comparison.likelihoods import one_likelihood
from ..comparison.parts import has_several_sizes, suite_parts
from ..comparison.ranges import bar_lengths, limits_of
from ..comparison.scored import image_error, scores_in
from ..comparison.significance import half_width
from ..comparison.steps import longest
from ..comparison.table import file_name
from ..records.results import Rows
from .canvas import PLOTS, Plots, legend_below, new_panels, title_above, wrapped
from .methods import likelihood_notes, looks_of, shortened, signed
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLACES = {"N": "samples, N(0,I) / N", "Rec": "reconstructions", "test": "test images"}
MOST_TICKS = 9  # More would run into each other.
CAPTION = (
    "Points: mean over seeds; bars: Student's 95 % interval of the mean, for likelihoods with "
    "the error over test images."
)


@dataclass(frozen=True)
class Sweep:
    """A hyperparameter whose effect is drawn.

    Attributes:
        key: Its name in the column ``variant``.
        title: The axis name.
        logarithmic: Whether the axis is logarithmic.
        default: Its value where ``variant`` does not name it, if that is known.
    """

    key: str
    title: str
    logarithmic: bool = False
    default: float | None = None


SWEEPS = (
    Sweep("beta", "weight of the KL or code term, beta", logarithmic=True),
    Sweep("samples", "Monte-Carlo samples for each image, k", default=1),
    Sweep("noise_sigma", "standard deviation of the noise, images in [0, 1]", default=0),
)


@PLOTS.register("latent-size")
def latent_size_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws bits/dim, FD and IFE against the latent size, a panel for each data set."""
    for part in suite_parts(without_floor(longest(rows))):
        if not has_several_sizes(part.rows):
            continue
        own = shortened(with_places(part.rows))
        normal = normal_column(own[own["images"] == "sample"])
        scored = join(one_likelihood(own), normal[normal["place"] == "N"])
        scored = scored[scored["value"].notna()]
        for metric in [m for m in ("bits_per_dim", "fd", "ife") if m in set(scored["metric"])]:
            figure = _panels(scored[scored["metric"] == metric], part.title)
            yield file_name(metric, "sizes", part.suffix), figure


@PLOTS.register("settings")
def setting_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws scores against each hyperparameter that the rows vary."""
    for part in suite_parts(without_floor(longest(rows))):
        own = shortened(with_places(part.rows))
        for sweep in SWEEPS:
            varied = _with_setting(own, sweep)
            if varied["setting"].nunique() < 3:
                continue
            for metric in [m for m in ("fd", "ife", "mse") if m in set(varied["metric"])]:
                scored = normal_column(varied[varied["metric"] == metric])
                figure = _panels(scored[scored["place"].isin(PLACES)], part.title, sweep)
                yield file_name(metric, "by", sweep.key, part.suffix), figure


def _with_setting(rows: Rows, sweep: Sweep) -> Rows:
    found, rest = without_setting(rows, sweep.key)
    values = [sweep.default if value is None else value for value in found]
    numbers = [float(v) if isinstance(v, int | float) else np.nan for v in values]
    varied = rest.assign(setting=numbers)
    varied = varied[varied["setting"].notna()]
    counts = varied.groupby("method")["setting"].transform("nunique")
    return varied[counts > 2]


def _panels(rows: Rows, title: str, sweep: Sweep | None = None) -> Figure:
    """Returns a panel for each column of comparable scores, over latent sizes or a setting."""
    import pandas as pd

    panels: dict[tuple[str, str], list[Rows]] = {}
    for dataset, own in rows.groupby("dataset"):
        for size, same in own.groupby("latent_dim"):
            for column in columns_of(same)[0]:
                detail = f", d = {size}" if sweep else ""
                _, bracket, identity = column.group.partition(" [")
                group = f"{dataset}{bracket}{identity}"
                panels.setdefault((group + detail, column.place), []).append(column.rows)
    figure, axes = new_panels(len(panels), (0.6, 0.7), (2.6, 2.2))
    for axis, ((group, place), parts) in zip(axes.flat, panels.items(), strict=False):
        _draw(axis, pd.concat(parts), sweep)
        axis.set_title(wrapped(f"{group}\n{PLACES.get(place, place)}", 2.4))
    first = rows.iloc[0]
    for line in axes:
        line[0].set_ylabel(axis_title(first["metric"], first["unit"], first["better"]))
    legend_below(figure, axes)
    notes = f"{CAPTION}{likelihood_notes(rows)}"
    title_above(figure, f"{metric_short(first['metric'])} · {title}\n{notes}")
    return figure


def _draw(axis: Axes, rows: Rows, sweep: Sweep | None) -> None:
    x = "setting" if sweep else "latent_dim"
    good = usable(rows)
    methods = method_order(good) if len(good) else []
    looks = looks_of(good)
    for method in methods:
        own = good[good["method"] == method]
        groups = {float(v): own[own[x] == v] for v in sorted(set(own[x]))}
        means = [float(same["value"].mean()) for same in groups.values()]
        halves = [
            half_width(same["value"], image_error(scores_in(same))) for same in groups.values()
        ]
        first = own.iloc[0]
        limits = limits_of(str(first["unit"]), str(first["metric"]), int(own["latent_dim"].max()))
        errors = bar_lengths(means, halves, limits)
        look = {"label": signed(method, own), "capsize": 2, "lw": 1, "ms": 4, **looks[method]}
        axis.errorbar([*groups], means, errors, **look)
    _scale(axis, sorted(set(good[x])), logarithmic=sweep is None or sweep.logarithmic)
    axis.set_xlabel(sweep.title if sweep else "latent dimensions, d")


def _scale(axis: Axes, values: Sequence[float], *, logarithmic: bool) -> None:
    """Puts points at their values, with ticks at these alone.

    Sizes are drawn by their logarithm, as each is a multiple of the one before.
    """
    if logarithmic and values and min(values) > 0:
        axis.set_xscale("log")
        axis.minorticks_off()
    if len(values) <= MOST_TICKS:
        axis.set_xticks(values, [f"{value:g}" for value in values])

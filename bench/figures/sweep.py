"""Scores against a setting: latent size, KL weight, Monte-Carlo samples, noise level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.cells import join, method_order, normal_column, one_likelihood
from ..comparison.columns import FLOOR, columns_of, with_places
from ..comparison.labels import axis_title, metric_short, settings_of, suite_title, variant_text
from ..comparison.significance import bootstrap_interval
from ..comparison.table import file_name
from ..files.storage import canonical_json
from .canvas import Arrays, legend_below, new_figure, save_figure, title_above, wrapped
from .methods import looks_of, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_COLUMNS = 4
PLACES = {"N": "samples, N(0,I) / N", "Rec": "reconstructions", "test": "test images"}
CAPTION = "Points: mean over seeds; bars: 95 % bootstrap interval of the mean."


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


def latent_size_plots(rows: pd.DataFrame, arrays: Arrays, folder: Path) -> list[Path]:
    """Draws bits/dim, FD and IFE against the latent size, a panel for each data set."""
    paths: list[Path] = []
    for name, title, own in _suites(rows):
        if own.groupby("dataset")["latent_dim"].nunique().max() < 2:
            continue
        normal = normal_column(own[own["images"] == "sample"])
        scored = join(one_likelihood(own), normal[normal["place"] == "N"])
        scored = scored[scored["value"].notna()]
        for metric in [m for m in ("bits_per_dim", "fd", "ife") if m in set(scored["metric"])]:
            part = scored[scored["metric"] == metric]
            paths += _panels(part, "latent_dim", title, folder, file_name(metric, "sizes", name))
    return paths


def setting_plots(rows: pd.DataFrame, arrays: Arrays, folder: Path) -> list[Path]:
    """Draws scores against each hyperparameter that the rows vary."""
    paths: list[Path] = []
    for name, title, own in _suites(rows):
        for sweep in SWEEPS:
            varied = _with_setting(own, sweep)
            if varied["setting"].nunique() < 3:
                continue
            for metric in [m for m in ("fd", "ife", "mse") if m in set(varied["metric"])]:
                scored = _paper_places(varied[varied["metric"] == metric])
                stem = file_name(metric, "by", sweep.key, name)
                paths += _panels(scored, "setting", title, folder, stem, sweep)
    return paths


def _suites(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    suites = list(rows[rows["objective"] != FLOOR].groupby(["suite", "scale"], sort=True))
    found = []
    for (suite, scale), own in suites:
        name = file_name(str(suite), str(scale)) if len(suites) > 1 else ""
        title = suite_title({"suite": suite, "scale": scale})
        found.append((name, title, shortened(with_places(own))))
    return found


def _with_setting(rows: pd.DataFrame, sweep: Sweep) -> pd.DataFrame:
    variants = [settings_of(text) for text in rows["variant"]]
    values = [variant.pop(sweep.key, sweep.default) for variant in variants]
    rest = [variant_text(canonical_json(v)) if v else "" for v in variants]
    numbers = [float(v) if isinstance(v, int | float) else np.nan for v in values]
    names = [f"{o} ({r})" if r else o for o, r in zip(rows["objective"], rest, strict=True)]
    varied = rows.assign(setting=numbers, method=names)
    varied = varied[varied["setting"].notna()]
    counts = varied.groupby("method")["setting"].transform("nunique")
    return varied[counts > 2]


def _paper_places(rows: pd.DataFrame) -> pd.DataFrame:
    kept = normal_column(rows)
    return kept[kept["place"].isin(["Rec", "N", "test"])]


def _panels(
    rows: pd.DataFrame, x: str, title: str, folder: Path, stem: str, sweep: Sweep | None = None
) -> list[Path]:
    import pandas as pd

    panels: dict[tuple[str, str], list[pd.DataFrame]] = {}
    # Bits/dim of pixels and of logits lie far apart, since their noise models differ.
    split = rows["metric"].iloc[0] == "bits_per_dim" and rows["space"].nunique() > 1
    for (dataset, space), own in rows.groupby(
        ["dataset", rows["space"] if split else pd.Series("", rows.index, name="space")]
    ):
        for size, same in own.groupby("latent_dim"):
            for column in columns_of(same)[0]:
                detail = "" if x == "latent_dim" else f", d = {size}"
                detail += f", {space}" if space else ""
                _, bracket, identity = column.group.partition(" [")
                group = f"{dataset}{bracket}{identity}"
                panels.setdefault((group + detail, column.place), []).append(column.rows)
    columns = min(MOST_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    width, height = 0.6 + 2.6 * columns, 0.7 + 2.2 * lines
    figure, axes = new_figure(width, height, nrows=lines, ncols=columns)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, ((group, place), parts) in zip(axes.flat, panels.items(), strict=False):
        _draw(axis, pd.concat(parts), x, sweep)
        axis.set_title(wrapped(f"{group}\n{PLACES.get(place, place)}", 2.4))
    first = rows.iloc[0]
    for line in axes:
        line[0].set_ylabel(axis_title(first["metric"], first["unit"], first["better"]))
    legend_below(figure, axes)
    title_above(figure, f"{metric_short(first['metric'])} · {title}\n{CAPTION}")
    return save_figure(folder, stem, figure)


def _draw(axis: Axes, rows: pd.DataFrame, x: str, sweep: Sweep | None) -> None:
    good = rows[rows["status"] == "ok"]
    ticks = sorted(set(good[x]))
    methods = method_order(good) if len(good) else []
    looks = looks_of(good)
    shift = np.linspace(-0.12, 0.12, len(methods)) if len(methods) > 1 else [0.0]
    for at, method in enumerate(methods):
        own = good[good["method"] == method]
        groups = {
            float(value): list(own[own[x] == value]["value"]) for value in sorted(set(own[x]))
        }
        places = [ticks.index(value) + float(shift[at]) for value in groups]
        xs = list(groups) if sweep and sweep.logarithmic else places
        means = np.array([np.mean(values) for values in groups.values()])
        ends = np.array([bootstrap_interval(values) for values in groups.values()])
        errors = np.abs(ends.T - means)
        name = _bound(own, method)
        axis.errorbar(xs, means, errors, label=name, capsize=2, lw=1, ms=4, **looks[method])
    if sweep and sweep.logarithmic:
        axis.set_xscale("log")
    else:
        axis.set_xticks(range(len(ticks)), [f"{tick:g}" for tick in ticks])
    axis.set_xlabel(sweep.title if sweep else "latent dimensions, d")


def _bound(rows: pd.DataFrame, method: str) -> str:
    kinds = set(rows["kind"]) - {""}
    return f"{method}, {' / '.join(sorted(kinds))}" if kinds else method

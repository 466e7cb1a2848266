"""Curves: precision against recall with bands over seeds, and the terms of training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison.cells import method_order
from ..comparison.strings import is_text
from ..comparison.table import file_name
from ..records.results import Rows
from .canvas import PLOTS, Array, Plots, legend_below, new_panels, title_above, wrapped
from .methods import looks_of, parts_of
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DENSITY_LINES = {"prior": "-", "second-stage": ":", "gaussian": "--"}
MOST_TERMS = 12
FIRST_TERMS = ("loss", "distortion", "rate")
NO_TERM = "no term: not in nats"
SHORT_END = 0.25  # Of the usual steps: a mean of fewer is twice as noisy as those before it.
Log = dict[tuple[str, str], dict[int, float]]  # For each split and term the value of each step.
Panels = dict[str, list[tuple[str, list[Array], dict[str, Any]]]]


@PLOTS.register("prd")
def prd_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws the PRD curves of Figures 4 and 5 of the RAE paper.

    One file has a panel for each density with all objectives, the other a panel for each
    objective with all densities.
    """
    for stem, title, own in parts_of(rows):
        curves = _curves(own, runs)
        if not curves:
            continue
        densities = sorted({density for _, density in curves})
        methods = [m for m in method_order(own) if any(name == m for name, _ in curves)]
        looks = looks_of(own)
        by_density: Panels = {density: [] for density in densities}
        by_method: Panels = {method: [] for method in methods}
        for method, density in ((m, d) for m in methods for d in densities if (m, d) in curves):
            line = {"linestyle": DENSITY_LINES.get(density, "-.")}
            by_density[density].append((method, curves[method, density], looks[method]))
            by_method[method].append((density, curves[method, density], looks[method] | line))
        yield file_name("prd-densities", stem), _prd_figure(by_density, title)
        yield file_name("prd-objectives", stem), _prd_figure(by_method, title, neutral=True)


@PLOTS.register("training")
def training_plots(rows: Rows, runs: RunFiles) -> Plots:
    """Draws each term of the loss over the steps, mean over seeds, training and validation."""
    for stem, title, own in parts_of(rows):
        logs = {m: _mean_log(own[own["method"] == m], runs) for m in method_order(own)}
        terms = _terms(logs.values())
        if not terms:
            continue
        figure, axes = new_panels(len(terms), (0.5, 0.9), (2.5, 2.0))
        looks = looks_of(own)
        for axis, term in zip(axes.flat, terms, strict=False):
            for method, log in logs.items():
                _draw_term(axis, term, log, method, looks[method])
            watched = _is_only_watched(term, logs.values())
            axis.set_title(wrapped(f"{term} ({NO_TERM})" if watched else term, 2.2))
            axis.set_xlabel("optimiser steps")
        scored = "string" if is_text(own).all() else "image"
        for term, axis in zip(terms[:: axes.shape[1]], axes[:, 0], strict=True):
            if not _is_only_watched(term, logs.values()):
                axis.set_ylabel(f"terms: nats per {scored}\n(each objective's own scale)")
        legend_below(figure, axes)
        note = "thick: validation, thin: training; mean over seeds"
        title_above(figure, f"Training · {title}\n{note}")
        yield file_name("training", stem), figure


def _curves(rows: Rows, saved: RunFiles) -> dict[tuple[str, str], list[Array]]:
    curves: dict[tuple[str, str], list[Array]] = {}
    runs = rows.drop_duplicates(["method", "run"]).sort_values(["seed", "run"])
    for method, run in zip(runs["method"], runs["run"], strict=True):
        for name, curve in saved.arrays(run).items():
            if name.startswith("prd_") and curve.ndim == 2 and len(curve) == 2:
                curves.setdefault((method, name.removeprefix("prd_")), []).append(curve)
    return curves


def _prd_figure(panels: Panels, title: str, *, neutral: bool = False) -> Figure:
    figure, axes = new_panels(len(panels), (0.5, 1.25), (2.2, 2.2))
    for axis, (name, curves) in zip(axes.flat, panels.items(), strict=False):
        for label, seeds, look in curves:
            _draw_prd(axis, label, seeds, look)
        axis.set_title(wrapped(name, 2.0))
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
        axis.set_xlabel("recall (higher is better)")
    for line in axes:
        line[0].set_ylabel("precision (higher is better)")
    legend_below(figure, axes, neutral=neutral)
    note = "line: mean over seeds along each ray, band: their range"
    title_above(figure, f"Precision and recall · {title}\n{note}")
    return figure


def _draw_prd(axis: Axes, label: str, curves: list[Array], look: dict[str, Any]) -> None:
    count = min(curve.shape[1] for curve in curves)
    stack = np.stack([curve[:, :count] for curve in curves]).astype(float)
    radius = np.hypot(stack[:, 0], stack[:, 1])
    angle = np.arctan2(stack[:, 0], stack[:, 1]).mean(axis=0)
    x, y = np.cos(angle), np.sin(angle)
    middle, low, high = radius.mean(axis=0), radius.min(axis=0), radius.max(axis=0)
    axis.plot(
        middle * x, middle * y, label=label, markevery=max(count // 6, 1), lw=1, ms=3, **look
    )
    if len(curves) > 1:
        outline = (np.r_[low * x, (high * x)[::-1]], np.r_[low * y, (high * y)[::-1]])
        axis.fill(*outline, color=look["color"], alpha=0.2, lw=0)


def _mean_log(rows: Rows, runs: RunFiles) -> Log:
    sums: dict[tuple[str, str], dict[int, list[float]]] = {}
    for run in sorted(set(rows["run"])):
        for entry in _without_short_end(runs.log(run)):
            step, split = entry.get("step"), str(entry.get("split", "train"))
            if not isinstance(step, int):
                continue
            for term, value in entry.items():
                if term not in ("step", "split") and _is_finite(value):
                    sums.setdefault((split, term), {}).setdefault(step, []).append(float(value))
    return {
        key: {step: float(np.mean(values)) for step, values in sorted(steps.items())}
        for key, steps in sums.items()
        # Training lines also hold the learning rate, which is no term of the loss.
        if ("validation", key[1]) in sums
    }


def _without_short_end(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out the last training means of a log if they are of far fewer steps than others."""
    ends = [e["step"] for e in entries if e.get("split") == "train" and isinstance(e["step"], int)]
    counts = np.diff(sorted({0, *ends}))
    if len(counts) < 2 or counts[-1] >= SHORT_END * np.median(counts):
        return entries
    return [e for e in entries if e["split"] != "train" or e["step"] != max(ends)]


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _terms(logs: Iterable[Log]) -> list[str]:
    found = dict.fromkeys(term for log in logs for split, term in log if split == "validation")
    return sorted(found, key=lambda term: term not in FIRST_TERMS)[:MOST_TERMS]


def _is_only_watched(term: str, logs: Iterable[Log]) -> bool:
    """Returns whether an objective tells it of validation alone, and so does not minimise it."""
    trained = {name for log in logs for split, name in log if split == "train"}
    return bool(trained) and term not in {"loss", *trained}


def _draw_term(axis: Axes, term: str, log: Log, label: str, look: dict[str, Any]) -> None:
    for split, width in (("train", 0.5), ("validation", 1.2)):
        curve = log.get((split, term), {})
        if curve:
            xs, ys = np.array(list(curve.items()), dtype=float).T
            shown = {"label": label, "ms": 3} if split == "validation" else {"ms": 0}
            axis.plot(xs, ys, lw=width, markevery=max(len(xs) // 6, 1), **look, **shown)

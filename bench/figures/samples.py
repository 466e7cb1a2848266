"""Samples of all objectives side by side, large and sharp enough to tell them apart."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.cells import own_densities
from ..comparison.labels import is_tuned
from ..records.results import Rows
from .canvas import PLOTS, STYLE, Array, Plots, hide_axis, new_figure, tile
from .methods import one_run_each, parts_of
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12  # Images in a line.
LEAST = 56  # The least side of an image, in dots.
BETWEEN, LINE = 16, 4  # Dots between the kinds and between the lines.
LABEL, TOP = 1.25, 0.5  # Inches at the left and above.
MIXTURE = "gmm-10"
TITLES = ("samples of its own density", "samples of a mixture of ten Gaussians")
Kinds = list[Array | None]


@PLOTS.register("samples")
def sample_pictures(rows: Rows, runs: RunFiles) -> Plots:
    """Draws a line of samples for each objective: of its own density, of a mixture, or of both.

    Test images stand above. Default settings are shown, of several counts of training steps
    the largest, and of several seeds the lowest.
    """
    for stem, title, own in parts_of(rows, "samples"):
        methods: dict[str, Kinds] = {}
        test = None
        for row in one_run_each(own):
            saved = runs.arrays(str(row["run"]))
            own_samples = saved.get(own_array(str(row["objective"]), saved))
            found = [own_samples, saved.get(f"sample_{MIXTURE}")]
            if is_tuned(str(row["variant"])) or all(images is None for images in found):
                continue
            test = saved.get("test") if test is None else test
            methods[str(row["method"])] = found
        there = [any(found[kind] is not None for found in methods.values()) for kind in (0, 1)]
        if any(there):
            lines = {name: [*compress(found, there)] for name, found in methods.items()}
            if test is not None:
                lines = {"test images": [*np.array_split(test, sum(there))], **lines}
            yield stem, _figure(lines, [*compress(TITLES, there)], title)


def own_array(objective: str, names: Container[str]) -> str:
    """Returns the name of the array of the samples that the column of own samples scores.

    Args:
        objective: The objective.
        names: The names of the arrays that there are; empty is returned where none is of them.
    """
    own = (f"sample_{name}" for name in own_densities(objective))
    return next((name for name in own if name in names), "")


def _figure(lines: Mapping[str, Kinds], kinds: Sequence[str], title: str) -> Figure:
    """Returns the picture, in which every pixel of an image is a square of whole dots."""
    first = next(images for found in lines.values() for images in found if images is not None)
    times, count = -(-LEAST // max(first.shape[-2:])), SHOWN // len(kinds)
    strips = [[_strip(images, first, times, count) for images in f] for f in lines.values()]
    height, width = strips[0][0].shape[:2]
    size = (len(strips) * (height + LINE) - LINE, len(kinds) * (width + BETWEEN) - BETWEEN, 3)
    whole = np.full(size, 255, dtype=np.uint8)
    for at, found in enumerate(strips):
        for kind, strip in enumerate(found):
            top, left = at * (height + LINE), kind * (width + BETWEEN)
            whole[top : top + height, left : left + width] = strip
    dots = STYLE["savefig.dpi"]
    sides = (LABEL + whole.shape[1] / dots + 0.05, TOP + whole.shape[0] / dots + 0.05)
    figure, axes = new_figure(*sides)
    figure.set_layout_engine("none")
    axis = axes[0, 0]
    hide_axis(axis)
    axis.set_position(
        (
            *(LABEL / sides[0], 0.05 / sides[1]),
            *(whole.shape[1] / dots / sides[0], whole.shape[0] / dots / sides[1]),
        )
    )
    axis.imshow(whole, interpolation="nearest", aspect="auto")
    for at, method in enumerate(lines):
        axis.text(
            -8,
            at * (height + LINE) + height / 2,
            method.replace(" (", "\n("),
            ha="right",
            va="center",
        )
    for at, text in enumerate(kinds):
        most = max(0 if (own := found[at]) is None else len(own) for found in lines.values())
        shown = (min(count, most) * (first.shape[-1] + 1) - 1) * times  # With a gap between.
        axis.text(at * (width + BETWEEN) + shown / 2, -6, text, ha="center", va="bottom")
    figure.text(0.5, 1 - 0.06 / sides[1], title, ha="center", va="top")
    return figure


def _strip(images: Array | None, like: Array, times: int, count: int) -> Array:
    """Returns the first images side by side, each pixel repeated; white where there are none."""
    chosen = images if images is not None and len(images) else like[:0]
    strip = tile(chosen, count) if len(chosen) else tile(like[:count], count)
    if not len(chosen):
        strip = np.full_like(strip, 255)
    return strip.repeat(times, axis=0).repeat(times, axis=1)

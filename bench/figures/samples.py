"""Samples of all objectives side by side, large and sharp enough to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.cells import NORMAL
from ..comparison.labels import is_tuned
from ..records.results import Rows
from .canvas import PLOTS, STYLE, Array, Plots, hide_axis, new_figure, tile
from .methods import one_run_each, parts_of
from .run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 6  # Images of each kind.
LEAST = 56  # The least side of an image, in dots.
BETWEEN, LINE = 16, 4  # Dots between the kinds and between the lines.
LABEL, TOP = 1.25, 0.5  # Inches at the left and above.
MIXTURE = "gmm-10"
TITLES = ("samples of its own density", "samples of a mixture of ten Gaussians")
Pair = tuple[Array | None, Array | None]


@PLOTS.register("samples")
def sample_pictures(rows: Rows, runs: RunFiles) -> Plots:
    """Draws a line of samples for each objective: of its own density, and of a mixture.

    Test images stand above. Published settings are shown, of several counts of training steps
    the largest, and of several seeds the lowest.
    """
    for stem, title, own in parts_of(rows, "samples"):
        lines: dict[str, Pair] = {}
        for row in one_run_each(own):
            saved = runs.arrays(str(row["run"]))
            pair = (_own_samples(saved), saved.get(f"sample_{MIXTURE}"))
            if is_tuned(str(row["variant"])) or (pair[0] is None and pair[1] is None):
                continue
            if "test" in saved and not lines:
                half = len(saved["test"]) // 2
                lines["test images"] = (saved["test"][:half], saved["test"][half:])
            lines[str(row["method"])] = pair
        if any(pair[1] is not None for pair in lines.values()) and len(lines) > 1:
            yield stem, _figure(lines, title)


def _own_samples(saved: Mapping[str, Array]) -> Array | None:
    """Returns the samples that the column of own samples scores, none where there are none."""
    return next((saved[f"sample_{name}"] for name in NORMAL if f"sample_{name}" in saved), None)


def _figure(lines: Mapping[str, Pair], title: str) -> Figure:
    """Returns the picture, in which every pixel of an image is a square of whole dots."""
    first = next(images for pair in lines.values() for images in pair if images is not None)
    times = -(-LEAST // max(first.shape[-2:]))
    strips = [[_strip(images, first, times) for images in pair] for pair in lines.values()]
    height, width = strips[0][0].shape[:2]
    whole = np.full(
        (len(strips) * (height + LINE) - LINE, 2 * width + BETWEEN, 3), 255, dtype=np.uint8
    )
    for at, (left, right) in enumerate(strips):
        top = at * (height + LINE)
        whole[top : top + height, :width] = left
        whole[top : top + height, width + BETWEEN :] = right
    dots = STYLE["savefig.dpi"]
    size = (LABEL + whole.shape[1] / dots + 0.05, TOP + whole.shape[0] / dots + 0.05)
    figure, axes = new_figure(*size)
    figure.set_layout_engine("none")
    axis = axes[0, 0]
    hide_axis(axis)
    axis.set_position(
        (
            *(LABEL / size[0], 0.05 / size[1]),
            *(whole.shape[1] / dots / size[0], whole.shape[0] / dots / size[1]),
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
    for at, text in enumerate(TITLES):
        axis.text(at * (width + BETWEEN) + width / 2, -6, text, ha="center", va="bottom")
    figure.text(0.5, 1 - 0.06 / size[1], title, ha="center", va="top")
    return figure


def _strip(images: Array | None, like: Array, times: int) -> Array:
    """Returns the first images side by side, each pixel repeated; white where there are none."""
    chosen = images if images is not None and len(images) else like[:0]
    strip = tile(chosen, SHOWN) if len(chosen) else tile(like[:SHOWN], SHOWN)
    if not len(chosen):
        strip = np.full_like(strip, 255)
    return strip.repeat(times, axis=0).repeat(times, axis=1)

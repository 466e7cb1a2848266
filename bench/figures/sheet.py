"""Picture sheets in the layout of Figure 1 of the RAE paper: a row for each objective."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import (
    Array,
    Arrays,
    evenly,
    hide_axis,
    label_width,
    new_figure,
    save_figure,
    tile,
    title_above,
    wrapped,
)
from .methods import one_run_each, parts_of

if TYPE_CHECKING:
    import pandas as pd

WIDE = 6
Strips = dict[str, Array]


def picture_sheets(rows: pd.DataFrame, arrays: Arrays, folder: Path) -> list[Path]:
    """Writes one sheet for each suite, data set, backbone and latent size that has pictures."""
    paths: list[Path] = []
    for stem, title, own in parts_of(rows, "sheet"):
        sheet = _sheet(own, arrays)
        if sheet:
            paths += save_figure(folder, stem, _draw(sheet, title))
    return paths


def sheet_names(rows: pd.DataFrame) -> dict[str, str]:
    """Returns for each run the file name, without ending, of the sheet that it stands on."""
    return {str(run): stem for stem, _, own in parts_of(rows, "sheet") for run in set(own["run"])}


def run_strips(arrays: Mapping[str, Array], wide: int = WIDE) -> Strips:
    """Returns the pictures of one run as strips, by the heading that they stand under."""
    strips: Strips = {}
    if "reconstruction" in arrays:
        strips["reconstructions"] = tile(arrays["reconstruction"], wide)
    normal = [n for n in ("second-stage", "prior", "gaussian") if f"sample_{n}" in arrays]
    if normal:
        strips["samples, N(0,I) / N"] = tile(arrays[f"sample_{normal[0]}"], wide)
    for name in sorted(n for n in arrays if n.startswith("sample_gmm-")):
        strips[f"samples, {name.removeprefix('sample_').upper()}"] = tile(arrays[name], wide)
    if len(arrays.get("interpolation", ())):
        path = arrays["interpolation"]
        if path.ndim == 5:
            path = path[0][evenly(path.shape[1], wide)]
        strips["interpolations"] = tile(path, wide)
    return strips


def _sheet(rows: pd.DataFrame, arrays: Arrays) -> dict[str, Strips | str]:
    sheet: dict[str, Strips | str] = {}
    for row in one_run_each(rows):
        saved = arrays.of(str(row["run"]))
        if "test" in saved and not sheet:
            sheet["test images"] = {"reconstructions": tile(saved["test"], WIDE)}
        strips = run_strips(saved)
        label = f"{row['method']}"
        if strips:
            sheet[label] = strips
        elif row["status"] in ("diverged", "failed"):
            sheet[label] = str(row["status"])
    return sheet if any(not isinstance(strips, str) for strips in sheet.values()) else {}


def _draw(sheet: Mapping[str, Strips | str], title: str) -> Any:  # noqa: ANN401
    headings = _headings(sheet)
    strips = [s for strips in sheet.values() if isinstance(strips, dict) for s in strips.values()]
    height, width = np.max([strip.shape[:2] for strip in strips], axis=0)
    block = 2.6
    name = label_width(sheet)
    size = (name + block * len(headings), 0.5 + (block * height / width + 0.03) * len(sheet))
    figure, axes = new_figure(*size, nrows=len(sheet), ncols=len(headings))
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for line, (label, content) in zip(axes, sheet.items(), strict=True):
        for axis, heading in zip(line, headings, strict=True):
            hide_axis(axis)
            if isinstance(content, dict) and heading in content:
                axis.imshow(content[heading], interpolation="nearest")
        line[0].set_ylabel(wrapped(label, name), rotation=0, ha="right", va="center")
        if isinstance(content, str):
            line[0].text(0.02, 0.5, content, transform=line[0].transAxes, va="center")
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading)
    title_above(figure, title)
    return figure


def _headings(sheet: Mapping[str, Strips | str]) -> list[str]:
    found = {name for strips in sheet.values() if isinstance(strips, dict) for name in strips}

    def rank(name: str) -> tuple[int, str]:
        ends = {"reconstructions": 0, "samples, N(0,I) / N": 1, "interpolations": 3}
        return ends.get(name, 2), name

    return sorted(found, key=rank)

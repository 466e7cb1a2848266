"""Picture sheets in the layout of Figure 1 of the RAE paper: a row for each objective."""

from __future__ import annotations

from collections.abc import Mapping

from ..comparison.cells import NORMAL_HEADER
from ..records.results import Rows
from .canvas import PLOTS, Array, Plots, evenly, picture_table, tile
from .methods import one_run_each, parts_of
from .run_files import RunFiles
from .samples import own_array

WIDE = 6
OWN_SAMPLES = f"samples, {NORMAL_HEADER}"
Strips = dict[str, Array]


@PLOTS.register("sheet")
def picture_sheets(rows: Rows, runs: RunFiles) -> Plots:
    """Draws one sheet for each suite, data set, backbone and latent size that has pictures."""
    for stem, title, own in parts_of(rows, "sheet"):
        if sheet := _sheet(own, runs):
            yield stem, picture_table(sheet, _headings(sheet), title, tight=True)


def sheet_names(rows: Rows) -> dict[str, str]:
    """Returns for each run the file name, without ending, of the sheet that it stands on."""
    return {str(run): stem for stem, _, own in parts_of(rows, "sheet") for run in set(own["run"])}


def run_strips(arrays: Mapping[str, Array], objective: str) -> Strips:
    """Returns the pictures of one run as strips, by the heading that they stand under."""
    strips: Strips = {}
    if "reconstruction" in arrays:
        strips["reconstructions"] = tile(arrays["reconstruction"], WIDE)
    if own := own_array(objective, arrays):
        strips[OWN_SAMPLES] = tile(arrays[own], WIDE)
    for name in sorted(n for n in arrays if n.startswith("sample_gmm-")):
        strips[f"samples, {name.removeprefix('sample_').upper()}"] = tile(arrays[name], WIDE)
    if len(arrays.get("interpolation", ())):
        path = arrays["interpolation"]
        if path.ndim == 5:
            path = path[0][evenly(path.shape[1], WIDE)]
        strips["interpolations"] = tile(path, WIDE)
    return strips


def _sheet(rows: Rows, runs: RunFiles) -> dict[str, Strips | str]:
    sheet: dict[str, Strips | str] = {}
    for row in one_run_each(rows):
        saved = runs.arrays(str(row["run"]))
        if "test" in saved and not sheet:
            sheet["test images"] = {"reconstructions": tile(saved["test"], WIDE)}
        strips = run_strips(saved, str(row["objective"]))
        label = f"{row['method']}"
        if strips:
            sheet[label] = strips
        elif row["status"] in ("diverged", "failed"):
            sheet[label] = str(row["status"])
    return sheet if any(not isinstance(strips, str) for strips in sheet.values()) else {}


def _headings(sheet: Mapping[str, Strips | str]) -> list[str]:
    found = {name for strips in sheet.values() if isinstance(strips, dict) for name in strips}

    def rank(name: str) -> tuple[int, str]:
        ends = {"reconstructions": 0, OWN_SAMPLES: 1, "interpolations": 3}
        return ends.get(name, 2), name

    return sorted(found, key=rank)

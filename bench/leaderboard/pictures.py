"""Pictures of runs as strips of pixels, as many as the size of a page allows."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..comparison.texts import read_texts
from ..figures.canvas import Array, as_pixels
from ..figures.run_files import RunFiles
from ..figures.samples import own_array

WIDE = 8  # Images of a strip.
GAP = 1
WIDEST, MOST_LINES = 300, 2  # Pixels of a strip, and its lines where fewer fit into one.
Shown = dict[str, Any]
Runs = Iterable[tuple[str, RunFiles]]


class Pictures:
    """Strips and texts that a page may show, each once, in the order in which they were asked for.

    Attributes:
        found: What is shown by its name: ``source``, a data address, with ``width`` and
            ``height`` of the strip in pixels, or ``texts``.
    """

    def __init__(self) -> None:
        self.found: dict[str, Shown] = {}
        self._known: dict[tuple[str, str], str] = {}

    def add(self, runs: Runs, dataset: str, name: str) -> str:
        """Adds an array of the first run that has it; returns its name, empty where none has.

        Args:
            runs: Names of runs, each with the files of the folder that it lies in.
            dataset: The data set that texts are read with.
            name: The array: ``test``, ``reconstruction``, ``sample_prior``, ...
        """
        for run, files in runs:
            if (run, name) not in self._known:
                shown = _shown(files.arrays(run), dataset, name)
                self._known[run, name] = self._keep(shown) if shown else ""
            if found := self._known[run, name]:
                return found
        return ""

    def _keep(self, shown: Shown) -> str:
        name = hashlib.sha256(repr(sorted(shown.items())).encode()).hexdigest()[:10]
        self.found.setdefault(name, shown)
        return name

    def within(self, room: int, size_of: Callable[[Shown], int]) -> tuple[dict[str, Shown], int]:
        """Returns what fits, the first that were asked for, and how many were left out.

        Args:
            room: What all may take.
            size_of: What one takes.
        """
        kept: dict[str, Shown] = {}
        for name, shown in self.found.items():
            room -= size_of(shown)
            if room < 0:
                break
            kept[name] = shown
        return kept, len(self.found) - len(kept)


def array_of(entry: Mapping[str, Any], arrays: Iterable[str]) -> str:
    """Returns the name of the array that shows what an entry's score is of, or its own samples.

    Args:
        entry: An entry of a board.
        arrays: The names of the arrays of its runs.
    """
    if entry["images"] in ("reconstruction", "interpolation"):
        return str(entry["images"])
    if entry["density"]:
        return f"sample_{entry['density']}"
    objective = str(entry["objective"]).partition(" ")[0]
    return own_array(objective, set(arrays)) or "reconstruction"


def array_names(runs: Runs) -> list[str]:
    """Returns the names of the arrays that any of some runs has, in the order of a card."""
    names = {name.removeprefix("texts_") for run, files in runs for name in files.arrays(run)}
    samples = sorted(n for n in names if n.startswith("sample_") and not n.endswith("_scores"))
    wanted = ("test", "reconstruction", *samples, "interpolation")
    return [name for name in wanted if name in names]


def _shown(arrays: Mapping[str, Array], dataset: str, name: str) -> Shown:
    """Returns an array of a run as a strip or as texts, empty where it has none."""
    if name in arrays and (images := _images(arrays[name])) is not None:
        return _strip(images)
    for own in (f"texts_{name}", name.replace("sample_", "best_")):
        if own in arrays and (texts := read_texts(_lines(arrays[own]), dataset)):
            return {"texts": texts[:WIDE]}
    return {}


def _images(array: Array) -> Array | None:
    """Returns images (N, C, H, W) of an array of pictures; of interpolations the first path."""
    array = array[0] if array.ndim == 5 and len(array) else array
    return array[:WIDE] if array.ndim == 4 and array.size and array.shape[1] != 2 else None


def _lines(symbols: Array) -> Array:
    return symbols[0] if symbols.ndim == 3 else symbols


def _strip(images: Array) -> Shown:
    """Returns images in one line, wide ones in two, as a data address; gaps are transparent."""
    from PIL import Image

    pixels = as_pixels(images)
    count, height, width = pixels.shape[:3]
    columns = max(1, min(count, WIDEST // (width + GAP)))
    pixels = pixels[: MOST_LINES * columns]
    lines = -(-len(pixels) // columns)
    grey = bool((pixels == pixels[..., :1]).all())
    seen = pixels[..., :1] if grey else pixels
    size = (lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, seen.shape[-1] + 1)
    strip = np.zeros(size, np.uint8)
    for at, image in enumerate(seen):
        top, left = (at // columns) * (height + GAP), (at % columns) * (width + GAP)
        strip[top : top + height, left : left + width, :-1] = image
        strip[top : top + height, left : left + width, -1] = 255
    stream = io.BytesIO()
    Image.fromarray(strip).save(stream, "png", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return {"source": source, "width": size[1], "height": size[0]}

"""Arrays in an .npy or .npz file as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files.arrays import read_arrays, to_images
from .dataset import Source, register
from .folder import alpha_for, from_one, from_parts
from .source import Content, Part

if TYPE_CHECKING:
    import numpy as np

PARTS = ("train", "validation", "test")


class Arrays(Source):
    """Images in uint8, or vectors in floating point, from a file of arrays.

    An .npz file with ``train`` and ``test`` (and perhaps ``validation``; each with
    ``..._labels`` if wanted) is split so. One array alone is split as a folder of images is.
    Each part is shuffled, and the order of its rows does not matter.
    """

    name = "npz:PATH"
    advice = "Give the path of an .npy or .npz file."

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        if path is not None:
            self.name = f"npz:{path}"

    def at(self, path: str) -> Arrays:
        """Returns the data set of this file; its arrays decide alpha and space."""
        return Arrays(Path(path))

    def read(self) -> Content:
        """Returns the arrays of the file."""
        if self._path is None:
            raise UserError("'npz:PATH' needs a path, such as npz:images.npz.")
        arrays = read_arrays(self._path)
        content = self._split(arrays, str(self._path))
        self.alpha = alpha_for(content)
        self.default_space = "real" if content.train.images.dtype.kind == "f" else "unit"
        return content

    def where(self) -> str:
        """Returns the file."""
        return str(self._path)

    def _split(self, arrays: dict[str, np.ndarray], origin: str) -> Content:
        if len(arrays) == 1:
            (array,) = arrays.values()
            return from_one(to_images(array, origin), origin)
        if not {"train", "test"} <= set(arrays):
            raise UserError(
                f"{origin} holds {', '.join(sorted(arrays)) or 'nothing'}; "
                "expected one array, or 'train' and 'test'."
            )
        known = {name for part in PARTS if part in arrays for name in (part, f"{part}_labels")}
        if unread := sorted(arrays.keys() - known):
            raise UserError(
                f"{origin} holds also {', '.join(unread)}; expected only {', '.join(PARTS)} "
                "and their ..._labels."
            )
        given = {
            part: Part(
                to_images(arrays[part], f"{origin}: '{part}'"), _labels(arrays, part, origin)
            )
            for part in PARTS
            if part in arrays
        }
        return from_parts(given, origin)


def _labels(arrays: dict[str, np.ndarray], part: str, origin: str) -> np.ndarray | None:
    labels = arrays.get(f"{part}_labels")
    if labels is None:
        return None
    if labels.dtype.kind not in "iu" or labels.shape != (len(arrays[part]),):
        raise UserError(
            f"{origin}: '{part}_labels' has type {labels.dtype} and shape {labels.shape}; "
            f"expected integers of shape ({len(arrays[part])},)."
        )
    return labels


register(Arrays())

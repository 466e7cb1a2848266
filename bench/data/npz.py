"""Arrays in an .npy or .npz file as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import UserError
from ..files.arrays import read_arrays, to_images
from .dataset import Source, register
from .folder import alpha_for, from_one, from_parts
from .images import to_bytes
from .source import Content, Part

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

PARTS = ("train", "validation", "test")
# How public files call the parts, and their labels: Keras' and MedMNIST's ways.
CONVENTIONS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"))
SHORT = {"train": "train", "validation": "val", "test": "test"}


class Arrays(Source):
    """Images, or vectors in floating point, from a file of arrays.

    An .npz file with ``train`` and ``test`` (and perhaps ``validation``; each with
    ``..._labels`` if wanted) is split so; Keras' names ``x_train, y_train`` and MedMNIST's
    ``train_images, train_labels`` are known. One array alone, or ``images`` with their
    ``labels``, is split as a folder of images is. Each part is shuffled, and the order of its
    rows does not matter. Images are integers from 0 to 255, or floats in [0, 1], which are
    rounded to 8 bits.
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
        return self._divided(read_arrays(self._path), str(self._path))

    def where(self) -> str:
        """Returns the file."""
        return str(self._path)

    def _divided(self, arrays: dict[str, np.ndarray], origin: str) -> Content:
        content = self._split(arrays, origin)
        self.alpha = alpha_for(content)
        self.default_space = "real" if content.train.images.dtype.kind == "f" else "unit"
        return content

    def _split(self, arrays: dict[str, np.ndarray], origin: str) -> Content:
        arrays = renamed(arrays)
        if arrays.keys() == {"images", "labels"}:
            images = stored_images(arrays["images"], origin)
            return from_one(images, origin, _labels(arrays, "labels", len(images), origin))
        if len(arrays) == 1:
            (array,) = arrays.values()
            return from_one(stored_images(array, origin), origin)
        if not {"train", "test"} <= set(arrays):
            raise UserError(
                f"{origin} holds {', '.join(sorted(arrays)) or 'nothing'}; expected one array, "
                "'images' and 'labels', or 'train' and 'test'."
            )
        known = {name for part in PARTS if part in arrays for name in (part, f"{part}_labels")}
        if unread := sorted(arrays.keys() - known):
            raise UserError(
                f"{origin} holds also {', '.join(unread)}; expected only {', '.join(PARTS)} "
                "and their ..._labels."
            )
        given = {
            part: Part(
                stored_images(arrays[part], f"{origin}: '{part}'"),
                _labels(arrays, f"{part}_labels", len(arrays[part]), origin),
            )
            for part in PARTS
            if part in arrays
        }
        return from_parts(given, origin)


class GivenArrays(Arrays):
    """Arrays that are in memory already, with the names and forms of those in a file."""

    name = "arrays"

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        self._arrays = arrays

    def read(self) -> Content:
        """Returns the arrays."""
        return self._divided(self._arrays, self.name)

    def where(self) -> str:
        """Returns the place in words."""
        return "in memory"


def renamed(arrays: dict[str, T]) -> dict[str, T]:
    """Returns arrays under our names where all of them have those of one convention."""
    for images, labels in CONVENTIONS:
        ours = {images.format(short): part for part, short in SHORT.items()}
        ours |= {labels.format(short): f"{part}_labels" for part, short in SHORT.items()}
        if arrays.keys() <= ours.keys():
            return {ours[name]: array for name, array in arrays.items()}
    return arrays


def stored_images(array: np.ndarray, origin: str) -> np.ndarray:
    """Returns images as uint8 (N, C, H, W), floats rounded; or vectors as float32 (N, 1, 1, D).

    Raises:
        UserError: They are neither, or a value cannot be used.
    """
    return to_images(to_bytes(array, origin) if array.ndim in (3, 4) else array, origin)


def _labels(
    arrays: dict[str, np.ndarray], name: str, count: int, origin: str
) -> np.ndarray | None:
    labels = arrays.get(name)
    if labels is None:
        return None
    if labels.dtype.kind in "iu" and labels.ndim == 2 and len(labels) == count < labels.size:
        return None  # Several marks an image, of which none is its class.
    if labels.dtype.kind not in "iu" or labels.shape not in ((count,), (count, 1)):
        raise UserError(
            f"{origin}: '{name}' has type {labels.dtype} and shape {labels.shape}; "
            f"expected integers of shape ({count},)."
        )
    return labels.reshape(count)


register(Arrays())

"""Reads a set of images, or of their features, from a folder or an array file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, number_of
from ..files.arrays import read_arrays, to_images
from .folder_files import image_paths, passed_over

if TYPE_CHECKING:
    import numpy as np

ARRAY_SUFFIXES = (".npy", ".npz")
LABELS = {"images": "labels", "arr_0": "arr_1"}  # Names of images, and of labels beside them.
UNUSED = ("mu", "sigma", "mu_s", "sigma_s")  # Moments in the reference archives of ADM.
SLACK = 1e-3  # A sigmoid or a resize may step over [0, 1] by rounding.


@dataclass(frozen=True)
class GivenSet:
    """Images or features as somebody gave them.

    Attributes:
        path: Where they were read.
        items: Images as uint8 (N, C, H, W); or features (N, F).
        names: The files' paths below the folder, with slashes; none for rows of an array.
        note: What of the folder was passed over, in words; empty where nothing was.
    """

    path: Path
    items: np.ndarray
    names: tuple[str, ...] = ()
    note: str = ""


def read_set(path: Path) -> GivenSet:
    """Returns what the path holds: images, or features that somebody has extracted.

    Args:
        path: A folder of images of one size (sub-folders included, hidden files not), or a .npy
            or .npz file with one array: images as uint8 or as floats in [0, 1] of shape
            (N, H, W), (N, C, H, W) or (N, H, W, C), or features as floats of shape (N, F).

    Returns:
        Images, floats rounded to nearest; or features as they are.

    Raises:
        UserError: There is nothing to read, fewer than two images, or something else than
            images or features.
    """
    if path.is_dir():
        from .image_files import AnotherSize

        try:
            found = read_folder(path)
        except AnotherSize as error:
            raise UserError(f"{error} Bring them to one size first.") from error
    elif not path.exists():
        raise UserError(f"{path} is not there; expected a folder of images, .npy or .npz.")
    elif path.suffix.lower() in ARRAY_SUFFIXES:
        found = GivenSet(path, read_array(path))
    else:
        raise UserError(f"{path} is not a folder, .npy or .npz; expected one of these.")
    if len(found.items) < 2:
        count = number_of(len(found.items), "image")
        raise UserError(f"{path} holds {count}; expected at least 2.")
    return found


def read_folder(folder: Path, size: int = 0) -> GivenSet:
    """Returns the images of a folder, uint8 of shape (N, C, H, W).

    Args:
        folder: The folder, whose images have one size unless another is given.
        size: Height and width to bring each image to: its largest square in the middle, resized
            by Pillow's bicubic filter, which is antialiased. 0 takes images as they are.

    Raises:
        UserError: The folder has no image, or a file is not an image of the first one's shape.
    """
    from .image_files import Fitted, read_images

    paths, others = image_paths(folder)
    note = passed_over(folder, others)
    if not paths:
        raise UserError(
            f"{folder} holds no {f'image; {note}' if note else 'file'}; expected images."
        )
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    if not size:
        return GivenSet(folder, read_images(paths), names, note)
    fitted = Fitted(size)
    images = read_images(paths, change=fitted)
    return GivenSet(
        folder, images, names, "; ".join(filter(None, (note, fitted.note(len(images)))))
    )


def read_array(path: Path) -> np.ndarray:
    """Returns the array of a file as ``read_set`` does.

    Raises:
        UserError: The file holds several arrays, or one that is neither images nor features.
    """
    return given_items(_one_array(read_arrays(path), path), path)


def given_items(array: np.ndarray, path: object) -> np.ndarray:
    """Returns images as uint8 (N, C, H, W), floats rounded to nearest; or features.

    Features are float32 or float64 in the machine's order of bytes, which torch asks for.

    Args:
        array: Images or features in the forms that `read_set` takes.
        path: What an error calls them.

    Raises:
        UserError: The array is neither images nor features.
    """
    import numpy as np

    if array.ndim == 2 and array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # What leaves float64 is refused as not finite.
            return array.astype("float32" if array.itemsize <= 4 else "float64", copy=False)
    if array.ndim not in (3, 4):
        raise UserError(
            f"{path} has shape {array.shape} and type {array.dtype}; expected images of rank 3 "
            "or 4, or features in floating point of shape (N, F)."
        )
    return to_images(to_bytes(array, path), str(path))


def _one_array(arrays: dict[str, np.ndarray], path: Path) -> np.ndarray:
    for name, labels in LABELS.items():
        if name in arrays and arrays.keys() <= {name, labels, *UNUSED}:
            beside = arrays.get(labels)
            if beside is None or labels == "labels" or _are_labels(beside, arrays[name]):
                return arrays[name]
    if arrays.keys() == {"mu", "sigma"}:
        raise UserError(
            f"{path} holds a mean and a covariance, which only REAL may be; expected images or "
            "features."
        )
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "none"
        raise UserError(
            f"{path} holds the arrays {names}; expected one, or 'images' and their 'labels'."
        )
    return next(iter(arrays.values()))


def _are_labels(array: np.ndarray, images: np.ndarray) -> bool:
    rows = images.shape[:1]
    return array.dtype.kind in "iu" and array.shape in (rows, (*rows, 1))


def to_bytes(array: np.ndarray, path: object) -> np.ndarray:
    """Returns images as uint8 of the same shape, floats in [0, 1] rounded to nearest.

    Raises:
        UserError: The type or the range is another; the message says what it looks like.
    """
    import numpy as np

    if array.size == 0:
        raise UserError(f"{path} has shape {array.shape}; expected at least 2 images.")
    if array.dtype.kind == "f":
        return _round(array, path)
    if array.dtype.kind not in "iu":
        raise UserError(f"{path} has type {array.dtype}; expected uint8, or floats in [0, 1].")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise UserError(
            f"{path} has {array.dtype} values from {low} to {high}; expected 0 to 255."
        )
    return array.astype(np.uint8)


def _round(array: np.ndarray, path: object) -> np.ndarray:
    import torch

    from ...metrics.features.quantisation import quantise

    images = torch.from_numpy(array.astype("float32"))
    finite = images.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        index = int((~finite).nonzero()[0])
        raise UserError(f"Image {index} of {path} has values that are not finite.")
    low, high = float(images.min()), float(images.max())
    if low < -SLACK or high > 1 + SLACK:
        raise UserError(
            f"{path} has {array.dtype} values from {low:.4g} to {high:.4g}; expected [0, 1]. "
            f"{_guess(low, high)}"
        )
    return quantise(images).numpy()


def _guess(low: float, high: float) -> str:
    if low >= 0 and 2 < high <= 255:
        return "They look like grey levels from 0 to 255: save them as uint8."
    if -1 - SLACK <= low < 0 and high <= 1 + SLACK:
        return "They look like [-1, 1]: save (x + 1) / 2."
    return "They look like unclamped outputs: clip them."

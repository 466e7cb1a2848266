"""Arrays from .npy and .npz files, never unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    import numpy as np

LARGEST_BYTES = 64 << 30
_UNREADABLE = (
    *(ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name; that of a .npy file has the name ``array``.

    Raises:
        UserError: The file is missing, unreadable, truncated, holds pickled objects or would
            unpack to more than 64 GiB.
    """
    import numpy as np

    if not path.is_file():
        raise UserError(f"{path} is not there; expected a .npy or .npz file.")
    try:
        if path.suffix == ".npy":
            return {"array": np.load(path, allow_pickle=False)}
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_BYTES:
            raise UserError(f"{path} unpacks to {size} bytes; expected at most {LARGEST_BYTES}.")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"{path} holds Python objects, which are never unpickled; expected numbers."
            ) from None
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}.") from None


def to_images(array: np.ndarray, origin: str) -> np.ndarray:
    """Returns images as uint8 (N, C, H, W), or vectors as float32 (N, 1, 1, D).

    Args:
        array: uint8 (N, H, W), (N, C, H, W) or (N, H, W, C) with C of 1 or 3; or floating
            (N, D).
        origin: The file and the array's name, for an error.

    Raises:
        UserError: Another type or shape, no image, or a value that is not finite.
    """
    import numpy as np

    if array.ndim == 2 and array.dtype.kind == "f" and array.size:
        if not np.isfinite(array).all():
            raise UserError(f"{origin} holds values that are not finite.")
        return array.astype(np.float32)[:, None, None, :]
    if array.dtype != np.uint8:
        raise UserError(
            f"{origin} has type {array.dtype} and shape {array.shape}; "
            "expected images in uint8, or vectors in floating point of shape (N, D)."
        )
    if array.size and array.ndim == 3:
        return array[:, None]
    if array.size and array.ndim == 4 and array.shape[1] in (1, 3):
        return array
    if array.size and array.ndim == 4 and array.shape[3] in (1, 3):
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    raise UserError(
        f"{origin} has shape {array.shape}; "
        "expected (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3."
    )

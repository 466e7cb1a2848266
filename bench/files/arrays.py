"""Arrays from .npy and .npz files, never unpickled."""

from __future__ import annotations

import functools
import io
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    import numpy as np

LARGEST_BYTES = 64 << 30
USUAL_BYTES = 256 << 20  # More than this is bounded by the size of the file, too.
LARGEST_RATIO = 100
LARGEST_HEADER = 1 << 16
BLOCK = 16 << 20
# numpy evaluates the header of an array, so that nearly anything may be wrong with it.
_UNREADABLE = (
    *(ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError, OverflowError),
    *(TypeError, AttributeError, IndexError, SyntaxError, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error),
)


class _PythonObjects(Exception):
    """An array would have to be unpickled."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name; that of a .npy file has the name ``array``.

    Raises:
        UserError: The file is missing, unreadable, truncated, holds something else than arrays
            of numbers, or unpacks to more than 64 GiB, or to more than 256 MiB and a hundred
            times its size.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise UserError(f"{path} {what}; expected a .npy or .npz file.")
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return {"array": _read_array(file, path.stat().st_size)}
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_size(path, sum(entry.file_size for entry in entries))
            arrays = {}
            for entry in entries:
                with archive.open(entry) as member:
                    name = entry.filename.removesuffix(".npy")
                    arrays[name] = _read_array(member, entry.file_size)
            return arrays
    except _PythonObjects:
        raise UserError(
            f"{path} holds Python objects, which are never unpickled; expected numbers."
        ) from None
    except _UNREADABLE as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}.") from None


def _check_size(path: Path, size: int) -> None:
    ratio = size / max(1, path.stat().st_size)
    if size > LARGEST_BYTES or (size > USUAL_BYTES and ratio > LARGEST_RATIO):
        raise UserError(
            f"{path} unpacks to {size} bytes, {ratio:.0f} times its own size; expected at most "
            f"{LARGEST_BYTES}, and {LARGEST_RATIO} times."
        )


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """Returns the array of a stream of ``size`` bytes, its header held against that first."""
    import numpy as np
    from numpy.lib import format as form

    # numpy's own reader would allocate what the header claims before it looks at the file.
    version = form.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format is not known")
    width = 2 * version[0]
    length = int.from_bytes(file.read(width), "little")
    if length > LARGEST_HEADER:
        raise ValueError(f"its header has {length} bytes")
    shape, fortran, kind = _header(version, length.to_bytes(width, "little") + file.read(length))
    if kind.hasobject:
        raise _PythonObjects
    if not kind.itemsize or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of type {kind} and shape {shape} is not known")
    length = math.prod(shape) * kind.itemsize
    if length > size:
        raise ValueError(f"an array of {length} bytes is declared in {size} bytes")
    content = np.empty(length, np.uint8)
    for start in range(0, length, BLOCK):
        part = file.read(min(BLOCK, length - start))
        content[start : start + len(part)] = np.frombuffer(part, np.uint8)
        if len(part) < min(BLOCK, length - start):
            raise ValueError(f"it ends after {start + len(part)} of {length} bytes")
    file.read(1)  # At its end a zip file checks what it unpacked.
    return content.view(kind).reshape(shape, order="F" if fortran else "C")


@functools.lru_cache(maxsize=1024)
def _header(version: tuple[int, int], text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Returns shape, order and type of a header, which numpy takes a parser of Python to read."""
    from numpy.lib import format as form

    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    return read(io.BytesIO(text))


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
        with np.errstate(over="ignore"):
            vectors = array.astype(np.float32)
        if not np.isfinite(vectors).all():
            kind = "larger than float32 can hold" if np.isfinite(array).all() else "not finite"
            raise UserError(f"{origin} holds values that are {kind}.")
        return vectors[:, None, None, :]
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

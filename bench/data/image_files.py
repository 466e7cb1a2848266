"""Image files, read with a guard against damaged ones and decompression bombs."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .whole_image import UNREADABLE, whole_picture

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

LARGEST_PIXELS = 4096 * 4096
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA")
"""What is read at all: Pillow would run Ghostscript on an EPS file."""
Change = Callable[["Image.Image"], "Image.Image"]


class Fitted:
    """Brings images to one size: the largest square in the middle, resized.

    Args:
        size: Height and width in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._sides: list[int] = []

    def __call__(self, image: Image.Image) -> Image.Image:
        """Returns the image in the size."""
        from PIL import Image

        side = min(image.size)
        self._sides.append(side)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        return square.resize((self.size, self.size), Image.Resampling.BICUBIC)

    def note(self, count: int) -> str:
        """Returns what was done to so many images, in words."""
        # The first image is read twice, for the shape of all.
        smaller = sum(side < self.size for side in self._sides[1:])
        told = f"{count} images were brought to {self.size}x{self.size} pixels"
        return told + (f", {smaller} of them enlarged" if smaller else "")


def read_image(
    path: Path, size: tuple[int, int] | None = None, change: Change | None = None
) -> np.ndarray:
    """Returns one 8-bit image, uint8 of shape (C, H, W), C = 1 for grey and 3 for colour.

    Args:
        path: The file.
        size: The (height, width) that the file must have.
        change: What to do with the image before it becomes an array, such as a crop.

    Raises:
        UserError: The file is no image of a known format, damaged, larger than 4096x4096
            pixels, of another size, or holds more than one opaque 8-bit picture in grey or RGB.
    """
    import numpy as np
    from PIL import Image

    try:
        # From memory: of a file Pillow would first take whatever length a chunk declares.
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(image, path, size)
            picture = whole_picture(image, content, path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{path} claims too many pixels; expected at most 4096x4096.") from None
    except UNREADABLE as error:
        reason = re.sub(r" <_io.*>", "", " ".join(str(error).split())) or type(error).__name__
        raise UserError(f"{path} is not an image that can be read: {reason}.") from None
    array = np.asarray(change(picture) if change else picture)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _check_size(image: Image.Image, path: Path, size: tuple[int, int] | None) -> None:
    if image.width * image.height > LARGEST_PIXELS:
        raise UserError(
            f"{path} is {image.height}x{image.width} pixels; expected at most 4096x4096."
        )
    if size is not None and (image.height, image.width) != size:
        raise UserError(
            f"{path} is {image.height}x{image.width} pixels; expected {size[0]}x{size[1]}."
        )


class AnotherSize(UserError):
    """Images of one set differ in height or width."""


@contextmanager
def _warnings_as_errors() -> Iterator[None]:
    """Makes Pillow refuse what it would skip with a warning; in all threads."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("error", category=UserWarning, module="PIL")
        yield


@_warnings_as_errors()
def read_images(
    paths: Sequence[Path], size: tuple[int, int] | None = None, change: Change | None = None
) -> np.ndarray:
    """Returns images of one shape, uint8 of shape (N, C, H, W), in the order of the paths.

    Raises:
        UserError: A file cannot be read, or has another shape than the first.
    """
    import numpy as np

    first = read_image(paths[0], size, change)
    images = np.empty((len(paths), *first.shape), np.uint8)

    def place(index: int) -> None:
        image = read_image(paths[index], size, change)
        if image.shape != first.shape:
            kind = UserError if image.shape[1:] == first.shape[1:] else AnotherSize
            raise kind(
                f"{paths[index]} is {_words(image)}; expected {_words(first)} as {paths[0].name}."
            )
        images[index] = image

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for _ in pool.map(place, range(len(paths))):
                pass
        except UserError:
            pool.shutdown(cancel_futures=True)
            raise
    return images


def _words(image: np.ndarray) -> str:
    channels, height, width = image.shape
    return f"{channels}x{height}x{width} (channels, height, width)"

"""CelebA-HQ at 32x32 and 64x64, from the 128x128 images, split as CelebA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, number_of
from .celeba import PARTITION, PARTITION_MD5, read_partition
from .dataset import FolderSource, register
from .image_files import read_images
from .places import absent_files
from .source import Content, Part

if TYPE_CHECKING:
    from PIL import Image

INDEX = "CelebA-HQ-to-CelebA-mapping.txt"
IMAGES = "images"
SUFFIXES = (".jpg", ".png")


class CelebAHq(FolderSource):
    """24,183 / 2,993 / 2,824 colour images, resized by Pillow's bicubic filter, no crop.

    Read from a folder ``celebahq/`` with the images (``images/0.jpg`` .. or ``.png``, leading
    zeros allowed), CelebA-HQ's index of CelebA's files and CelebA's partition. That partition
    serves as ``default`` and as ``aef``.

    References:
        Progressive Growing of GANs (Karras et al., 2018), arXiv 1710.10196
    """

    alpha = 0.05

    def __init__(
        self,
        side: int,
        partition_md5: str | None = PARTITION_MD5,
        counts: tuple[int, int, int] = (24_183, 2_993, 2_824),
    ) -> None:
        self.name = f"celebahq-{side}"
        self.image_shape = (3, side, side)
        self.advice = (
            f"Put {IMAGES}/ (128x128), {INDEX} and {PARTITION} into a folder celebahq/ "
            "in AEBENCH_DATA"
        )
        self._side, self._partition_md5, self._counts = side, partition_md5, counts
        self.folders = ("celebahq",)

    def _missing(self, folder: Path) -> list[str]:
        """Returns the files that a folder lacks, or the folder of images."""
        absent = absent_files(folder, [PARTITION, INDEX])
        return absent if _images(folder) else [*absent, IMAGES]

    def _read_from(self, folder: Path) -> Content:
        partition = read_partition(folder, self._partition_md5)
        originals = read_index(folder / INDEX)
        if unknown := [name for name in originals.values() if name not in partition]:
            raise UserError(
                f"{folder / INDEX} names {unknown[0]}, which {PARTITION} does not have; "
                "expected both files as published."
            )
        files: dict[int, Path] = {}
        for path in _images(folder):
            if (twin := files.setdefault(int(path.stem), path)) != path:
                raise UserError(f"{folder / IMAGES} has {twin.name} and {path.name}; keep one.")
        parts = []
        for part, count in enumerate(self._counts):
            chosen = [i for i in sorted(originals) if partition[originals[i]] == part]
            if len(chosen) != count:
                found = number_of(len(chosen), "image")
                raise UserError(f"{folder / INDEX} has {found} of part {part}; expected {count}.")
            if absent := [index for index in chosen if index not in files]:
                raise UserError(f"{folder / IMAGES} lacks image {absent[0]}.")
            paths = [files[index] for index in chosen]
            parts.append(Part(read_images(paths, (128, 128), self._resize)))
        train, validation, test = parts
        return Content(train, test, validation)

    def _resize(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        return image.resize((self._side, self._side), Image.Resampling.BICUBIC)


def read_index(path: Path) -> dict[int, str]:
    """Returns CelebA's file name of each image of CelebA-HQ.

    Raises:
        UserError: A line is malformed.
    """
    originals = {}
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if len(words) != 3 or not words[0].isdecimal() or len(words[0]) > 9:
            raise UserError(
                f"{path} line {number} is '{line}'; expected an index, CelebA's index and file."
            )
        originals[int(words[0])] = words[2]
    return originals


def _images(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted((folder / IMAGES).glob("*"))
        if path.suffix in SUFFIXES and path.stem.isdecimal()
    ]


register(CelebAHq(32))
register(CelebAHq(64))

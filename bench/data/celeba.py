"""CelebA: faces cropped to 140x140 and resized to 64x64, official split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .dataset import FolderSource, register
from .idx import download
from .image_files import read_images
from .places import absent_files, verify
from .source import Content, Part

if TYPE_CHECKING:
    from PIL import Image

PARTITION = "list_eval_partition.txt"
PARTITION_MD5 = "d32c9cbf5e040fd4025c592c306e6668"
IMAGES = "img_align_celeba"
SIZE = (218, 178)
CROP = (19, 39, 159, 179)
"""Left, upper, right and lower bound: columns 19..158, rows 39..178."""


class CelebA(FolderSource):
    """162,770 / 19,867 / 19,962 colour images of 64x64, resized with Lanczos' filter.

    The published split serves as ``default`` and as ``aef``. torchvision's loader wants every
    annotation file; here the images and the partition suffice.

    References:
        Deep Learning Face Attributes in the Wild (Liu et al., 2015), arXiv 1411.7766
    """

    name = "celeba"
    image_shape = (3, 64, 64)
    alpha = 0.05
    preset = "celeba"
    downloadable = True
    advice = (
        "Get it with: aebench data celeba --download "
        f"(or put {IMAGES}/ and {PARTITION} into a folder celeba/)"
    )

    def __init__(self, partition_md5: str | None = PARTITION_MD5) -> None:
        self._partition_md5 = partition_md5
        self.folders = (self.name, "CelebA")

    def fetch(self) -> None:
        """Downloads by torchvision, which needs the package gdown for it."""

        def load(folder: Path) -> None:
            from torchvision.datasets import CelebA as Loader

            Loader(str(folder), download=True)

        download(self.name, self.name, load)

    def check(self) -> None:
        """Checks partition and presence of all images, without decoding them."""
        self.first_whole(self._partition)

    def _partition(self, folder: Path) -> dict[str, int]:
        return read_partition(folder, self._partition_md5)

    def _missing(self, folder: Path) -> list[str]:
        if not (folder / PARTITION).is_file():
            return [PARTITION]
        names = {entry.name for entry in (folder / IMAGES).glob("*")}
        return [f"{IMAGES}/{name}" for name in read_partition(folder, None) if name not in names]

    def _read_from(self, folder: Path) -> Content:
        partition = self._partition(folder)
        parts = []
        for part in (0, 1, 2):
            paths = [folder / IMAGES / name for name, of in partition.items() if of == part]
            if not paths:
                raise UserError(f"{folder / PARTITION} assigns no image to part {part}.")
            parts.append(Part(read_images(paths, SIZE, crop)))
        train, validation, test = parts
        return Content(train, test, validation)


def read_partition(folder: Path, md5: str | None) -> dict[str, int]:
    """Returns the part of each image, by file name: 0 training, 1 validation, 2 test.

    Raises:
        UserError: The file is missing, malformed or has another digest.
    """
    path = folder / PARTITION
    if absent_files(folder, [PARTITION]):
        raise UserError(f"{path} is not there.")
    content = path.read_bytes()
    if md5:
        verify(content, md5, path)
    partition = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        words = line.split()
        if len(words) != 2 or words[1] not in ("0", "1", "2") or Path(words[0]).name != words[0]:
            raise UserError(f"{path} line {number} is '{line}'; expected a file name and 0..2.")
        partition[words[0]] = int(words[1])
    return partition


def crop(image: Image.Image) -> Image.Image:
    """Returns the centre 140x140 of an aligned image, resized to 64x64 with antialiasing."""
    from PIL import Image

    return image.crop(CROP).resize((64, 64), Image.Resampling.LANCZOS)


register(CelebA())

"""CIFAR-10 from its binary version; the pickled one is never read."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from .dataset import FolderSource, register
from .idx import download
from .places import absent_files, verify
from .source import Content, Part

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
RECORD = 1 + 3 * 32 * 32


class Cifar10(FolderSource):
    """Colour images of 32x32 in ten classes, 50,000 + 10,000.

    Read from the archive, verified by its published MD5, or from the unpacked ``.bin`` files,
    of which no digest is published: these are held against size and equal class counts.

    References:
        Learning Multiple Layers of Features from Tiny Images (Krizhevsky, 2009)
    """

    name = "cifar10"
    image_shape = (3, 32, 32)
    alpha = 0.05
    preset = "cifar10"
    downloadable = True
    advice = "Get it with: aebench data cifar10 --download"

    def __init__(self, images_per_file: int = 10_000, held_out: int = 10_000) -> None:
        self._per_file, self._held_out = images_per_file, held_out
        self.folders = (self.name, FOLDER, "CIFAR10")

    def fetch(self) -> None:
        """Downloads the archive."""

        def load(folder: Path) -> None:
            from torchvision.datasets.utils import download_url

            download_url(URL, str(folder / self.name), ARCHIVE, ARCHIVE_MD5)

        download(self.name, self.name, load)

    def _missing(self, folder: Path) -> list[str]:
        if (folder / ARCHIVE).is_file():
            return []
        return absent_files(_unpacked(folder), [*TRAIN, TEST])

    def _read_from(self, folder: Path) -> Content:
        if absent_files(_unpacked(folder), [*TRAIN, TEST]):
            content = self._read_archive(folder / ARCHIVE)
        else:
            content = self._content(lambda name: _read_bytes(_unpacked(folder) / name), folder)
        return content

    def _read_archive(self, path: Path) -> Content:
        verify(_read_bytes(path), ARCHIVE_MD5, path)
        try:
            with tarfile.open(path) as archive:

                def member(name: str) -> bytes:
                    file = archive.extractfile(f"{FOLDER}/{name}")
                    return file.read() if file else b""

                return self._content(member, path)
        except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
            raise UserError(f"{path} cannot be read: {error}.") from None

    def _content(self, read: Callable[[str], bytes], origin: Path) -> Content:
        import numpy as np

        parts = [self._parse(read(name), origin / name) for name in (*TRAIN, TEST)]
        images = np.concatenate([images for images, _ in parts[:-1]])
        labels = np.concatenate([labels for _, labels in parts[:-1]])
        train, test = Part(images, labels), Part(*parts[-1])
        for known, of in ((labels, "the training files"), (parts[-1][1], TEST)):
            counts = np.bincount(known, minlength=10)
            if len(set(counts)) != 1:
                raise UserError(
                    f"{origin}: classes of {of} have {counts.tolist()} images; expected equal "
                    "counts."
                )
        return Content(train, test, held_out=self._held_out)

    def _parse(self, content: bytes, path: Path) -> tuple:
        import numpy as np

        expected = self._per_file * RECORD
        if len(content) != expected:
            kind = "truncated" if len(content) < expected else "too long"
            raise UserError(f"{path} is {kind}: {len(content)} bytes; expected {expected}.")
        records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
        labels = records[:, 0]
        if labels.max() > 9:
            raise UserError(f"{path} holds label {labels.max()}; expected 0 to 9.")
        return records[:, 1:].reshape(-1, 3, 32, 32), labels


def _unpacked(folder: Path) -> Path:
    nested = folder / FOLDER
    return nested if nested.is_dir() else folder


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


register(Cifar10())

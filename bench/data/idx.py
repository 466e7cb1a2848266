"""IDX files, the format of MNIST, plain or gzipped; and the downloads of torchvision."""

from __future__ import annotations

import contextlib
import gzip
import math
import shutil
import socket
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunFailed, UserError
from ..interruption import Stopped
from .dataset import FolderSource
from .places import absent_files, cache_root, verify
from .source import Content, Part

if TYPE_CHECKING:
    import numpy as np

UNSIGNED_BYTE = 8


class IdxSource(FolderSource):
    """60,000 + 10,000 grey images of 28x28, in the four files of MNIST's format.

    torchvision's own reader takes neither the archives that distributions ship nor notices a
    damaged file, so the files are read here; torchvision does the download.

    Args:
        name: The data set.
        class_name: Its class in torchvision, which names the folder there.
        contents: MD5 or SHA-256 of each file when unpacked, by its name without ``.gz``.
        archives: MD5 of each ``.gz``; checked where the digest of the content is not known.
        counts: Count of training and of test images.
        side: Height and width.
        held_out: Count of training images held out by the default split.
    """

    def __init__(
        self,
        name: str,
        class_name: str,
        *,
        contents: dict[str, str] | None = None,
        archives: dict[str, str] | None = None,
        counts: tuple[int, int] = (60_000, 10_000),
        side: int = 28,
        held_out: int = 10_000,
    ) -> None:
        self.name = name
        self.image_shape = (1, side, side)
        self.downloadable = True
        self.advice = f"Get it with: aebench data {name} --download"
        self._class_name = class_name
        self._contents, self._archives = contents or {}, archives or {}
        self._counts, self._held_out = counts, held_out
        folders = (name, f"{class_name}/raw", class_name)
        self.folders = folders

    def fetch(self) -> None:
        """Downloads by torchvision, into a new folder that then takes its place."""

        def load(folder: Path) -> None:
            import torchvision.datasets

            getattr(torchvision.datasets, self._class_name)(str(folder), download=True)

        download(self.name, self._class_name, load)

    def _missing(self, folder: Path) -> list[str]:
        names = [f"{stem}-{kind}" for stem in ("train", "t10k") for kind in _KINDS]
        return [
            f"{name}.gz"
            for name in names
            if absent_files(folder, [name]) and absent_files(folder, [f"{name}.gz"])
        ]

    def _read_from(self, folder: Path) -> Content:
        parts = []
        _, *size = self.image_shape or (1, 28, 28)
        for stem, count in zip(("train", "t10k"), self._counts, strict=True):
            images = self._array(folder / f"{stem}-{_KINDS[0]}", (count, *size))
            labels = self._array(folder / f"{stem}-{_KINDS[1]}", (count,))
            parts.append(Part(images[:, None], labels))
        train, test = parts
        return Content(train, test, held_out=self._held_out)

    def _array(self, path: Path, shape: tuple[int, ...]) -> np.ndarray:
        archive = path.with_name(f"{path.name}.gz")
        content_digest = self._contents.get(path.name)
        archive_digest = self._archives.get(archive.name)
        if not archive.is_file() or (content_digest and path.is_file()):
            return read_idx(path, shape, content_digest)
        if archive_digest and not content_digest:
            verify(archive.read_bytes(), archive_digest, archive)
        return read_idx(archive, shape, content_digest)


_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read_idx(path: Path, shape: tuple[int, ...], digest: str | None = None) -> np.ndarray:
    """Returns the unsigned bytes of an IDX file.

    Args:
        path: The file; gzipped if its name ends in ``.gz``.
        shape: The shape that the file must have.
        digest: MD5 or SHA-256 of the unpacked file, where known.

    Raises:
        UserError: The file is unreadable, truncated, too long, not IDX, of another shape or
            has another digest.
    """
    import numpy as np

    header = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    header += b"".join(size.to_bytes(4, "big") for size in shape)
    expected = len(header) + math.prod(shape)
    # One byte more than expected tells a longer file without unpacking all of it.
    content = _unpack(path, expected + 1)
    if content[:4] != header[:4]:
        raise UserError(
            f"{path} begins with {content[:4].hex() or 'nothing'}; expected {header[:4].hex()} "
            f"(IDX, unsigned bytes, {len(shape)} axes)."
        )
    if content[: len(header)] != header:
        axes = range(4, len(header), 4)
        found = tuple(int.from_bytes(content[i : i + 4], "big") for i in axes)
        raise UserError(f"{path} holds an array of shape {found}; expected {shape}.")
    if len(content) < expected:
        raise UserError(f"{path} is truncated: {len(content)} bytes; expected {expected}.")
    if len(content) > expected:
        raise UserError(f"{path} is too long: expected {expected} bytes.")
    if digest:
        verify(content, digest, path)
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _unpack(path: Path, limit: int) -> bytes:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(limit)
    except EOFError:
        raise UserError(f"{path} is truncated: its gzip stream has no end.") from None
    except (OSError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None


def download(name: str, folder_name: str, load: Callable[[Path], None]) -> None:
    """Lets ``load`` fill a new folder of the cache and puts its ``folder_name`` in place.

    An interrupted download leaves nothing behind, a repeated one replaces the old files. A link
    is replaced, too, and what it leads to is left.

    Raises:
        RunFailed: The network or the disk failed.
    """
    root = cache_root()
    with _network_errors(name):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as scratch:
            with contextlib.redirect_stdout(sys.stderr):
                load(Path(scratch))
            target = root / folder_name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
            (Path(scratch) / folder_name).rename(target)


@contextlib.contextmanager
def _network_errors(name: str) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        yield
    except (UserError, RunFailed, Stopped):
        raise
    except Exception as error:  # gdown, http and zipfile have nothing else in common.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise RunFailed(f"The download of '{name}' failed: {reason}.") from error
    finally:
        socket.setdefaulttimeout(before)

"""Weights files that do not come with a package: where they lie, and fetching them on request."""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from .extractor import MissingWeights

MOST_DECLARED = 8
LARGEST_PICKLE = 64 << 20
COUNTS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")


@dataclass(frozen=True)
class WeightsFile:
    """A published weights file.

    Attributes:
        name: File name in torch's hub cache.
        digest: Its SHA-256 in hex, or a prefix of it; empty where none is published.
        url: Where it is downloaded from on request.
        variable: Environment variable that may hold a path instead; empty where there is none.
        others: Other names under which the same file is found.
    """

    name: str
    digest: str
    url: str
    variable: str = ""
    others: tuple[str, ...] = ()

    def find(self, extractor: str, given: Path | None, download: bool) -> Path:
        """Returns the file's path: the one given, the variable's, the cache's, the download.

        Raises:
            MissingWeights: It is nowhere, and downloading was not asked for.
        """
        chosen = given or self._from_variable()
        if chosen is not None:
            if not chosen.is_file():
                raise MissingWeights(f"Weights of '{extractor}' are not at {chosen}.")
            return chosen
        for path in self._cached():
            if path.is_file():
                return path
        if not download:
            raise MissingWeights(self._advice(extractor))
        path = hub_folder() / "checkpoints" / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            self.url, str(path), hash_prefix=self.digest or None, progress=False
        )
        return path

    def check(self, extractor: str, digest: str) -> None:
        """Checks the digest of a file that was found in the cache.

        Raises:
            ValueError: It is another file than the published one.
        """
        if not digest.startswith(self.digest):
            raise ValueError(
                f"Weights '{self.name}' of '{extractor}' have SHA-256 {digest[:12]}; "
                f"expected {self.digest[:12]}."
            )

    def _from_variable(self) -> Path | None:
        value = os.environ.get(self.variable, "") if self.variable else ""
        return Path(value).expanduser() if value else None

    def _cached(self) -> Iterable[Path]:
        return (hub_folder() / "checkpoints" / name for name in (self.name, *self.others))

    def _advice(self, extractor: str) -> str:
        digest = f" (SHA-256 {self.digest[:12]}...)" if self.digest else ""
        variable = f", or set {self.variable} to its path" if self.variable else ""
        return (
            f"Weights '{self.name}'{digest} of '{extractor}' are missing; put the file into "
            f"{hub_folder() / 'checkpoints'}{variable}, or fetch it with "
            f"'aebench evaluate ... --features {extractor} --download' from {self.url}"
        )


def check_sizes(path: Path) -> None:
    """Checks, before torch allocates, that a file holds about what its pickle declares.

    The pickle is walked over and not carried out.

    Raises:
        ValueError: It declares sizes that sum to more than eight times that of the file.
    """
    size = path.stat().st_size
    declared = 0
    with path.open("rb") as file:
        for stream in _pickles(file):
            for code, value, _ in pickletools.genops(stream):
                if isinstance(value, int) and code.name in COUNTS:
                    declared += abs(value)
            if declared > MOST_DECLARED * size:
                raise ValueError(f"it declares sizes of {declared} and has {size} bytes")


def _pickles(file: IO[bytes]) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".pkl") and entry.file_size <= LARGEST_PICKLE:
                    yield io.BytesIO(archive.read(entry))
        return
    file.seek(0)
    start = io.BytesIO(file.read(LARGEST_PICKLE))
    # torch's older form: five pickles in a row. The first is a magic number, which is large and
    # would be taken for a size.
    for _ in pickletools.genops(start):
        pass
    for _ in range(4):
        yield start


def hub_folder() -> Path:
    """Returns torch's hub folder, which ``TORCH_HOME`` moves."""
    return Path(torch.hub.get_dir())

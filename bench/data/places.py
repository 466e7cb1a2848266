"""Where data files are looked for, and what is said when they are not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import platformdirs

from ..errors import UserError

T = TypeVar("T")

VARIABLE = "AEBENCH_DATA"


class MissingData(UserError):
    """There is no trace of a data set in any of the places."""


def cache_root() -> Path:
    """Returns the folder that downloads go to."""
    return Path(platformdirs.user_cache_dir("aebench")) / "data"


def roots() -> list[Path]:
    """Returns the folders that hold one folder a data set, in the order of the look-up.

    These are ``AEBENCH_DATA`` (several are separated as in ``PATH``), the platform's usual
    places, then the cache.

    Raises:
        UserError: ``AEBENCH_DATA`` names a folder that does not exist.
    """
    given = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    for folder in given:
        if not os.path.isdir(folder):  # noqa: PTH112
            raise UserError(f"{VARIABLE} names '{folder}'; expected an existing folder.")
    caches = Path(platformdirs.user_cache_dir())
    usual = [
        Path("/usr/share/datasets"),
        Path("/usr/local/share/datasets"),
        Path(platformdirs.user_data_dir("aebench")),
        caches / "torchvision",
        caches / "torch" / "datasets",
    ]
    return [*given, *usual, cache_root()]


@dataclass(frozen=True)
class Lookup:
    """The search for the folder of one data set.

    Args:
        name: The data set, as in an error message.
        folders: Its possible folders below a root, such as ``("mnist", "MNIST/raw")``.
        advice: How to get the data set, as the end of a sentence's line.
        elsewhere: Folders outside of the roots, looked at last.
    """

    name: str
    folders: tuple[str, ...]
    advice: str
    elsewhere: Sequence[Path] = ()

    def candidates(self) -> list[Path]:
        """Returns the existing folders, in the order of the look-up."""
        below = [root / folder for root in roots() for folder in self.folders]
        places = [*below, *self.elsewhere]
        # Below a folder that may not be entered, `Path.is_dir` raises; this says no.
        return [place for place in places if os.path.isdir(place)]  # noqa: PTH112

    def read_first(self, missing: Callable[[Path], list[str]], read: Callable[[Path], T]) -> T:
        """Returns what ``read`` makes of the first whole folder.

        A folder that lacks a file or holds a broken one is passed over, so that a download
        always helps; where no folder is whole, the first trouble is the error.

        Raises:
            UserError: No folder is whole.
        """
        trouble = None
        for folder in self.candidates():
            try:
                absent = missing(folder)
                if not absent:
                    return read(folder)
                trouble = trouble or self.incomplete(folder, absent)
            except UserError as error:
                trouble = trouble or self.broken(error)
            except OSError as error:
                told = f"{error.filename or folder} cannot be read: {error.strerror or error}."
                trouble = trouble or self.broken(UserError(told))
        raise trouble or self.absent()

    def absent(self) -> MissingData:
        """Returns the error for a data set of which there is no trace."""
        looked = ", ".join(str(root) for root in roots())
        unset = "" if os.environ.get(VARIABLE) else f"; {VARIABLE} is not set"
        return MissingData(
            f"Data set '{self.name}' is missing: no folder {' or '.join(self.folders)} "
            f"in {looked}{unset}. {self.advice}"
        )

    def incomplete(self, folder: Path, absent: list[str]) -> UserError:
        """Returns the error for a folder that lacks files."""
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        return UserError(
            f"Data set '{self.name}' is not whole: {folder} lacks {absent[0]}{more}. {self.advice}"
        )

    def broken(self, error: UserError) -> UserError:
        """Returns the error for a folder with a bad file, which ``error`` describes."""
        return UserError(f"Data set '{self.name}' is not whole: {error} {self.advice}")


def absent_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Returns the names of which the folder has no file."""
    return [name for name in names if not os.path.isfile(folder / name)]  # noqa: PTH113


def verify(content: bytes, expected: str, path: Path) -> None:
    """Checks content against an MD5 (32 hex digits) or SHA-256 (64 hex digits).

    Raises:
        UserError: The digests differ.
    """
    algorithm = "md5" if len(expected) == 32 else "sha256"
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise UserError(f"{path} has {algorithm} {found}; expected {expected}.")

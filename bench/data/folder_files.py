"""The files below a folder, links followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError

Identity = tuple[int, int]


def image_paths(folder: Path) -> list[Path]:
    """Returns all files below a folder, sorted; hidden files and folders are passed over.

    A link stands for what it points to. One that leads back to a folder around it ends there.

    Raises:
        UserError: A link points to nothing, two ways lead to one folder, something is neither
            file nor folder, or a folder cannot be read.
    """
    return sorted(_below(folder, {}, frozenset()))


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """Returns what lies in a folder, hidden entries left out, sorted by name.

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from None
    return sorted(found, key=lambda entry: entry.name)


def _below(
    folder: Path, known: dict[Identity, Path], around: frozenset[Identity]
) -> Iterator[Path]:
    entries = visible(folder)
    about = folder.stat()
    identity = (about.st_dev, about.st_ino)
    if identity in around:
        return
    if (first := known.setdefault(identity, folder)) != folder:
        raise UserError(
            f"{first} and {folder} are the same folder; its images would count twice: "
            "remove the link, or copy them."
        )
    for entry in entries:
        yield from _one(entry, known, around | {identity})


def _one(
    entry: os.DirEntry[str], known: dict[Identity, Path], around: frozenset[Identity]
) -> Iterator[Path]:
    path = Path(entry.path)
    try:
        kind = path.stat().st_mode
    except OSError as error:
        if entry.is_symlink():
            raise UserError(
                f"{path} is a link to {path.readlink()}, where nothing can be read; "
                "mend or remove it."
            ) from None
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if stat.S_ISDIR(kind):
        yield from _below(path, known, around)
    elif stat.S_ISREG(kind):
        yield path
    else:
        raise UserError(f"{path} is neither a file nor a folder; expected images.")

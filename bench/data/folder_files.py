"""The files below a folder, links followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UserError

Identity = tuple[int, int]

# What lies beside images without being one, by its name alone: a damaged image stays an error.
NO_IMAGES = frozenset(
    {
        *(".csv", ".db", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".pdf"),
        *(".rst", ".toml", ".tsv", ".txt", ".xml", ".yaml", ".yml"),
    }
)
NAMED = 3


def image_paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns all files below a folder that may be images, and those that are none; sorted.

    Hidden files and folders are left out. A link stands for what it points to. One that leads
    back to a folder around it ends there.

    Raises:
        UserError: A link points to nothing, two ways lead to one folder, something is neither
            file nor folder, or a folder cannot be read.
    """
    found = sorted(_below(folder, {}, frozenset()))
    others = [path for path in found if is_no_image(path.name)]
    return [path for path in found if not is_no_image(path.name)], others


def is_no_image(name: str) -> bool:
    """Says whether a file is, by the end of its name, a text or a table and no image."""
    return Path(name).suffix.lower() in NO_IMAGES


def passed_over(folder: Path, others: Sequence[Path]) -> str:
    """Returns the words on files that are no images; empty where there are none."""
    if not others:
        return ""
    names = [path.relative_to(folder).as_posix() for path in others[:NAMED]]
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    files = "1 file is no image" if len(others) == 1 else f"{len(others)} files are no images"
    verb = "is" if len(others) == 1 else "are"
    return f"{files} and {verb} passed over: {', '.join(names)}{more}"


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

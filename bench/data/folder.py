"""A folder of images as a data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, number_of
from .dataset import Source, register
from .folder_files import is_no_image, passed_over, visible
from .images import read_folder
from .order import shuffled
from .ranges import check_ranges
from .source import Content, Part

if TYPE_CHECKING:
    import numpy as np

SIZED = re.compile(r"(.+)@([1-9]\d{0,3})")
PART_NAMES = {"train", "validation", "valid", "val", "test"}


class Folder(Source):
    """All files below a folder, images of one size, grey or RGB; texts and tables are passed over.

    With sub-folders ``train`` and ``test`` (and perhaps ``validation``) these are the parts.
    Otherwise the last tenth is the test and the tenth before it the validation part. Each set
    is first shuffled by a fixed seed, and what the files are called does not matter. Hidden
    files are passed over. ``folder:PATH@32`` brings images of any size to 32x32 pixels.
    """

    name = "folder:PATH"
    advice = "Give the path of a folder of images of one size."

    def __init__(self, path: Path | None = None, size: int = 0) -> None:
        self._path, self._size = path, size
        if path is not None:
            self.name = f"folder:{path}" + (f"@{size}" if size else "")

    def at(self, path: str) -> Folder:
        """Returns the data set of this folder; its images decide the alpha.

        Raises:
            UserError: Two folders may be meant.
        """
        found = SIZED.fullmatch(path)
        if found is None:
            return Folder(Path(path))
        folder, size = Path(found[1]), int(found[2])
        if not Path(path).exists():
            return Folder(folder, size)
        if folder.exists():
            raise UserError(
                f"'{path}' is a folder, and may mean the images of '{folder}' in {size}x{size} "
                "pixels; rename one of the two folders."
            )
        return Folder(Path(path))

    def read(self) -> Content:
        """Returns the images of the folder."""
        path = self._path
        if path is None:
            raise UserError("'folder:PATH' needs a path, such as folder:images.")
        if not path.is_dir():
            what = "is no folder" if path.exists() else "is not there"
            raise UserError(f"{path} {what}; expected a folder of images.")
        parts = {part: path / part for part in ("train", "validation", "test")}
        names = {entry.name for entry in visible(path) if not is_no_image(entry.name)}
        if parts["train"].is_dir() and parts["test"].is_dir():
            if extra := sorted(names - parts.keys()):
                raise UserError(f"{path} has '{extra[0]}' beside the folders train and test.")
            sets = {
                name: read_folder(at, self._size) for name, at in parts.items() if name in names
            }
            content = from_parts({name: Part(s.items) for name, s in sets.items()}, str(path))
            beside = [path / e.name for e in visible(path) if is_no_image(e.name)]
            notes = [f"{name}: {s.note}" for name, s in sets.items() if s.note]
            notes = [passed_over(path, beside), *notes] if beside else notes
        elif names and names <= PART_NAMES:
            raise UserError(
                f"{path} holds {', '.join(sorted(names))}; expected train and test (and perhaps "
                "validation), or one folder of images."
            )
        else:
            found = read_folder(path, self._size)
            content = from_one(found.items, str(path))
            notes = [found.note] if found.note else []
        self.alpha, self.note = alpha_for(content), "; ".join(notes)
        return content

    def where(self) -> str:
        """Returns the folder, and what of it is passed over."""
        return f"{self._path}; {self.note}" if self.note else str(self._path)


def from_parts(parts: dict[str, Part], origin: str) -> Content:
    """Returns given parts, of which ``validation`` may be absent, each of them shuffled.

    Raises:
        UserError: The parts differ in shape or scale, or their range cannot be right.
    """
    shapes = {name: part.images.shape[1:] for name, part in parts.items()}
    for name, shape in shapes.items():
        if shape != shapes["train"]:
            raise UserError(f"{origin}: '{name}' holds {shape}; expected {shapes['train']}.")
    check_ranges({f"{origin}: '{name}'": part.images for name, part in parts.items()})
    held_out = max(1, len(parts["train"].images) // 10)
    mixed = {name: shuffled(part) for name, part in parts.items()}
    own = mixed.get("validation")
    return Content(mixed["train"], mixed["test"], own, held_out, shuffled=True)


def from_one(images: np.ndarray, origin: str, labels: np.ndarray | None = None) -> Content:
    """Returns one set of images, shuffled: a tenth each to validate and to test.

    Raises:
        UserError: There are fewer than three images, or their range cannot be right.
    """
    count = len(images)
    if count < 3:
        raise UserError(f"{origin} holds {number_of(count, 'image')}; expected at least 3.")
    check_ranges({origin: images})
    tenth = max(1, count // 10)
    everything = shuffled(Part(images, labels))
    train, test = (everything.take(part) for part in (slice(-tenth), slice(-tenth, None)))
    return Content(train, test, held_out=tenth, shuffled=True)


def alpha_for(content: Content) -> float:
    """Returns AEF's alpha: 1e-6 for grey, 0.05 for colour."""
    return 1e-6 if content.train.images.shape[1] == 1 else 0.05


register(Folder())

"""A folder of images as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .dataset import Source, register
from .images import read_folder
from .source import Content, Part

if TYPE_CHECKING:
    import numpy as np

SHUFFLE_SEED = 0


class Folder(Source):
    """All files below a folder, which must be images of one size, grey or RGB.

    With sub-folders ``train`` and ``test`` (and perhaps ``validation``) these are the parts.
    Otherwise the files, sorted by path, are shuffled by a fixed seed; the last tenth is the
    test and the tenth before it the validation part. Hidden files are passed over.
    """

    name = "folder:PATH"
    advice = "Give the path of a folder of images of one size."

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        if path is not None:
            self.name = f"folder:{path}"

    def at(self, path: str) -> Folder:
        """Returns the data set of this folder; its images decide the alpha."""
        return Folder(Path(path))

    def read(self) -> Content:
        """Returns the images of the folder."""
        path = self._path
        if path is None:
            raise UserError("'folder:PATH' needs a path, such as folder:images.")
        if not path.is_dir():
            raise UserError(f"{path} is not there; expected a folder of images.")
        parts = {part: path / part for part in ("train", "validation", "test")}
        if parts["train"].is_dir() and parts["test"].is_dir():
            extra = [entry.name for entry in _visible(path) if entry.name not in parts]
            if extra:
                raise UserError(f"{path} has '{extra[0]}' beside the folders train and test.")
            images = {name: read_folder(part) for name, part in parts.items() if part.is_dir()}
            content = from_parts(images, str(path))
        else:
            content = from_one(read_folder(path), str(path))
        self.alpha = alpha_for(content)
        return content

    def where(self) -> str:
        """Returns the folder."""
        return str(self._path)


def from_parts(images: dict[str, np.ndarray], origin: str) -> Content:
    """Returns given parts, of which ``validation`` may be absent.

    Raises:
        UserError: The parts differ in the shape of their images.
    """
    shapes = {name: array.shape[1:] for name, array in images.items()}
    for name, shape in shapes.items():
        if shape != shapes["train"]:
            raise UserError(f"{origin}: '{name}' holds {shape}; expected {shapes['train']}.")
    validation = Part(images["validation"]) if "validation" in images else None
    train = images["train"]
    held_out = max(1, len(train) // 10)
    return Content(Part(train), Part(images["test"]), validation, held_out)


def from_one(images: np.ndarray, origin: str) -> Content:
    """Returns one set of images, shuffled by a fixed seed: a tenth each to hold out.

    Raises:
        UserError: There are fewer than three images.
    """
    import numpy as np

    count = len(images)
    if count < 3:
        raise UserError(f"{origin} holds {count} images; expected at least 3.")
    images = images[np.random.default_rng(SHUFFLE_SEED).permutation(count)]
    tenth = max(1, count // 10)
    return Content(Part(images[:-tenth]), Part(images[-tenth:]), held_out=tenth)


def alpha_for(content: Content) -> float:
    """Returns AEF's alpha: 1e-6 for grey, 0.05 for colour."""
    return 1e-6 if content.train.images.shape[1] == 1 else 0.05


def _visible(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))


register(Folder())

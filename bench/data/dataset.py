"""Where data sets come from: one registry of sources, and how a data set is loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...models.registry import Registry
from ..errors import UserError
from .places import Lookup, MissingData
from .source import Content, Part, State
from .splits import SHUFFLED, Dataset, Shape, check_split, divide

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class Source(ABC):
    """One data set as a plug-in: what it is, how it is read, where it comes from.

    A subclass sets the attributes and overrides :meth:`read`; one that needs files also
    overrides :meth:`where`, and :meth:`fetch` where it can be downloaded.
    """

    name: str
    image_shape: Shape | None = None
    alpha = 1e-6
    preset = "mnist"
    default_space = "unit"
    native = True
    form = ""
    note = ""
    downloadable = False
    advice = "Always there."

    @abstractmethod
    def read(self) -> Content:
        """Returns the whole, verified content.

        Raises:
            UserError: A file is missing or broken.
        """

    def where(self) -> str:
        """Returns the place in words, for a whole data set."""
        return "in memory"

    def fetch(self) -> None:
        """Downloads the data set to the cache.

        Raises:
            UserError: There is nothing to download, or nothing to download from.
        """
        raise UserError(f"Data set '{self.name}' has no download. {self.advice}")

    def truth(self) -> Any:  # noqa: ANN401
        """Returns the distribution that the data was drawn from, or none."""
        return None

    def at(self, path: str) -> Source:
        """Returns the source for the path after the colon of ``scheme:PATH``."""
        raise UserError(f"Data set '{self.name}' takes no path; got '{path}'.")

    def check(self) -> None:
        """Checks the files; one that reads slowly may check less than :meth:`read`.

        Raises:
            UserError: A file is missing or broken.
        """
        self.read()

    def state(self) -> State:
        """Checks the files to say whether the data set is whole."""
        try:
            self.check()
        except UserError as error:
            condition = "missing" if isinstance(error, MissingData) else "broken"
            return State(condition, str(error), self.advice)
        return State("whole", self.where(), self.advice)

    def load(self, split: str = "default") -> Dataset:
        """Reads the data set and splits it."""
        content = self.read()
        train, validation, test = divide(content, split)
        return assemble(self, train, validation, test, split + SHUFFLED * content.shuffled)


class FolderSource(Source):
    """A data set in a folder of its own below one of the usual roots.

    A subclass says which folders may hold it (``folders``), what one of them lacks
    (``_missing``), and how its files are read (``_read_from``).
    """

    folders: tuple[str, ...]
    _used: Path | None = None

    @abstractmethod
    def _missing(self, folder: Path) -> list[str]:
        """Returns the files that a folder lacks."""

    @abstractmethod
    def _read_from(self, folder: Path) -> Content:
        """Returns the verified content of a folder that lacks nothing.

        Raises:
            UserError: A file is broken.
        """

    def read(self) -> Content:
        """Returns the content of the first whole folder."""
        return self.first_whole(self._read_from)

    def where(self) -> str:
        """Returns the folder of the last reading."""
        return str(self._used)

    def first_whole(self, read: Callable[[Path], T]) -> T:
        """Returns what ``read`` makes of the first folder where it succeeds.

        Raises:
            UserError: No folder is whole.
        """

        def remembered(folder: Path) -> T:
            found = read(folder)
            self._used = folder
            return found

        lookup = Lookup(self.name, self.folders, self.advice, self.elsewhere())
        return lookup.read_first(self._missing, remembered)

    def elsewhere(self) -> list[Path]:
        """Returns folders outside of the usual roots, looked at last."""
        return []


class PaddedView(Source):
    """A 28x28 data set at 32x32, by two zero pixels more on each side."""

    native = False

    def __init__(self, base: Source) -> None:
        self.base = base
        self.name = f"{base.name}-32"
        self.image_shape = (base.image_shape[0], 32, 32) if base.image_shape else None
        self.alpha, self.preset = base.alpha, base.preset
        self.downloadable, self.advice = base.downloadable, base.advice

    def read(self) -> Content:
        """Returns the base's content, padded."""
        import numpy as np

        def pad(part: Part) -> Part:
            return Part(np.pad(part.images, ((0, 0), (0, 0), (2, 2), (2, 2))), part.labels)

        content = self.base.read()
        validation = None if content.validation is None else pad(content.validation)
        train, test = pad(content.train), pad(content.test)
        return replace(content, train=train, test=test, validation=validation)

    def where(self) -> str:
        """Returns where the base is."""
        return self.base.where()

    def fetch(self) -> None:
        """Downloads the base."""
        self.base.fetch()


DATASETS: Registry[Source] = Registry(
    "data set", folder="aebench.bench.data", group="aebench.bench"
)

SourceT = TypeVar("SourceT", bound=Source)


def register(source: SourceT) -> SourceT:
    """Files a source under its name, and one of 28x28 images also under ``NAME-32``."""
    DATASETS.register(source.name)(source)
    if source.image_shape is not None and source.image_shape[1:] == (28, 28):
        DATASETS.register(f"{source.name}-32")(PaddedView(source))
    return source


def find_source(name: str) -> Source:
    """Returns the source of a data set.

    Args:
        name: A registered name, or ``scheme:PATH`` where ``scheme:PATH`` is registered.

    Raises:
        UnknownName: There is no such data set.
        UserError: A path is missing, or no file of results could have it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"The name {name!r} of a data set has bytes that are no UTF-8; expected a path that "
            "is. Rename its folders or files."
        ) from None
    scheme, colon, path = name.partition(":")
    if colon and not path and DATASETS.get(f"{scheme}:PATH"):
        raise UserError(f"Data set '{name}' has no path; expected {scheme}:PATH.")
    return DATASETS.get(f"{scheme}:PATH").at(path) if colon else DATASETS.get(name)


def load_dataset(name: str, split: str = "default") -> Dataset:
    """Returns a data set, verified and split.

    Args:
        name: Such as ``fashion-mini``, ``mnist-32``, ``folder:PATH`` or ``npz:PATH``.
        split: ``default`` or ``aef`` (a random tenth with generator seed 3).

    Raises:
        UnknownName: There is no such data set.
        UserError: The split is unknown, or a file is missing or broken.

    Example:
        >>> load_dataset("digits").train.shape
        torch.Size([1200, 1, 8, 8])
    """
    source = find_source(name)
    check_split(split)
    return source.load(split)


def assemble(source: Source, train: Part, validation: Part, test: Part, split: str) -> Dataset:
    """Returns the parts as tensors with the source's properties."""
    import numpy as np
    import torch

    def images(part: Part) -> torch.Tensor:
        return torch.from_numpy(np.require(part.images, requirements=("C", "W")))

    def labels(part: Part) -> torch.Tensor | None:
        if part.labels is None:
            return None
        return torch.from_numpy(part.labels.astype(np.int64))

    channels, height, width = train.images.shape[1:]
    stored = channels, height, width
    return Dataset(
        name=source.name,
        train=images(train),
        validation=images(validation),
        test=images(test),
        train_labels=labels(train),
        validation_labels=labels(validation),
        test_labels=labels(test),
        image_shape=(source.image_shape or stored) if source.form else stored,
        native=source.native,
        alpha=source.alpha,
        preset=source.preset,
        default_space=source.default_space,
        split=split,
        truth=source.truth(),
        form=source.form,
        note=source.note,
    )

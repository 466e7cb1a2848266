"""Molecules of MOSES: 255,000 from the wheel ``molsets``, and 11,000 of them in the package.

The small cut is made by ``scripts/cut_moses_mini.py``. MOSES is copyright 2018 Insilico
Medicine, Inc, MIT licence, see ``assets/LICENSE-moses``.

References:
    Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation Models
    (Polykovskiy et al., 2020), arXiv 1811.12823
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ...models.sequences.parsing import SequenceError
from ..errors import UserError
from .dataset import FolderSource
from .order import text_order
from .places import absent_files, verify
from .sequences import TextSource, register_texts, stacked
from .source import Content, Part
from .text_files import Lines, read_lines, unpacked


@dataclass(frozen=True)
class Drawn:
    """A file of molecules, and what is drawn from it.

    Args:
        name: The file.
        digest: SHA-256 of its content, in hex.
        count: How many molecules are drawn.
        passed_over: How many are passed over meanwhile, as they cannot be written.
    """

    name: str
    digest: str
    count: int
    passed_over: int


SHAPES = {"grammar": (1, 160, 76), "characters": (1, 64, 35)}
FILES = (
    Drawn(
        "train.csv.gz",
        "786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c",
        count=250_000,
        passed_over=29,
    ),
    Drawn(
        "test.csv.gz",
        "f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2",
        count=5_000,
        passed_over=1,
    ),
)
MINI = Path(__file__).parent / "assets" / "moses-mini.txt.xz"


@register_texts
class MosesMini(TextSource):
    """9,000 / 1,000 / 1,000 molecules of MOSES as SMILES, shipped with the package.

    They are the first training and test molecules of ``moses-250k``; the validation molecules
    are drawn from those for training.
    """

    name = "moses-mini"
    task = "smiles"
    shapes = SHAPES
    advice = "Comes with the package; install it again if it is broken."
    digest = "8207cf19e2b20c4c3adc1d9b9ddb75c9d467819c304bf98bae8980a4bc3c0e23"
    train, held_out = 10_000, 1_000

    def __init__(self, writing: str = "grammar", path: Path = MINI) -> None:
        super().__init__(writing)
        self._path = path

    def read(self) -> Content:
        """Returns the content of the shipped file."""
        self.check()
        texts = self._lines.texts
        train = self._listed.take(text_order(texts[: self.train]))
        test = self._listed.take(self.train + text_order(texts[self.train :]))
        return Content(train, test, held_out=self.held_out)

    @cached_property
    def _lines(self) -> Lines:
        return read_lines(self._path)

    @cached_property
    def _listed(self) -> Part:
        return self.written(self._lines)

    def check(self) -> None:
        """Compares the file's content with its digest."""
        verify(unpacked(self._path), self.digest, self._path)

    def where(self) -> str:
        """Returns the shipped file."""
        return str(self._path)


@register_texts
class Moses250k(TextSource, FolderSource):
    """240,000 / 10,000 / 5,000 molecules of MOSES as SMILES, drawn by a fixed seed.

    Read from ``train.csv.gz`` and ``test.csv.gz`` of the installed wheel ``molsets``, which is
    not imported, or of a folder ``moses-250k/``. Molecules that either way of writing cannot
    write in T symbols are passed over, so that both hold the same ones.
    """

    name = "moses-250k"
    task = "smiles"
    shapes = SHAPES
    folders = ("moses-250k",)
    advice = "Install it: pip install --no-deps molsets"
    files = FILES
    held_out = 10_000

    def elsewhere(self) -> list[Path]:
        """Returns the folder of the wheel's data, where it is installed."""
        try:
            wheel = distribution("molsets")
        except PackageNotFoundError:
            return []
        return [Path(str(wheel.locate_file("moses/dataset/data")))]

    def check(self) -> None:
        """Compares the two files with their digests."""
        self.first_whole(self._verify)

    def where(self) -> str:
        """Returns the folder, and how many molecules are passed over."""
        passed_over = sum(file.passed_over for file in self.files)
        drawn = sum(file.count for file in self.files) + passed_over
        left_out = f"{passed_over} of {drawn:,} molecules cannot be written and are left out"
        return f"{self._used}; {left_out}"

    def _missing(self, folder: Path) -> list[str]:
        return absent_files(folder, [file.name for file in self.files])

    def _verify(self, folder: Path) -> None:
        for file in self.files:
            path = folder / file.name
            verify(path.read_bytes(), file.digest, path)

    def _read_from(self, folder: Path) -> Content:
        self._verify(folder)
        train, test = (self._drawn(folder, file) for file in self.files)
        return Content(train, test, held_out=self.held_out)

    def _drawn(self, folder: Path, file: Drawn) -> Part:
        rows, passed_over = self.draw(folder / file.name, file.count)
        if passed_over != file.passed_over:
            raise UserError(
                f"{folder / file.name}: {passed_over} molecules among the first {file.count} "
                f"cannot be written; expected {file.passed_over}."
            )
        return stacked(rows)

    def draw(self, path: Path, count: int) -> tuple[list[bytes], int]:
        """Returns the symbols of the first molecules in the drawn order that can be written.

        Args:
            path: The file.
            count: How many.

        Returns:
            The rows, and how many molecules were passed over for them.

        Raises:
            UserError: The file is broken or holds fewer.
        """
        texts = read_lines(path).texts
        rows: list[bytes] = []
        passed_over = 0
        for index in text_order(texts):
            try:
                each = {writing: self.symbols(texts[index], writing) for writing in self.shapes}
            except SequenceError:
                passed_over += 1
                continue
            rows.append(each[self.writing])
            if len(rows) == count:
                return rows, passed_over
        raise UserError(
            f"{path} holds {len(rows)} molecules that can be written; expected {count}."
        )

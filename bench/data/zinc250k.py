"""ZINC250k: the molecules of the published comparison, from a file of the user's."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from ..errors import UserError
from .dataset import FolderSource
from .order import text_order
from .places import absent_files
from .sequences import TextSource, register_texts
from .smiles import SHAPES
from .source import Content
from .text_files import Lines, read_lines

FILE = "250k_rndm_zinc_drugs_clean.smi"
ADDRESS = f"https://raw.githubusercontent.com/mkusner/grammarVAE/master/data/{FILE}"
LOOKED_AT = 100


@register_texts
class Zinc250k(TextSource, FolderSource):
    """220,010 / 24,446 / 5,000 drug-like molecules of ZINC as SMILES, as published.

    Read from a folder ``zinc250k/`` with the released file of 249,456 lines. Its order decides
    the parts: the first 5,000 lines are the test, the last tenth of the rest the validation.
    Within its part each molecule has a place that follows from the molecules alone.

    References: Grammar Variational Autoencoder (Kusner et al., 2017), arXiv 1703.01925
    """

    name = "zinc250k"
    task = "smiles"
    shapes = SHAPES
    folders = ("zinc250k",)
    advice = (
        f"Put {FILE}, which came with the code of the Grammar VAE, into a folder zinc250k/ in "
        f"AEBENCH_DATA. Get it there with: curl -fL --create-dirs -o zinc250k/{FILE} {ADDRESS}"
    )
    count, test = 249_456, 5_000

    def check(self) -> None:
        """Counts the lines and writes the first ones as symbols."""
        lines = self.first_whole(self._lines)
        self.written(Lines(lines.texts[:LOOKED_AT], lines.origin, lines.first))

    def _missing(self, folder: Path) -> list[str]:
        return absent_files(folder, [FILE])

    def _lines(self, folder: Path) -> Lines:
        lines = read_lines(folder / FILE)
        if len(lines.texts) != self.count:
            raise UserError(
                f"{lines.origin} holds {len(lines.texts)} molecules; expected {self.count}. "
                "Another file can be read as smiles:PATH."
            )
        return lines

    def _read_from(self, folder: Path) -> Content:
        lines = self._lines(folder)
        everything = self.written(lines)
        trained = int((self.count - self.test) * 0.9)
        cuts = (0, self.test, self.test + trained, self.count)
        test, train, validation = (
            everything.take(start + text_order(lines.texts[start:stop]))
            for start, stop in pairwise(cuts)
        )
        return Content(train, test, validation)

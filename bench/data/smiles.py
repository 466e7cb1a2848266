"""A user's own file of SMILES as a data set."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from .order import text_order
from .sequences import GRAMMAR, TextSource, register_texts
from .source import Content
from .text_files import Lines, read_lines

SHAPES = {"grammar": (1, 277, 76), "characters": (1, 120, 35)}


@register_texts
class SmilesFile(TextSource):
    """All molecules of a file, one SMILES a line, perhaps below the heading ``SMILES``.

    They are shuffled by a fixed seed, whatever the order of the lines; then the last tenth is
    the test and the tenth before it the validation part. A line that repeats another stays, so
    that one molecule may be in two parts.
    """

    name = "smiles:PATH"
    task = "smiles"
    shapes = SHAPES
    advice = "Give the path of a file of one SMILES a line."

    def __init__(self, writing: str = GRAMMAR, path: Path | None = None) -> None:
        super().__init__(writing)
        self._path = path
        self._found = "not read yet"
        if path is not None:
            self.name = self.name.replace("PATH", str(path))

    def at(self, path: str) -> SmilesFile:
        """Returns the data set of this file."""
        return SmilesFile(self.writing, Path(path))

    def read(self) -> Content:
        """Returns the molecules of the file."""
        lines = self._lines()
        tenth = max(1, len(lines.texts) // 10)
        everything = self.written(lines).take(text_order(lines.texts))
        train, test = (everything.take(part) for part in (slice(-tenth), slice(-tenth, None)))
        return Content(train, test, held_out=tenth, shuffled=True)

    def check(self) -> None:
        """Reads the file; where rdkit is installed, each molecule must be one to it, too."""
        self.read()
        lines = self._lines()
        repeated = len(lines.texts) - len(set(lines.texts))
        seen = "reads all" if rdkit_reads(lines) else "is not installed and saw none"
        self._found = (
            f"{len(lines.texts):,} lines, of which {repeated:,} repeat another; rdkit {seen}"
        )

    def where(self) -> str:
        """Returns the file, and what the last check found."""
        return f"{self._path}; {self._found}"

    def _lines(self) -> Lines:
        if self._path is None:
            raise UserError(
                f"'{self.name}' needs a path, such as {self.name.partition(':')[0]}:molecules.smi."
            )
        lines = read_lines(self._path)
        if len(lines.texts) < 3:
            raise UserError(f"{self._path} holds {len(lines.texts)} lines; expected at least 3.")
        return lines


def rdkit_reads(lines: Lines) -> bool:
    """Says whether rdkit reads all molecules; false where it is not installed.

    Raises:
        UserError: It rejects one.
    """
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        return False
    with rdBase.BlockLogs():
        rejected = [i for i, text in enumerate(lines.texts) if Chem.MolFromSmiles(text) is None]
    if rejected:
        index = rejected[0]
        more = f" and {len(rejected) - 1} more" if rejected[1:] else ""
        raise UserError(f"{lines.at(index)}: rdkit rejects '{lines.texts[index]}'{more}.")
    return True

"""Cuts moses-mini from the two files of MOSES.

The first 10,000 molecules that ``moses-250k`` draws for training and the first 1,000 for the
test, sorted, one a line. Run it from the repository with the full set at hand
(``aebench data moses-250k``):

    python scripts/cut_moses_mini.py bench/data/assets/moses-mini.txt.xz
"""

from __future__ import annotations

import hashlib
import lzma
import sys
from pathlib import Path

from aebench.bench.data.moses import Moses250k
from aebench.models.sequences.forms import form

COUNTS = {"train.csv.gz": 10_000, "test.csv.gz": 1_000}


def cut(folder: Path) -> bytes:
    """Returns the molecules of the files in a folder, those for training first."""
    source = Moses250k()
    texts: list[str] = []
    for name, count in COUNTS.items():
        rows, _ = source.draw(folder / name, count)
        texts += sorted(form(source.form).text(list(row)) for row in rows)
    return "".join(f"{text}\n" for text in texts).encode()


def main() -> None:
    """Writes the file named on the command line and prints the digest of its content."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} OUTPUT.txt.xz")
    source = Moses250k()
    source.check()
    content = source.first_whole(cut)
    path = Path(sys.argv[1])
    path.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    print(f"{path}: {path.stat().st_size} bytes, content {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()

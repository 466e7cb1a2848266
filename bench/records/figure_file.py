"""One small file with all that the figures of a results folder are drawn from."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files.arrays import read_arrays
from ..files.storage import canonical_json, write_atomically
from .compact import Arrays, compact_run
from .encoding import NAME

if TYPE_CHECKING:
    import numpy as np

COMMITTED = Path("arrays") / "figures.npz"
# Flat arrays of numbers, by the kind that an entry of the index names.
KINDS = ("|u1", "<i8", "<f2", "<f4")
TRAINED_BY = ("training_code", "structure", "data")
# What an index of another form may lead to.
_UNREADABLE = (
    *(KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError, OverflowError),
)


class FigureFile:
    """The compact arrays of each run of a results folder, read on demand.

    Those in a run's own directory take the place of those in ``arrays/figures.npz``, the
    committed file. A run's name cannot lead out of ``runs/``.

    Args:
        folder: The results folder.
        warnings: Gets a line for each file of a run that could not be read.
    """

    def __init__(self, folder: Path, warnings: list[str]) -> None:
        self.folder, self.warnings = folder, warnings
        self._committed: dict[str, Arrays] | None = None
        self._known: dict[str, Arrays] = {}

    @property
    def committed(self) -> dict[str, Arrays]:
        """The arrays of each run in the committed file.

        Raises:
            UserError: The file is damaged.
        """
        if self._committed is None:
            self._committed = read_figures(self.folder / COMMITTED)
        return self._committed

    def arrays(self, run: str) -> Arrays:
        """Returns the compact arrays of a run, training curves included; empty without any.

        Raises:
            UserError: The committed file is damaged.
        """
        if run not in self._known:
            self._known[run] = self._own(run) or self.committed.get(run, {})
        return self._known[run]

    def _own(self, run: str) -> Arrays | None:
        path = self.folder / "runs" / run
        # A run that is trained anew leaves files before it has rows: they do not count yet.
        if not NAME.fullmatch(run) or (run in self.committed and not has_rows(path)):
            return None
        return compact_run(path, self.warnings, self.committed.get(run))

    def gather(self, runs: Iterable[str], *, keep: bool = False) -> list[Path]:
        """Brings the arrays of runs into the committed file.

        Args:
            runs: The runs that have rows.
            keep: Whether those of other runs stay; else they go.

        Returns:
            The file; empty where no run has any arrays.

        Raises:
            UserError: The file is damaged.
        """
        found = {run: arrays for run in {*runs} if (arrays := self.arrays(run))}
        found = (self.committed if keep else {}) | found
        path = self.folder / COMMITTED
        if not found:
            path.unlink(missing_ok=True)
            return []
        content = encode_figures(found)
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
        return [path]


def has_rows(run: Path) -> bool:
    """Returns whether a run's directory has rows, and they are of the training that it holds.

    One that is trained anew has none, or those of the former training.
    """
    if not (run / "result.json").is_file():
        return False
    origin = read_object(run / "result.json").get("origin")
    then = origin if isinstance(origin, dict) else {}
    now = read_object(run / "config.json")
    return all(then.get(name, own) == own for name, own in now.items() if name in TRAINED_BY)


def read_object(path: Path) -> dict[str, Any]:
    """Returns a JSON object, empty where a file does not hold one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def figures_digest(arrays: Arrays) -> str:
    """Returns the SHA-256 of compact arrays, in hexadecimal."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(canonical_json([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_figures(path: Path) -> dict[str, Arrays]:
    """Returns the compact arrays in a file by run; nothing where there is no file.

    Raises:
        UserError: The file is damaged.
    """
    if not path.is_file():
        return {}
    stored = read_arrays(path)
    try:
        index = json.loads(stored["index"].tobytes())
        return {
            str(run): {str(name): _array(entry, stored) for name, entry in own.items()}
            for run, own in index.items()
        }
    except _UNREADABLE as error:
        raise UserError(
            f"{path} is damaged ({error}); restore it, or remove it and `aebench report` where "
            "the runs are."
        ) from None


def encode_figures(found: Mapping[str, Arrays]) -> bytes:
    """Returns the file's bytes, the same for the same arrays; equal images are kept once."""
    import numpy as np

    images: dict[str, dict[bytes, int]] = {}
    flat: dict[str, dict[bytes, int]] = {}
    length = dict.fromkeys(KINDS, 0)
    places: list[int] = []
    index: dict[str, dict[str, list[Any]]] = {}
    for run, arrays in sorted(found.items()):
        for name, array in sorted(arrays.items()):
            if array.ndim >= 4:
                kind, at, shape = "x".join(map(str, array.shape[-3:])), len(places), array.shape
                known = images.setdefault(kind, {})
                for image in array.reshape(-1, *shape[-3:]):
                    places.append(known.setdefault(image.tobytes(), len(known)))
                shape = shape[:-3]
            else:
                kind, shape = array.dtype.newbyteorder("<").str, array.shape
                content = array.astype(kind).tobytes()
                at = flat.setdefault(kind, {}).setdefault(content, length[kind])
                length[kind] += array.size if at == length[kind] else 0
            index.setdefault(run, {})[name] = [kind, list(shape), at]
    members = {f"images {k}": _joined(own, "|u1") for k, own in sorted(images.items())}
    members |= {f"numbers {k[1:]}": _joined(own, k) for k, own in sorted(flat.items())}
    text = np.frombuffer(canonical_json(index).encode(), "u1")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, index=text, places=np.array(places, "<i4"), **members)
    return buffer.getvalue()


def _joined(parts: Iterable[bytes], kind: str) -> Any:  # noqa: ANN401
    import numpy as np

    return np.frombuffer(b"".join(parts), kind)


def _array(entry: list[Any], stored: Arrays) -> np.ndarray:
    kind, shape, at = entry
    count = math.prod(shape)
    if kind in KINDS:
        return _cut(stored[f"numbers {kind[1:]}"], at, count).reshape(shape)
    size = [int(side) for side in kind.split("x")]
    images = stored[f"images {kind}"].reshape(-1, *size)
    return images[_cut(stored["places"], at, count)].reshape(*shape, *size)


def _cut(array: np.ndarray, at: int, count: int) -> np.ndarray:
    if at < 0 or at + count > len(array):
        raise ValueError(f"it ends after {len(array)} numbers")
    return array[at : at + count]

"""What figures show of a run's arrays and log, in as few bytes as a picture needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import UserError
from ..files.arrays import read_arrays

if TYPE_CHECKING:
    import numpy as np

Arrays: TypeAlias = "dict[str, np.ndarray]"
MOST_IMAGES = 8
# How many images (the first axis) figures show of arrays that begin so; of others `MOST_IMAGES`.
SHOWN = {"interpolation": 1, "neighbours": 4, "grid2d": 400}
# Texts as symbols (..., T) and the scores of some, which are printed and not only drawn.
TEXTS, MOST_TEXTS = "texts_", 16
SCORES = "_scores"
CURVE = "prd_"
CURVE_POINTS = 251
LOG = "log/"  # Names of training curves: log/<split>/<term>.
LOG_LINES, LONG_LOG = 200, 256
LARGEST = 1e38  # Of a number of a log: what float32 holds.
INEXACT = 1e-3  # Share of an array's range by which a picture may move a value.


def compact_run(folder: Path, warnings: list[str], kept: Arrays | None = None) -> Arrays | None:
    """Returns what figures show of one run, none where its directory has neither arrays nor log.

    Args:
        folder: The run's directory.
        warnings: Gets a line for each file or line that cannot be read.
        kept: What is committed of the run: its pictures stand for those that cannot be read.
    """
    arrays, log = folder / "arrays.npz", folder / "log.jsonl"
    if not arrays.is_file() and not log.is_file():
        return None
    found: Arrays = {}
    try:
        found = compact_arrays(read_arrays(arrays)) if arrays.is_file() else {}
    except UserError as error:
        found = {name: own for name, own in (kept or {}).items() if not name.startswith(LOG)}
        told = "The committed ones are shown" if found else "Its pictures are left out"
        warnings.append(f"{error} {told}; remove it, and `aebench run` draws it again.")
    return found | (_compact_log(_entries(log, warnings)) if log.is_file() else {})


def compact_arrays(arrays: Arrays) -> Arrays:
    """Returns arrays as figures need them; those that are compact stay as they are.

    Pictures, of four axes or more, are the first few as uint8. Curves of precision and recall
    have at most 251 points, and texts are the first 16. Numbers are float16 where that moves none
    by more than a thousandth of their range, else float32, as scores of texts always are.
    """
    drawn = {n: a for n, a in sorted(arrays.items()) if a.dtype.kind in "fiub" and a.size}
    return {name: _compact(name, array) for name, array in drawn.items()}


def log_entries(arrays: Arrays) -> list[dict[str, Any]]:
    """Returns the training curves among compact arrays as lines of a log."""
    lines: dict[tuple[int, str], dict[str, Any]] = {}
    for name, curve in arrays.items():
        if name.startswith(LOG):
            split, _, term = name.removeprefix(LOG).partition("/")
            for step, value in zip(*curve.tolist(), strict=True):
                line = lines.setdefault((int(step), split), {"step": int(step), "split": split})
                line[term] = value
    return [lines[key] for key in sorted(lines)]


def _compact(name: str, array: np.ndarray) -> np.ndarray:
    import numpy as np

    if array.ndim >= 4:
        shown = array[: SHOWN.get(name.partition("_")[0], MOST_IMAGES)]
        if shown.dtype.kind == "f":
            shown = np.round(255 * np.clip(np.nan_to_num(shown), 0, 1))
        return shown.astype(np.uint8)
    if name.startswith(TEXTS):
        array = array[:MOST_TEXTS]
    if name.endswith(SCORES) and array.dtype.kind == "f":
        return array.astype(np.float32)
    if name.startswith(CURVE) and array.ndim == 2 and array.shape[1] > CURVE_POINTS:
        at = np.linspace(0, array.shape[1] - 1, CURVE_POINTS).round().astype(int)
        array = array[:, at]
    if array.dtype.kind == "f":
        return _as_half(array)
    fits = array.min() >= 0 and array.max() < 256
    return array.astype(np.uint8 if fits else np.int64)


def _as_half(array: np.ndarray) -> np.ndarray:
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        single = array.astype(np.float32)
        half = single.astype(np.float16)
        moved = np.abs(half.astype(np.float32) - single).max()
        is_close = moved <= INEXACT * (single.max() - single.min())
    return half if is_close else single


def _entries(path: Path, warnings: list[str]) -> Iterator[Mapping[str, Any]]:
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            warnings.append(f"'{path}' has a half-written line; it is left out.")
            continue
        if isinstance(entry, dict) and _is_number(entry.get("step")):
            yield entry


def _compact_log(entries: Iterator[Mapping[str, Any]]) -> Arrays:
    """Returns a curve (2, N) for each split and term: steps and values, float32."""
    import numpy as np

    curves: dict[str, dict[int, float]] = {}
    for entry in entries:
        split = str(entry.get("split", "train"))
        for term, value in entry.items():
            if term not in ("step", "split") and _is_number(value):
                curves.setdefault(f"{LOG}{split}/{term}", {})[int(entry["step"])] = float(value)
    found: Arrays = {}
    for name, curve in sorted(curves.items()):
        found[name] = _thinned(np.array(sorted(curve.items()), np.float32).T)
    return found


def _thinned(curve: np.ndarray) -> np.ndarray:
    """Returns at most about 200 points, the last one among them."""
    import numpy as np

    count, stride = curve.shape[1], 1
    # Powers of two: a run that ended early keeps steps that whole runs of its kind keep, too.
    while count > LONG_LOG and count > LOG_LINES * stride:
        stride *= 2
    return curve[:, sorted({*range(0, count, stride), count - 1})].astype(np.float32)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST

"""Log-likelihoods of single images, kept beside the rows that give their means."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UserError
from ..files.arrays import read_arrays
from ..files.storage import canonical_json, write_atomically
from .figure_file import has_rows

if TYPE_CHECKING:
    import numpy as np

FILE = "likelihoods.npz"
COMMITTED = Path("arrays") / FILE
BRACKET = "bracket"
# The arrays are float32 and a row's value is the mean of float64: a millionth is rounding.
ROUNDING = 1e-6


class ScoreKey(NamedTuple):
    """Which score of which run; the fields are columns of its row.

    Attributes:
        run: Digest that names the run.
        density: Density of a completed model; empty for the model's own.
        metric: ``log_prob``, ``log_prob_annealed`` or ``bracket``.
        kind: ``exact`` or ``lower bound``; empty for a bracket.
        model: ``native`` or ``completed``.
        samples_k: Importance samples or chains for each image; none where exact.
        n_images: Number of images.
    """

    run: str
    density: str
    metric: str
    kind: str
    model: str
    samples_k: int | None
    n_images: int


@dataclass(frozen=True)
class PerImage:
    """One score's log-likelihood of each image.

    Attributes:
        images: Indices of the test images in the run's data set and split, (N,), int32; two runs
            of one data set and split are paired by them. For a bracket they number data
            simulated from the model itself, so that they pair with nothing.
        values: Nats per image, in the units of the row ``log_prob``, (N,), float32. For a lower
            bound they are the bound; for a bracket its lower end.
        kind: ``exact``, ``lower bound`` or, for a bracket, ``bracket``.
        trusted: ``yes`` or ``no``; empty where nothing is estimated.
        upper: Upper ends of a bracket, nats, (N,), float32; none for all else.
    """

    images: np.ndarray
    values: np.ndarray
    kind: str
    trusted: str = ""
    upper: np.ndarray | None = None


def read_per_image(folder: Path) -> dict[ScoreKey, PerImage]:
    """Returns the per-image log-likelihoods of a results folder, as far as they were kept.

    Those of ``runs/*/likelihoods.npz`` take the place of all that ``arrays/likelihoods.npz``, the
    committed file, holds of the same run, once that run has rows. A folder without either gives
    none.

    Args:
        folder: The results folder of one suite.

    Returns:
        Arrays by score; `of_row` finds those of a row.

    Raises:
        UserError: A file is damaged.
    """
    found = read_file(folder / COMMITTED)
    own: dict[ScoreKey, PerImage] = {}
    committed = {key.run for key in found}
    replaced: set[str] = set()
    for path in sorted(folder.glob(f"runs/*/{FILE}")):
        run = path.parent.name
        # A run that is trained anew leaves files before it has rows: they do not count yet.
        if run in committed and not has_rows(path.parent):
            continue
        replaced.add(run)
        own |= {k: v for k, v in read_file(path).items() if k.run == run}
    return {k: v for k, v in found.items() if k.run not in replaced} | own


def read_those_of(
    folders: Iterable[Path], rows: Iterable[Mapping[str, Any]]
) -> dict[ScoreKey, PerImage]:
    """Returns the arrays that rows are the means of, from several folders in any order.

    Args:
        folders: Results folders; a run may lie in two, evaluated at different times.
        rows: Their rows, each score of a run once.

    Raises:
        UserError: A file is damaged.
    """
    keyed = [(key, row) for row in rows if (key := key_of(row))]
    found: dict[ScoreKey, PerImage] = {}
    for folder in folders:
        own = read_per_image(folder)
        found |= {key: kept for key, row in keyed if (kept := of_row(row, own)) is not None}
    return found


def by_run(scores: Mapping[ScoreKey, PerImage]) -> dict[str, dict[ScoreKey, PerImage]]:
    """Returns scores by the run that they are of."""
    found: dict[str, dict[ScoreKey, PerImage]] = {}
    for key, score in scores.items():
        found.setdefault(key.run, {})[key] = score
    return found


def of_row(row: Mapping[str, Any], found: Mapping[ScoreKey, PerImage]) -> PerImage | None:
    """Returns the arrays that a row is the mean of, none where they were not kept.

    Args:
        row: A row of ``log_prob``, ``log_prob_annealed``, their bits per dimension (the arrays
            are in nats all the same), or ``bracket_*``.
        found: What `read_per_image` gave for the row's folder.
    """
    key = key_of(row)
    arrays = found.get(key) if key else None
    if arrays is None or str(row["metric"]).startswith(BRACKET):
        return arrays
    mean = float(arrays.values.mean(dtype=float))
    # Arrays of another evaluation than the row's must not speak for it.
    same = math.isclose(mean, nats_of(row), rel_tol=ROUNDING, abs_tol=ROUNDING)
    return arrays if same else None


def nats_of(row: Mapping[str, Any]) -> float:
    """Returns a row's log-likelihood in nats per image, which may be in bits per dimension."""
    if not str(row["metric"]).startswith("bits_per_dim"):
        return float(row["value"])
    from ...metrics.bits_per_dim import bits_per_dim

    dims = dims_of(row)
    none = bits_per_dim(0.0, dims=dims)
    return float((none - float(row["value"])) / (bits_per_dim(1.0, dims=dims) - none))


def dims_of(row: Mapping[Any, Any]) -> int:
    """Returns the count of values in a row's images."""
    return math.prod(int(size) for size in str(row["image_shape"]).split("x"))


def key_of(row: Mapping[str, Any]) -> ScoreKey | None:
    """Returns under which key a row's arrays are kept; none for rows that have none."""
    metric, count = str(row["metric"]), row["n_real"]
    if metric.startswith("bits_per_dim"):
        metric = "log_prob" + metric.removeprefix("bits_per_dim")
    if metric.startswith(f"{BRACKET}_"):
        metric, count = BRACKET, row["n_generated"]
    known = metric in ("log_prob", "log_prob_annealed", BRACKET)
    if not known or row["status"] != "ok" or is_missing(count):
        return None
    samples = None if is_missing(row["samples_k"]) else int(row["samples_k"])
    run, density, kind, model = (str(row[n]) for n in ("run", "density", "kind", "model"))
    return ScoreKey(run, density, metric, kind, model, samples, int(count))


def is_missing(value: Any) -> bool:  # noqa: ANN401
    """Returns whether a cell is empty: a record has None there, a data frame NA or nan."""
    return value is None or str(value) in ("<NA>", "nan")


def write_per_image(path: Path, scores: Mapping[ScoreKey, PerImage]) -> bool:
    """Writes arrays to a file, whole or not at all; returns whether it had to be written.

    The same scores give the same bytes, in whatever order they come, and images that several
    scores share are kept once. A file that holds the scores already stays as it is.
    """
    if path.is_file() and _same(_read_or_none(path), scores):
        return False
    write_atomically(path, _encode(scores))
    return True


def gather_per_image(
    folder: Path, runs: Iterable[str], scores: Mapping[ScoreKey, PerImage]
) -> list[Path]:
    """Brings the arrays of all runs into the folder's committed file.

    Args:
        folder: The results folder of one suite.
        runs: Digests of the runs that have rows; arrays of others are left out.
        scores: What `read_per_image` gives of the folder.

    Returns:
        The file; empty where no run has any.
    """
    wanted = set(runs)
    found = {k: kept for k, kept in scores.items() if k.run in wanted}
    path = folder / COMMITTED
    if not found:
        path.unlink(missing_ok=True)
        return []
    write_per_image(path, found)
    return [path]


def _same(one: Mapping[ScoreKey, PerImage] | None, other: Mapping[ScoreKey, PerImage]) -> bool:
    return one is not None and _arrays(one) == _arrays(other)


def _read_or_none(path: Path) -> dict[ScoreKey, PerImage] | None:
    try:
        return read_file(path)
    except UserError:
        return None


def _arrays(scores: Mapping[ScoreKey, PerImage]) -> tuple[str, bytes, bytes]:
    """Returns the index as JSON, all values (float32) and all sets of images (int32)."""
    import numpy as np

    entries, values = [], []
    images: dict[bytes, int] = {}
    for key, score in sorted(scores.items(), key=lambda item: canonical_json(item[0])):
        own = np.asarray(score.images, "<i4").tobytes()
        number = images.setdefault(own, len(images))
        parts = [score.values] if score.upper is None else [score.values, score.upper]
        entries.append([list(key), score.kind, score.trusted, number, len(parts)])
        values += [np.asarray(part, "<f4").tobytes() for part in parts]
    index = {"scores": entries, "images": [len(own) // 4 for own in images]}
    return canonical_json(index), b"".join(values), b"".join(images)


def _encode(scores: Mapping[ScoreKey, PerImage]) -> bytes:
    import numpy as np

    index, values, images = _arrays(scores)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        index=np.frombuffer(index.encode(), "u1"),
        values=np.frombuffer(values, "<f4"),
        images=np.frombuffer(images, "<i4"),
    )
    return buffer.getvalue()


def read_file(path: Path) -> dict[ScoreKey, PerImage]:
    """Returns what one file holds; nothing where there is none.

    Raises:
        UserError: The file is damaged.
    """
    if not path.is_file():
        return {}
    arrays = read_arrays(path)
    try:
        index = json.loads(arrays["index"].tobytes())
        sets = _split(arrays["images"], index["images"])
        scores: dict[ScoreKey, PerImage] = {}
        at = 0
        for fields, kind, trusted, number, parts in index["scores"]:
            key, images = ScoreKey(*fields), sets[number]
            ends = _split(arrays["values"][at : at + parts * key.n_images], [key.n_images] * parts)
            at += parts * key.n_images
            if len(images) != key.n_images:
                raise ValueError(f"{key.n_images} values of {len(images)} images")
            scores[key] = PerImage(images, ends[0], kind, trusted, *ends[1:])
    except (KeyError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}); restore it, or remove it and `aebench run` again."
        ) from None
    return scores


def _split(array: np.ndarray, lengths: Iterable[int]) -> list[np.ndarray]:
    parts, at = [], 0
    for length in lengths:
        parts.append(array[at : at + length])
        at += length
        if len(parts[-1]) != length:
            raise ValueError(f"it ends after {len(array)} numbers")
    return parts

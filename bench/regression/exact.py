"""First layer of the regression check: what must come out the same on any machine."""

from __future__ import annotations

import io
import json
import reprlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...models.registry import UnknownName
from ..errors import UserError
from ..files.arrays import read_arrays
from ..files.storage import write_atomically

FEATURES = "features.npz"
EXPECTED = "expected.json"
TOLERANCE = 1e-6
Finding = tuple[str, str, str]


@dataclass(frozen=True)
class Exact:
    """Outcome of the first layer.

    Attributes:
        broken: What differs: its name, the expected and the found value.
        checked: How many values were compared.
        notes: What could not be checked, and why.
    """

    broken: tuple[Finding, ...]
    checked: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What a baseline stores for the first layer.

    Attributes:
        metrics: The value of each score of the stored features, as ``metric/score``.
        data: The digest of each data set's split.
    """

    metrics: Mapping[str, float]
    data: Mapping[str, str]


def check_exact(baseline: Path) -> Exact:
    """Recomputes the metrics of the stored features, and the digests of the data sets' splits.

    Raises:
        UserError: A file of the baseline is missing or cannot be read.
    """
    expected = read_expected(baseline / EXPECTED)
    return compare_values(expected, metric_values(read_features(baseline / FEATURES)))


def compare_values(expected: Expected, found: Mapping[str, float]) -> Exact:
    """Compares metrics' values, and today's digests of the splits, with those that are stored.

    Args:
        expected: What `read_expected` gives.
        found: What `metric_values` gives today.
    """
    broken: list[Finding] = []
    for name, value in expected.metrics.items():
        now = found.get(name)
        if now is None or not abs(now - value) <= TOLERANCE * max(1.0, abs(value)):
            shown = "gone" if now is None else f"{now:.9g}"
            broken.append((f"metric {name}", f"{value:.9g}", shown))
    digests, notes = split_digests(expected.data)
    for name, digest in digests.items():
        if digest != expected.data[name]:
            broken.append((f"data split {name}", expected.data[name][:16], digest[:16]))
    return Exact(tuple(broken), len(expected.metrics) + len(digests), tuple(notes))


def write_expected(baseline: Path, data: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Writes the expected values of the first layer, and the features if there are none yet.

    Args:
        baseline: The baseline's folder.
        data: Data sets with their splits, such as ``fashion-mini/default``.

    Returns:
        The files, and a note on each split that is not here and will not be checked.
    """
    features, expected = baseline / FEATURES, baseline / EXPECTED
    if not features.is_file():
        stream = io.BytesIO()
        np.savez_compressed(stream, **made_features())  # type: ignore[arg-type]
        write_atomically(features, stream.getvalue())
    digests, notes = split_digests(data)
    content = {"metrics": metric_values(read_features(features)), "data": digests}
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_atomically(expected, f"{text}\n")
    return [features, expected], notes


def metric_values(arrays: Mapping[str, Any]) -> dict[str, float]:
    """Returns every score that the arrays allow, as ``metric/score``."""
    from ..evaluation.metric_lookup import compute_scores, metrics

    found: dict[str, float] = {}
    for name, metric in metrics().items():
        try:
            scores = compute_scores(metric, arrays)
        except ValueError:
            continue
        for score in scores:
            if score.value is not None:
                found[f"{name}/{score.metric}"] = float(score.value)
    return found


def made_features() -> dict[str, np.ndarray]:
    """Returns small features (float32) of which one set is shifted, narrowed and skewed.

    Precision and recall differ on them, so that swapping the two shows.
    """
    generator = np.random.default_rng(20)
    mixing = generator.normal(size=(8, 8)) / np.sqrt(8) + np.eye(8)
    real = generator.normal(size=(240, 8)) @ mixing
    narrow = 0.5 * generator.normal(size=(200, 8)) @ mixing + 0.4
    train = generator.normal(size=(240, 8)) @ mixing
    images = generator.uniform(size=(12, 1, 16, 16))
    noise = generator.normal(0, 0.05, images.shape)
    arrays = {
        "real": real,
        "generated": narrow,
        "train": train,
        "heldout": real,
        "images": images,
        "reconstructions": np.clip(images + noise, 0, 1),
        "codes": generator.normal(size=(200, 4)) * [1.0, 1.2, 0.8, 0.01],
        "log_prob": -2000 + 40 * generator.normal(size=64),
    }
    stored = {name: array.astype(np.float32) for name, array in arrays.items()}
    return stored | {"dims": np.array(784)}


def read_features(path: Path) -> dict[str, np.ndarray]:
    """Returns the stored arrays.

    Raises:
        UserError: The file is missing or broken.
    """
    try:
        return read_arrays(path)
    except UserError as error:
        advice = f"Restore it, or remove it and then use {COMMAND}." if path.exists() else ADVICE
        raise UserError(f"Baseline features: {error} {advice}") from error


def split_digests(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Returns the digest of each data set's split that is here, and a note on each that is not."""
    from ..data.dataset import load_dataset
    from ..data.splits import SHUFFLED

    digests: dict[str, str] = {}
    notes: list[str] = []
    for name in sorted(set(names)):
        dataset, _, split = name.rpartition("/")
        try:
            digests[name] = load_dataset(dataset, split.removesuffix(SHUFFLED)).digest
        except (UserError, UnknownName) as error:
            notes.append(f"Split {name} was not checked: {error}")
    return digests, notes


COMMAND = "`aebench check DIR --against BASELINE --update --reason TEXT`"
ADVICE = f"Write the baseline with {COMMAND}."


def read_expected(path: Path) -> Expected:
    """Returns the stored values of the first layer.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        data = dict(content["data"])
        if odd := [name for name, digest in data.items() if not isinstance(digest, str)]:
            raise ValueError(f"'{odd[0]}' is {reprlib.repr(data[odd[0]])}; expected a digest")
        return Expected({n: _finite(n, v) for n, v in dict(content["metrics"]).items()}, data)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"Baseline values '{path}' cannot be read: {error}. {ADVICE}") from error


def _finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not (
        isinstance(value, int | float) and abs(value) <= sys.float_info.max
    ):
        raise ValueError(f"'{name}' is {reprlib.repr(value)}; expected a finite number")
    return float(value)

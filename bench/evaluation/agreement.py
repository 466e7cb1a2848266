"""Computes one small set of scores with every implementation that is installed."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ROWS, DIMS = 300, 24
K_PRECISION, K_DENSITY = 3, 5

Values = dict[str, float]


@dataclass(frozen=True)
class Implementation:
    """One implementation's answers.

    Attributes:
        name: The distribution's name, as pip knows it.
        version: Its version; empty where it is not installed.
        values: Scores by name.
        trouble: Why there are none.
    """

    name: str
    version: str
    values: Values
    trouble: str = ""


def sample_features() -> tuple[np.ndarray, np.ndarray]:
    """Returns a fixed pair of feature sets, real and generated, float64 of shape (N, F)."""
    import numpy as np

    generator = np.random.default_rng(0)
    real = generator.standard_normal((ROWS, DIMS))
    generated = 0.2 + generator.standard_normal((ROWS, DIMS)) * 0.8
    return real, generated


def compute_all() -> list[Implementation]:
    """Returns the answers of every implementation, ours first, absent ones included."""
    real, generated = sample_features()
    return [_ask(name, answer, real, generated) for name, answer in IMPLEMENTATIONS.items()]


def spread(implementations: list[Implementation]) -> Iterator[tuple[str, list[float], float]]:
    """Yields each score's name, its values, and their range relative to the largest."""
    names = {name: None for each in implementations for name in each.values}
    for name in names:
        values = [each.values[name] for each in implementations if name in each.values]
        scale = max(abs(value) for value in values) or 1.0
        yield name, values, (max(values) - min(values)) / scale


def _ask(
    name: str, answer: Callable[[Any, Any], Values], real: np.ndarray, generated: np.ndarray
) -> Implementation:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Implementation(name, "", {}, f"not installed; get it with: pip install {name}")
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Implementation(name, found, answer(real, generated))
    except Exception as error:
        # Another package's failure, of whatever type, is what the table is there to show.
        summary = " ".join(str(error).split())[:80]
        return Implementation(name, found, {}, f"fails: {type(error).__name__}: {summary}")


def _ours(real: np.ndarray, generated: np.ndarray) -> Values:
    from ...metrics.density_coverage import density_coverage
    from ...metrics.frechet import frechet_distance
    from ...metrics.kernel import kernel_distance
    from ...metrics.precision_recall import precision_recall

    sets: dict[str, Any] = {"real": real, "generated": generated}
    precision, recall = precision_recall(**sets, k=K_PRECISION)
    density, coverage = density_coverage(**sets, k=K_DENSITY)
    return {
        "fd": frechet_distance(**sets),
        "kid_full": kernel_distance(**sets, subsets="full")[0],
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    return features.mean(0), np.cov(features, rowvar=False)


def _torch_fidelity(real: np.ndarray, generated: np.ndarray) -> Values:
    import torch
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    first, second = torch.from_numpy(generated), torch.from_numpy(real)
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (first, second)]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    kid = metric_kid.kid_features_to_metric(
        first, second, kid_subsets=1, kid_subset_size=ROWS, verbose=False
    )
    prc = metric_prc.prc_features_to_metric(
        first, second, prc_neighborhood=K_PRECISION, save_cpu_ram=False, verbose=False
    )
    return {
        "fd": float(fid["frechet_inception_distance"]),
        "kid_full": float(kid["kernel_inception_distance_mean"]),
        "precision": float(prc["precision"]),
        "recall": float(prc["recall"]),
    }


def _pytorch_fid(real: np.ndarray, generated: np.ndarray) -> Values:
    from pytorch_fid.fid_score import calculate_frechet_distance

    return {"fd": float(calculate_frechet_distance(*_moments(real), *_moments(generated)))}


def _clean_fid(real: np.ndarray, generated: np.ndarray) -> Values:
    from cleanfid import fid

    return {
        "fd": float(fid.frechet_distance(*_moments(real), *_moments(generated))),
        "kid_full": float(
            fid.kernel_distance(real, generated, num_subsets=1, max_subset_size=ROWS)
        ),
    }


def _prdc(real: np.ndarray, generated: np.ndarray) -> Values:
    from prdc import compute_prdc

    near = compute_prdc(real, generated, nearest_k=K_PRECISION)
    wide = compute_prdc(real, generated, nearest_k=K_DENSITY)
    values = {name: near[name] for name in ("precision", "recall")}
    values |= {name: wide[name] for name in ("density", "coverage")}
    return {name: float(value) for name, value in values.items()}


IMPLEMENTATIONS: dict[str, Callable[[Any, Any], Values]] = {
    "aebench": _ours,
    "torch-fidelity": _torch_fidelity,
    "pytorch-fid": _pytorch_fid,
    "clean-fid": _clean_fid,
    "prdc": _prdc,
}

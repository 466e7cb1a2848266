"""Mean and covariance of features that somebody has stored, as ADM and pytorch-fid do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UserError
from ..files.arrays import read_arrays

if TYPE_CHECKING:
    import numpy as np

NAMES = {"mu", "sigma"}
ROUNDING = 1e-5
"""How far a covariance may be from symmetric, as a share of its largest value."""


class StoredMoments(NamedTuple):
    """Mean, shape (F,), and covariance, shape (F, F), of features, in float64."""

    mean: np.ndarray
    cov: np.ndarray


def read_moments(path: Path) -> StoredMoments | None:
    """Returns the moments of an .npz file that holds ``mu`` and ``sigma`` alone; else none.

    Raises:
        UserError: The file cannot be read, or these are no mean and covariance.
    """
    import numpy as np

    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    arrays = read_arrays(path)
    if arrays.keys() != NAMES:
        return None
    mean, cov = arrays["mu"], arrays["sigma"]
    if mean.ndim != 1 or not mean.size or cov.shape != (mean.size, mean.size):
        raise UserError(
            f"{path}: 'mu' has shape {mean.shape} and 'sigma' {cov.shape}; expected (F,) and "
            "(F, F)."
        )
    if mean.dtype.kind != "f" or cov.dtype.kind != "f":
        raise UserError(f"{path}: expected 'mu' and 'sigma' in floating point.")
    if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
        raise UserError(f"{path} holds values that are not finite.")
    cov = cov.astype(np.float64)
    if abs(cov - cov.T).max() > ROUNDING * abs(cov).max() or (cov.diagonal() < 0).any():
        raise UserError(f"{path}: 'sigma' is not symmetric with variances of 0 or more.")
    return StoredMoments(mean.astype(np.float64), (cov + cov.T) / 2)

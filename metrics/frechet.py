"""Fréchet distance between two sets of features."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arrays import BadInput, Features, blocks, check_features, float64, is_tensor
from .memory import remembered
from .registry import Estimate, register

SAME = "the sets have the same mean and covariance: no error can be given"
ROUNDING = 1e-9  # of the total variance, and of its root in means
SINGULAR = "fewer rows than features: the covariances are singular, the bias is large"


class Moments(NamedTuple):
    """Mean, shape (F,), and covariance with divisor N - 1, shape (F, F), in float64."""

    mean: Any
    cov: Any


@register("frechet", unit="squared feature units", better="lower")
def frechet(*, real: Features, generated: Features) -> dict[str, Estimate]:
    """Scores the Fréchet distance of two sets of features, on Inception's the FID.

    The standard error is the infinitesimal jackknife's, of the value at these counts; the bias
    of about c/N + c'/M is not in it. Where a set has fewer rows than features no standard error
    is given, nor where the moments agree, as those of a set with itself do: there the first
    order vanishes.
    """
    real, generated = check_features(real=real, generated=generated)
    if min(len(real), len(generated)) <= real.shape[1]:
        return {"fd": Estimate(frechet_distance(real=real, generated=generated), None, SINGULAR)}
    pair = known_moments(real), moments(generated)
    value = distance_of_moments(*pair)
    if agree(*pair):
        return {"fd": Estimate(value, None, SAME)}
    errors = moment_standard_errors(real, generated, *pair)
    return {"fd": Estimate(value, float(np.hypot(*errors)))}


def frechet_distance(*, real: Features, generated: Features) -> float:
    """Computes the Fréchet distance between two sets of features.

    ``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`` in float64, with no eps. The distance is
    symmetric. That of a set to itself is 0 within rounding, and so may be slightly negative. The
    value is biased upward by about c/N + c'/M: compare at equal counts only.

    References:
        GANs Trained by a Two Time-Scale Update Rule (Heusel et al., 2017), arXiv:1706.08500.

    Args:
        real: Features of real images, shape (N, F), N at least 2.
        generated: Features of generated images, shape (M, F), M at least 2.

    Returns:
        The squared distance, in squared feature units.

    Raises:
        BadInput: Wrong shapes, too few rows or rows that are not finite.

    Example:
        >>> import numpy as np
        >>> real = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(frechet_distance(real=real, generated=real + [3.0, 0.0, 4.0]), 6)
        25.0
    """
    real, generated = check_features(real=real, generated=generated)
    if min(len(real), len(generated)) < real.shape[1]:
        return _distance_from_factors(real, generated)
    return distance_of_moments(known_moments(real), moments(generated))


def frechet_distance_from_moments(
    *, mean_real: Features, cov_real: Features, mean_generated: Features, cov_generated: Features
) -> float:
    """Computes the Fréchet distance between two Gaussians.

    Args:
        mean_real: Mean of the real features, shape (F,).
        cov_real: Their covariance, shape (F, F), symmetric and positive semi-definite.
        mean_generated: Mean of the generated features, shape (F,).
        cov_generated: Their covariance, shape (F, F).

    Returns:
        The squared distance, in squared feature units.

    Raises:
        BadInput: Shapes do not fit or a value is not finite.

    Example:
        >>> frechet_distance_from_moments(
        ...     mean_real=[0.0], cov_real=[[4.0]], mean_generated=[3.0], cov_generated=[[1.0]]
        ... )
        10.0
    """
    pairs = {"real": (mean_real, cov_real), "generated": (mean_generated, cov_generated)}
    first, second = (_check_moments(name, *pair) for name, pair in pairs.items())
    if first.mean.shape != second.mean.shape:
        raise BadInput(
            f"'mean_generated' has shape {tuple(second.mean.shape)} and 'mean_real' has "
            f"{tuple(first.mean.shape)}; expected the same."
        )
    return distance_of_moments(first, second)


def moments(features: Features) -> Moments:
    """Computes mean and covariance of features, shape (N, F), block by block in float64.

    Example:
        >>> moments(np.array([[0.0], [2.0]])).cov
        array([[2.]])
    """
    count = len(features)
    # Two passes: E[x x'] - m m' would cancel where the mean is large beside the spread.
    mean = sum(float64(block).sum(0) for _, block in blocks(features)) / count
    scatter: Any = 0.0
    for _, block in blocks(features):
        centred = float64(block) - mean
        scatter = scatter + centred.T @ centred
    return Moments(mean, scatter / (count - 1))


def agree(first: Moments, second: Moments) -> bool:
    """Says whether two means and covariances are the same but for rounding."""
    total = float(first.cov.diagonal().sum() + second.cov.diagonal().sum())
    shift = float(abs(first.mean - second.mean).max())
    change = float(abs(first.cov - second.cov).max())
    return shift**2 <= ROUNDING**2 * total and change <= ROUNDING * total


def known_moments(real: Any) -> Moments:  # noqa: ANN401
    """Returns the moments of real features, computed once for all that they are compared with."""
    return remembered(lambda: moments(real), "moments", real)


def root_factor(cov: Any) -> Any:  # noqa: ANN401
    """Returns R with ``R @ R.T`` equal to a positive semi-definite matrix, shape (F, F).

    Cholesky's factor where the matrix is definite, which takes a tenth of the time; otherwise
    the scaled eigenvectors. The backward errors are of one order.
    """
    try:
        return linalg_of(cov).cholesky(cov)
    except (np.linalg.LinAlgError, RuntimeError):
        # torch's LinAlgError is a RuntimeError.
        pass
    values, vectors = linalg_of(cov).eigh(cov)
    return vectors * values.clip(min=0.0) ** 0.5


def distance_of_moments(real: Moments, generated: Moments) -> float:
    """Computes the Fréchet distance of two Gaussians that have been checked."""
    difference = real.mean - generated.mean
    trace = float(real.cov.diagonal().sum() + generated.cov.diagonal().sum())
    return float(difference @ difference) + trace - 2.0 * _root_trace(real.cov, generated.cov)


def _root_trace(first: Any, second: Any) -> float:  # noqa: ANN401
    """Computes ``tr (S1 S2)^(1/2)`` as the root eigenvalues of ``R1' S2 R1``.

    A feature without variance in either set has a zero row in one root, so it drops out exactly.
    """
    alive = (first.diagonal() > 0.0) & (second.diagonal() > 0.0)
    if not bool(alive.any()):
        return 0.0
    root = root_factor(first[alive][:, alive])
    # S1 S2 is not symmetric; R1' S2 R1 has the same eigenvalues and is.
    product = root.T @ second[alive][:, alive] @ root
    values = linalg_of(product).eigvalsh((product + product.T) / 2.0)
    return float((values.clip(min=0.0) ** 0.5).sum())


def _distance_from_factors(real: Any, generated: Any) -> float:  # noqa: ANN401
    """Computes the distance without covariances, exact where they are singular."""
    (mean_real, root_real), (mean_generated, root_generated) = map(_factor, (real, generated))
    difference = mean_real - mean_generated
    # tr (S1 S2)^(1/2) is the sum of the singular values of R1 R2': no eigenvalue that is 0 but
    # for rounding has its root taken, which would turn 1e-16 into 1e-8.
    trace = float((root_real**2).sum() + (root_generated**2).sum())
    nuclear = float(linalg_of(root_real).svdvals(root_real @ root_generated.T).sum())
    return float(difference @ difference) + trace - 2.0 * nuclear


def _factor(features: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Returns the mean and R, shape (min(N, F), F), with ``R.T @ R`` the covariance."""
    values = float64(features)
    mean = values.mean(0)
    centred = values - mean
    root = centred
    # With many rows R is the triangle of a QR factorisation, F rows instead of N.
    if len(features) > features.shape[1]:
        root = linalg_of(centred).qr(centred, mode="r")
        root = root[1] if isinstance(root, tuple) else root
    return mean, root / (len(features) - 1) ** 0.5


def _check_moments(name: str, mean: Features, cov: Features) -> Moments:
    named: dict[str, Any] = {f"cov_{name}": cov}
    (matrix,) = check_features(minimum=1, **named)
    vector = float64(mean if is_tensor(mean) else np.asarray(mean))
    vector = vector.to(matrix.device) if is_tensor(matrix) else np.asarray(vector)
    if vector.ndim != 1 or tuple(matrix.shape) != (len(vector), len(vector)):
        raise BadInput(
            f"'mean_{name}' has shape {tuple(vector.shape)} and 'cov_{name}' has "
            f"{tuple(matrix.shape)}; expected (F,) and (F, F)."
        )
    named = {f"mean_{name}": vector[None]}
    check_features(minimum=1, **named)
    return Moments(vector, float64(matrix))


def moment_standard_errors(
    real: Any,  # noqa: ANN401
    generated: Any,  # noqa: ANN401
    real_moments: Moments,
    generated_moments: Moments,
) -> tuple[float, float]:
    """Computes the infinitesimal jackknife's standard errors of the Fréchet distance.

    The distance changes with a row y of a set by ``2 d.y + y'(I - T)y``, where y is centred, d
    is the difference of means and T the linear optimal transport map to the other set. This is
    the first order. It is too small where the two distributions agree: there it vanishes, and
    the second order rules.

    Args:
        real: Features of real images, checked, shape (N, F), N above F.
        generated: Features of generated images, checked, shape (M, F), M above F.
        real_moments: Mean and covariance of ``real``.
        generated_moments: Mean and covariance of ``generated``.

    Returns:
        The standard error due to the real and to the generated sample; they add in squares.
    """
    first = _influence_error(real, real_moments, generated_moments)
    return first, _influence_error(generated, generated_moments, real_moments)


def _influence_error(rows: Any, own: Moments, other: Moments) -> float:  # noqa: ANN401
    shift = 2.0 * (own.mean - other.mean)
    transport = _transport(own.cov, other.cov)
    total = squares = 0.0
    for _, block in blocks(rows):
        centred = float64(block) - own.mean
        change = centred @ shift + (centred * (centred - centred @ transport)).sum(1)
        total += float(change.sum())
        squares += float((change**2).sum())
    count = len(rows)
    variance = max(0.0, squares / count - (total / count) ** 2)
    return float((variance / count) ** 0.5)


def _transport(start: Any, end: Any) -> Any:  # noqa: ANN401
    """Computes T with ``T start T = end``: ``R (R' start R)^(-1/2) R'`` for ``end = R R'``."""
    root = root_factor(end)
    product = root.T @ start @ root
    values, vectors = linalg_of(product).eigh((product + product.T) / 2.0)
    # Directions without variance in ``start`` carry nothing; their -1/4th power would overflow.
    smallest = float(values[-1]) * len(values) * np.finfo(float).eps
    kept = values > smallest
    half = (root @ vectors)[:, kept] * values[kept] ** -0.25
    return half @ half.T


def linalg_of(array: Any) -> Any:  # noqa: ANN401
    """Returns the linear algebra module that fits an array or a tensor."""
    if is_tensor(array):
        import torch

        return torch.linalg
    return np.linalg

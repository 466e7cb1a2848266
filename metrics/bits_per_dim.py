"""Likelihoods: nats per image, bits per dimension and importance-weighted estimates."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import BadInput, Features, Floats, check_finite, to_floats
from .registry import Estimate, register


@register("likelihood", unit="nats per image", better="higher")
def likelihood(*, log_prob: Features) -> dict[str, Estimate]:
    """Averages the log-likelihood of the test images, in nats, shape (N,)."""
    values = _check_row("log_prob", log_prob)
    return {"log_prob": Estimate.of_mean(values)}


@register("bits-per-dim", unit="bits per dimension", better="lower")
def score_bits_per_dim(*, log_prob: Features, dims: int = 0) -> dict[str, Estimate]:
    """Scores bits per dimension of 8-bit data from log-likelihoods of data divided by 256."""
    values = _check_row("log_prob", log_prob)
    return {"bits_per_dim": Estimate.of_mean(bits_per_dim(-values, dims=dims))}


def bits_per_dim(
    negative_log_likelihood: Features | float, *, dims: int, scale: float = 256
) -> Any:  # noqa: ANN401
    """Converts nats per image into bits per dimension of dequantised 8-bit data.

    ``nll / (dims ln 2) + log2(scale)``, where the model sees data in [0, 256) divided by
    ``scale``: 256 for [0, 1), 128 for [-1, 1), 1 for [0, 256).

    Args:
        negative_log_likelihood: Nats per image in the model's space, any shape.
        dims: Values per image, C*H*W, padding included.
        scale: What data in [0, 256) was divided by.

    Returns:
        Bits per dimension, a float or an array of the same shape.

    Raises:
        BadInput: ``dims`` or ``scale`` is not positive.

    Example:
        >>> bits_per_dim(0.0, dims=784)
        8.0
    """
    if not dims > 0:
        raise BadInput(f"'dims' is {dims}; expected the positive number of values per image.")
    if not scale > 0:
        raise BadInput(f"'scale' is {scale}; expected a positive number.")
    nats = np.asarray(to_floats(negative_log_likelihood))  # type: ignore[arg-type]
    bits = nats / (dims * np.log(2.0)) + np.log2(scale)
    return float(bits) if bits.ndim == 0 else bits


def importance_summary(log_weights: Features) -> dict[str, Floats]:
    """Summarises the log-weights of an importance-weighted likelihood, per image.

    References:
        Importance Weighted Autoencoders (Burda et al., 2016), Equation 8, arXiv:1509.00519;
        Debiasing Evidence Approximations (Nowozin, 2018).

    Args:
        log_weights: ``log p(x|z) + log p(z) - log q(z|x)`` in nats, shape (N, K).

    Returns:
        ``bound``: the K-sample lower bound; ``elbo``: the 1-sample bound; ``ess``: the effective
        sample size in [1, K]; ``stderr``: the bound's delta-method standard error, optimistic
        where ``ess`` is small; ``jackknife``: the bound without its 1/K bias, no longer a bound.
        Nats, shape (N,) each.

    Raises:
        BadInput: The shape is not (N, K), or a weight is nan or +inf.

    Example:
        >>> {key: float(row[0]) for key, row in importance_summary([[1.0, 1.0]]).items()}
        {'bound': 1.0, 'elbo': 1.0, 'ess': 2.0, 'stderr': 0.0, 'jackknife': 1.0}
    """
    from scipy.special import logsumexp

    logs = to_floats(log_weights)
    if logs.ndim != 2 or 0 in logs.shape:
        raise BadInput(f"'log_weights' has shape {logs.shape}; expected (images, samples).")
    if np.isnan(logs).any() or np.isposinf(logs).any():
        raise BadInput("'log_weights' holds nan or +inf; expected log-weights in nats.")
    samples = logs.shape[1]
    total = logsumexp(logs, axis=1)
    ess = np.exp(2.0 * total - logsumexp(2.0 * logs, axis=1)).clip(1.0, samples)
    bound = total - np.log(samples)
    return {
        "bound": bound,
        "elbo": logs.mean(axis=1),
        "ess": ess,
        "stderr": np.sqrt((1.0 / ess - 1.0 / samples).clip(min=0.0)),
        "jackknife": samples * bound - (samples - 1) * _bounds_without_one(logs).mean(axis=1),
    }


def _bounds_without_one(logs: Floats) -> Floats:
    """Computes the bound without each weight in turn, shape (N, K), by sums from both sides.

    Subtracting a dominating weight from the total would cancel; sums of the others do not.
    """
    samples = logs.shape[1]
    if samples == 1:
        return np.zeros_like(logs)
    edge = np.full((len(logs), 1), -np.inf)
    before = np.logaddexp.accumulate(np.hstack([edge, logs]), axis=1)[:, :-1]
    after = np.logaddexp.accumulate(np.hstack([edge, logs[:, ::-1]]), axis=1)[:, :-1][:, ::-1]
    return np.asarray(np.logaddexp(before, after) - np.log(samples - 1))


def _check_row(name: str, values: Features) -> Floats:
    row = to_floats(values)
    if row.ndim != 1 or len(row) == 0:
        raise BadInput(f"'{name}' has shape {row.shape}; expected rank 1, (images,).")
    check_finite(name, row)
    return row

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


def _check_row(name: str, values: Features) -> Floats:
    row = to_floats(values)
    if row.ndim != 1 or len(row) == 0:
        raise BadInput(f"'{name}' has shape {row.shape}; expected rank 1, (images,).")
    check_finite(name, row)
    return row

"""Bits per dimension, from nats per image."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import BadInput, Features, to_floats


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

"""How many nats of a text its code carries, by the encoder's distribution."""

from __future__ import annotations

import numpy as np

from .arrays import Features, check_features, to_floats
from .registry import Estimate, register


@register("rate", unit="nats", better="none")
def rate(*, posterior_mean: Features, posterior_log_sigma: Features) -> dict[str, Estimate]:
    """Averages KL(q(z|x) || N(0, I)) over data, for Gaussian q.

    A rate near 0 says that the decoder gets nothing from the code, however well it writes.

    Args:
        posterior_mean: Means of q(z|x), shape (N, L).
        posterior_log_sigma: Logarithms of its standard deviations, shape (N, L).

    Raises:
        BadInput: The two do not fit together, or a number is not finite.

    References:
        Fixing a Broken ELBO (Alemi et al., 2018), Section 2, arXiv 1711.00464.

    Example:
        >>> zeros = np.zeros((4, 2))
        >>> rate(posterior_mean=zeros + 1, posterior_log_sigma=zeros)["rate"].value
        1.0
    """
    means, sigmas = check_features(mean=posterior_mean, log_sigma=posterior_log_sigma)
    mean, log_sigma = to_floats(means), to_floats(sigmas)
    nats = 0.5 * (np.exp(2 * log_sigma) + mean**2 - 1 - 2 * log_sigma).sum(1)
    return {"rate": Estimate.of_mean(nats)}

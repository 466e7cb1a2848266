"""Closed forms of Gaussians, in nats."""

from __future__ import annotations

import math

from torch import Tensor


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Returns log N(z; 0, I) in nats, summed over the last axis."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


def normal_log_prob(value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Returns log N(value; mean, scale^2) in nats, summed over all but the first axis."""
    deviation = ((value - mean) / scale).flatten(1)
    return standard_normal_log_prob(deviation) - scale.log().flatten(1).sum(1)


def gaussian_kl(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """Returns KL(N(mu, sigma^2) || N(0, I)) in nats, (B,), summed over dimensions."""
    log_variance = 2 * log_sigma
    return 0.5 * (log_variance.exp() + mu.square() - 1 - log_variance).sum(1)

"""Denoising protocol: every objective trains on noisy images, by its own loss."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_at_least


def add_noise(x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Returns clamp(x + N(0, sigma^2), 0, 1).

    An objective minimises its own loss on these, with no clean target: what denoises is the
    bottleneck. Log densities of clamped images are not comparable with those of clean ones.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546, released code.

    Args:
        x: Images (B, C, H, W) in [0, 1], dequantised in training, as stored in testing.
        sigma: Standard deviation, at least 0.
        generator: Source of the noise.

    Raises:
        ValueError: ``sigma`` is negative.
    """
    check_at_least(0, sigma=sigma)
    noise = torch.randn(x.shape, generator=generator, device=generator.device).to(x)
    return (x + sigma * noise).clamp(0, 1)

"""Graded damage to sets of 8-bit images: what a metric is calibrated against."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def blur(images: Tensor, sigma: float) -> Tensor:
    """Blurs images with a Gaussian, mirrored at the border.

    Args:
        images: uint8, shape (N, C, H, W).
        sigma: Standard deviation in pixels.

    Returns:
        uint8, shape (N, C, H, W).

    Example:
        >>> point = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
        >>> point[0, 0, 4, 4] = 255
        >>> int(blur(point, 1.0)[0, 0, 4, 4])
        41
    """
    # Beyond it a weight is below 4e-4 of the central one; a border mirrors what there is.
    radius = min(math.ceil(4 * sigma), min(images.shape[2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()

    def smooth(batch: Tensor) -> Tensor:
        planes = batch.float().flatten(0, 1)[:, None]
        planes = functional.pad(planes, (radius,) * 4, mode="reflect")
        # A Gaussian is separable: along rows, then along columns.
        planes = functional.conv2d(planes, weights[None, None, None, :])
        planes = functional.conv2d(planes, weights[None, None, :, None])
        return planes.reshape(batch.shape)

    return torch.cat([_to_bytes(smooth(batch)) for batch in images.split(1000)])


def add_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Adds Gaussian noise, clipped to the range of a byte.

    Args:
        images: uint8, shape (N, C, H, W).
        deviation: Standard deviation in grey levels.
        generator: Source of the noise.
    """
    batches = images.split(1000)
    return torch.cat(
        [
            _to_bytes(batch + deviation * torch.randn(batch.shape, generator=generator))
            for batch in batches
        ]
    )


class PrincipalComponents:
    """Projection of images onto the leading principal components of others.

    Args:
        images: The images that the components are taken from, uint8, shape (N, C, H, W).
    """

    def __init__(self, images: Tensor) -> None:
        flat = images.flatten(1).double()
        self.mean = flat.mean(0)
        _, vectors = torch.linalg.eigh(torch.cov(flat.T))
        self.vectors = vectors.flip(1)  # eigh gives the smallest variance first

    def project(self, images: Tensor, components: int) -> Tensor:
        """Reconstructs images, uint8 (N, C, H, W), from so many components."""
        basis = self.vectors[:, :components]
        centred = images.flatten(1).double() - self.mean
        return _to_bytes((centred @ basis @ basis.T + self.mean).reshape(images.shape))


def _to_bytes(levels: Tensor) -> Tensor:
    return levels.round().clamp(0, 255).to(torch.uint8)

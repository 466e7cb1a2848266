"""From float images to the 8 bits that every extractor is given."""

from __future__ import annotations

import torch
from torch import Tensor


def quantise(images: Tensor) -> Tensor:
    """Clips images to [0, 1] and rounds them to the nearest of 256 levels.

    Args:
        images: float, in [0, 1], any shape.

    Returns:
        uint8, ``floor(255 x + 0.5)``, same shape and device.

    Raises:
        ValueError: A value is nan.

    Example:
        >>> quantise(torch.tensor([-0.2, 0.501, 0.9999, 1.7])).tolist()
        [0, 128, 255, 255]
    """
    if images.isnan().any():
        raise ValueError("Images have nan values; expected numbers in [0, 1].")
    return (images.clamp(0, 1) * 255 + 0.5).floor().to(torch.uint8)

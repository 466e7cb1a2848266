"""The pixels themselves as features: needs no weights."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ..extractor import Extractor, register_extractor


@register_extractor("pixels")
class Pixels(Extractor):
    """Flattened grey levels in [0, 1], without resizing; F is C·H·W of the images."""

    channels = None

    def find_weights(self) -> Path | None:
        """Returns ``None``: there are no weights."""
        return None

    def embed(self, images: Tensor) -> Tensor:
        """Flattens and divides by 255."""
        return images.flatten(1) / 255

"""Real space: vectors as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from .space import SPACES, Space


@SPACES.register("real")
class RealSpace(Space):
    """The identity, for data of known density: no dequantisation, no bounds, nats only.

    Args:
        image_shape: (C, H, W), such as (1, 1, D) for vectors.
        alpha: Not used.
        trainable: Not used, there is nothing to train.
    """

    name = "real"

    def dequantise(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """Returns the data as float32: they are not quantised."""
        return data.float()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns x and zeros."""
        return x, x.new_zeros(len(x))

    def clamp(self, x: Tensor) -> Tensor:
        """Returns x: real numbers have no bounds."""
        return x

"""Affine coupling layer of RealNVP: zuko's transform with another scale and network."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from zuko.transforms import AffineTransform, CouplingTransform, DependentTransform, Transform

from .autoregressive import BLOCKS, SCALE_FLOOR, ResidualBlock


class CouplingLayer(nn.Module):
    """Keeps every second coordinate and maps the others by v s + t, s = sigmoid(u + 2) + 1e-3.

    References:
        Density estimation using Real NVP (Dinh et al., 2017), arXiv 1605.08803.

    Args:
        features: Number of coordinates.
        hidden: Width of the network.
        odd: Whether the odd-indexed coordinates are mapped, or the even-indexed.

    Raises:
        ValueError: There are fewer than two coordinates.
    """

    def __init__(self, features: int, hidden: int = 256, *, odd: bool) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(
                f"Flow 'realnvp' got latent size {features}; expected at least 2, "
                "since a coupling layer conditions one part on another."
            )
        keeps = torch.arange(features) % 2 != int(odd)
        kept = int(keeps.sum())
        dense = partial(nn.Linear, hidden, hidden)
        self.network = nn.Sequential(
            nn.Linear(kept, hidden),
            *(ResidualBlock(dense(), dense()) for _ in range(BLOCKS)),
            nn.Linear(hidden, 2 * (features - kept)),
        )
        self.transforms = [CouplingTransform(m, keeps) for m in (self._affine, self._inverse)]
        for transform in self.transforms:
            # zuko's index tensors would stay on the CPU and be copied to a GPU at every call,
            # which a recorded training step does not allow.
            transform.idx_a = slice(int(not odd), None, 2)
            transform.idx_b = slice(int(odd), None, 2)

    def forward(self, v: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Returns outputs and log-determinant of vectors (..., d), or those of the inverse."""
        return self.transforms[inverse].call_and_ladj(v)

    def _affine(self, kept: Tensor) -> Transform:
        # Contiguous, as a slice is not: a dense layer rounds otherwise on the two.
        shift, raw = self.network(kept.contiguous()).chunk(2, -1)
        return DependentTransform(AffineTransform(shift, (raw + 2).sigmoid() + SCALE_FLOOR), 1)

    def _inverse(self, kept: Tensor) -> Transform:
        return self._affine(kept).inv

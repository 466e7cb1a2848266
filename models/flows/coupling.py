"""Affine coupling layer of RealNVP; zuko's has another form of the scale and of the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

SCALE_FLOOR = 1e-3


class ResidualBlock(nn.Module):
    """h + L2(relu(L1(relu(h))))."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(hidden, hidden)
        self.second = nn.Linear(hidden, hidden)
        nn.init.uniform_(self.second.weight, -1e-3, 1e-3)
        nn.init.uniform_(self.second.bias, -1e-3, 1e-3)

    def forward(self, h: Tensor) -> Tensor:
        """Returns the block's output, (..., H)."""
        return h + self.second(relu(self.first(relu(h))))


class CouplingLayer(nn.Module):
    """Keeps every second coordinate and maps the others by v s + t, s = sigmoid(u + 2) + 1e-3.

    References:
        Density estimation using Real NVP (Dinh et al., 2017), arXiv 1605.08803.

    Args:
        features: Number of coordinates.
        hidden: Width of the network.
        blocks: Number of its residual blocks.
        odd: Whether the odd-indexed coordinates are mapped, or the even-indexed.

    Raises:
        ValueError: There are fewer than two coordinates.
    """

    kept: Tensor
    mapped: Tensor

    def __init__(self, features: int, hidden: int = 256, blocks: int = 2, *, odd: bool) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(
                f"Flow 'realnvp' got latent size {features}; expected at least 2, "
                "since a coupling layer conditions one part on another."
            )
        order = torch.arange(features)
        self.register_buffer("kept", order[order % 2 != int(odd)], persistent=False)
        self.register_buffer("mapped", order[order % 2 == int(odd)], persistent=False)
        self.network = nn.Sequential(
            nn.Linear(len(self.kept), hidden),
            *(ResidualBlock(hidden) for _ in range(blocks)),
            nn.Linear(hidden, 2 * len(self.mapped)),
        )

    def forward(self, v: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Returns outputs and log-determinant of vectors (..., d), or those of the inverse."""
        shift, scale = self._coefficients(v)
        if inverse:
            return self._replace(v, (v[..., self.mapped] - shift) / scale), -scale.log().sum(-1)
        return self._replace(v, v[..., self.mapped] * scale + shift), scale.log().sum(-1)

    def _coefficients(self, v: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.network(v[..., self.kept]).chunk(2, -1)
        return shift, (raw + 2).sigmoid() + SCALE_FLOOR

    def _replace(self, v: Tensor, values: Tensor) -> Tensor:
        return v.index_copy(-1, self.mapped, values)

"""The residual network of the AEF paper for colour images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from .backbone import BACKBONES, Backbone, scaled


class Block(nn.Module):
    """Bottleneck of four convolutions, each after a GELU, with optional residual and pooling.

    Args:
        width: Channels in and out.
        resolution: Nominal size of the input; kernels are 3x3 above 2 and 1x1 up to it.
        gain: Factor on the initial weights of the last convolution.
        pool: Factor of average pooling at the end.
    """

    def __init__(self, width: int, resolution: int, gain: float, pool: int = 1) -> None:
        super().__init__()
        middle = max(1, width // 4)
        self.layers = nn.Sequential(
            *bottleneck(width, resolution), nn.GELU(), scaled_conv(middle, width, gain)
        )
        self.pool = pool

    def extra_repr(self) -> str:
        """Shows the pooling, so that it is part of the structural hash."""
        return f"pool={self.pool}"

    def forward(self, x: Tensor) -> Tensor:
        """Returns the block's output."""
        x = x + self.layers(x)
        return functional.avg_pool2d(x, self.pool) if self.pool > 1 else x


class ChannelAffine(nn.Module):
    """A gain and a bias for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns gain x + bias."""
        return self.gain * x + self.bias


@BACKBONES.register("aef-big")
class AEFBig(Backbone):
    """Residual bottleneck blocks in the manner of VDVAE; all widths follow the latent size.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546, released code.

    Args:
        image_shape: (C, H, W), 32x32 or 64x64.
        latent_dim: Size of the code.
        width: Factor on the width, which is the latent size at 1, the paper's network; other
            factors add a 1x1 convolution from code to width.

    Raises:
        ValueError: The image is not of 32x32 or 64x64.
    """

    summary = "AEF paper, 32x32 and 64x64: residual bottlenecks of width latent_dim"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        width: float = 1.0,
    ) -> None:
        super().__init__(image_shape, latent_dim)
        channels, height, columns = image_shape
        if height != columns or height not in (32, 64):
            raise ValueError(
                f"Backbone 'aef-big' got images of {height}x{columns}; expected 32x32 or 64x64."
            )
        self._width = scaled(latent_dim, width)
        stages = list(_stages(height))
        self._gain = (5 * len(stages) + 4) ** -0.5
        self.encoder = nn.Sequential(
            conv(channels, self._width, 3),
            *(
                block
                for resolution, pool in stages
                for block in (*self._blocks(resolution, 4), self._block(resolution, pool))
            ),
            *self._blocks(1, 3),
            *bottleneck(self._width, 1),
            nn.GELU(),
        )
        self.code = self.code_head()
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (latent_dim, 1, 1)),
            *([] if self._width == latent_dim else [conv(latent_dim, self._width)]),
            *self._blocks(1, 4),
            *(
                module
                for resolution, factor in reversed(stages)
                for module in (nn.Upsample(scale_factor=factor), *self._blocks(resolution, 5))
            ),
            ChannelAffine(self._width),
        )
        self.output = self.output_head()

    def code_head(self) -> nn.Module:
        """Returns a new last convolution of the encoder's last block, then flattening."""
        middle = max(1, self._width // 4)
        return nn.Sequential(scaled_conv(middle, self.latent_dim, self._gain), nn.Flatten())

    def output_head(self) -> nn.Module:
        """Returns a new last 1x1 convolution."""
        return conv(self._width, self.image_shape[0])

    def _block(self, resolution: int, pool: int = 1) -> Block:
        return Block(self._width, resolution, self._gain, pool)

    def _blocks(self, resolution: int, count: int) -> list[Block]:
        return [self._block(resolution) for _ in range(count)]


def bottleneck(width: int, resolution: int) -> list[nn.Module]:
    """Returns a block's layers before its last GELU and convolution."""
    middle = max(1, width // 4)
    kernel = 3 if resolution > 2 else 1
    return [
        nn.GELU(),
        conv(width, middle),
        nn.GELU(),
        conv(middle, middle, kernel),
        nn.GELU(),
        conv(middle, middle, kernel),
    ]


def conv(inputs: int, outputs: int, kernel: int = 1) -> nn.Conv2d:
    """Returns a convolution that keeps the size and starts with bias 0."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def scaled_conv(inputs: int, outputs: int, gain: float) -> nn.Conv2d:
    """Returns a 1x1 convolution with initial weights times ``gain``."""
    layer = conv(inputs, outputs)
    layer.weight.data.mul_(gain)
    return layer


def _stages(size: int) -> Iterator[tuple[int, int]]:
    """Yields each stage's size and pooling factor; 4x4, the last, is pooled to one pixel."""
    while size > 4:
        yield size, 2
        size //= 2
    yield 4, 4

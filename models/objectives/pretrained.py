"""An autoencoder that comes with its weights: trained for no steps, scored as all others are."""

from __future__ import annotations

import torch
from torch import Tensor

from .objective import OBJECTIVES, Objective


@OBJECTIVES.register("pretrained")
class Pretrained(Objective):
    """Encoder and decoder as they are given, which take and give pixels in [0, 1].

    There is no prior: codes for samples come from a density that is fitted to the codes of the
    training images. The backbone is one of `pretrained_backbone`, such as ``diffusers:FOLDER``.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), section 4,
        arXiv 1903.12436, for densities fitted afterwards to any autoencoder.
    """

    summary = "an autoencoder with weights of its own, trained for no steps"
    spaces = ("unit",)

    def code(self, y: Tensor) -> Tensor:
        """Returns codes (B, L) of pixels y in [0, 1]."""
        return self.backbone.encode(y)

    def mean(self, z: Tensor) -> Tensor:
        """Returns the decoder's pixels (B, C, H, W), not clamped."""
        return self.backbone.decode(z)

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion``, the squared error, (B,); no step is taken on it."""
        y, _ = self.space(x)
        return {"distortion": self.space.distortion(y, self.mean(self.code(y)))}

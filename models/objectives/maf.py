"""Masked autoregressive flow on pixels: a likelihood baseline without a bottleneck."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..backbones.backbone import Backbone
from ..checks import check_finite
from ..flows.flows import build_flow
from ..gaussian import standard_normal_log_prob
from ..spaces.space import Space
from .objective import OBJECTIVES, Objective


@OBJECTIVES.register("maf")
class MAF(Objective):
    """A flow stack over the flattened image; exact, and not an autoencoder.

    The backbone is there so that a run's files have the same keys under every objective. It is
    not used, and frozen, so that it has no trained parameters. Codes have as many values as the
    image and decode to it exactly. Sampling takes a pass for each value.

    References:
        Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
        arXiv 1705.07057, as set up in the AEF paper's released code.

    Args:
        backbone: Not used.
        space: The coordinates of the data.
        preset: Not used.
        flow_layers: Autoregressive layers.
        flow_hidden: Width of their networks.
        flow_scale_bound: Most that the logarithm of a scale is off 0; 0 for no bound.

    Raises:
        ValueError: A size is below 1.
    """

    summary = "pixel-space flow, exact; ignores the backbone"
    likelihood = "exact"
    prior = "prior"
    default_space = "logit"
    spaces = ("logit", "real")
    trains_space = True
    copies = True

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        flow_layers: int = 4,
        flow_hidden: int = 256,
        flow_scale_bound: float = 0.0,
    ) -> None:
        super().__init__(backbone, space, preset=preset)
        backbone.requires_grad_(False)
        self.flow = build_flow(
            "maf",
            self.code_dim,
            layers=flow_layers,
            hidden=flow_hidden,
            scale_bound=flow_scale_bound,
        )

    @property
    def code_dim(self) -> int:
        """Size of the codes: the number of values in an image."""
        return prod(self.backbone.image_shape)

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Sets space and flow from the first batch."""
        super().initialise(x, generator)
        with torch.no_grad():
            self.flow.initialise(self.space(x)[0].flatten(1))

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the parts of -log p(x), each (B,): ``latent``, ``flow`` and ``space``."""
        code, flow, space = self._transform(x)
        return {"latent": -standard_normal_log_prob(code), "flow": -flow, "space": -space}

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log p(x), (B,), in nats, of dequantised images in [0, 1]."""
        code, flow, space = self._transform(x)
        return standard_normal_log_prob(code) + flow + space

    def encode(self, x: Tensor) -> Tensor:
        """Returns noise-side vectors (B, D)."""
        return self.flow.to_noise(self.space(x)[0].flatten(1))[0]

    def inverse(self, z: Tensor) -> Tensor:
        """Returns x, not clamped, for noise-side vectors (B, D)."""
        flat = self.flow.to_data(z)[0]
        return self.space.inverse(flat.view(-1, *self.backbone.image_shape))

    def decode(self, z: Tensor) -> Tensor:
        """Returns images for noise-side vectors (B, D)."""
        return self.space.clamp(self.inverse(z))

    def _transform(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns codes (B, D) and the log-determinants (B,) of flow and space."""
        y, space = self.space(x)
        code, flow = self.flow.to_noise(y.flatten(1))
        check_finite({"space": space, "flow": flow})
        return code, flow, space

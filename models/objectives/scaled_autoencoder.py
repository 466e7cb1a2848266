"""Encoder and decoder that each give a mean and a scale: what AEF and VAE have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from ..backbones.backbone import Backbone
from ..checks import check_at_least, check_choice
from ..flows.flows import build_flow
from ..gaussian import standard_normal_log_prob
from ..options import Range
from ..spaces.space import Space
from .objective import Objective

DECODER_SCALES = ("fixed", "independent", "dependent")


class ScaledAutoencoder(Objective):
    """Scale heads over the backbone, and a prior flow between codes and the decoder's input.

    Codes z0 have the prior N(0, I). The prior flow maps them to z1, the decoder's input. A
    learnt scale is softplus(.) + epsilon for every objective, in training as in evaluation; the
    released code has three definitions.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        prior_flow: ``none``, ``maf``, ``iaf`` or ``realnvp``.
        decoder_scale: ``fixed`` at 1, ``independent`` of z (one parameter for each value of the
            image) or ``dependent`` on z (a second last layer).
        decoder_rho: Initial parameter of the independent scale, before the softplus; the
            released code has 0 for the small and 1 for the big network.
        epsilon: Added to every scale but the decoder's ``fixed`` one, which is exactly 1.
        flow_layers: Layers of each flow.
        flow_hidden: Width of the flows' networks.
        flow_scale_bound: Most that the logarithm of a flow's scale is off 0; 0 for no bound.
        **options: ``preset``, which is not used: there are no published weights.

    Raises:
        ValueError: An option is unknown or outside its range.
    """

    prior = "prior"
    default_space = "logit"
    spaces = ("logit", "real")
    trains_space = True
    tunable: ClassVar[Mapping[str, Range]] = {"decoder_rho": Range(-2.0, 2.0)}

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        prior_flow: str = "none",
        decoder_scale: str = "independent",
        decoder_rho: float = 0.0,
        epsilon: float = 1e-5,
        flow_layers: int = 4,
        flow_hidden: int = 256,
        flow_scale_bound: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(backbone, space, **options)
        self.decoder_scale = check_choice("decoder_scale", decoder_scale, DECODER_SCALES)
        check_at_least(0, epsilon=epsilon)
        self.epsilon = epsilon
        self.scale_head = backbone.code_head()
        if decoder_scale == "independent":
            self.decoder_rho = nn.Parameter(torch.full(backbone.image_shape, float(decoder_rho)))
        if decoder_scale == "dependent":
            self.decoder_scale_head = backbone.output_head()
        sizes = {"layers": flow_layers, "hidden": flow_hidden}
        self.flow_sizes: dict[str, Any] = {**sizes, "scale_bound": flow_scale_bound}
        self.prior_flow = build_flow(prior_flow, backbone.latent_dim, **self.flow_sizes)

    @classmethod
    def ranges(cls, options: Mapping[str, Any]) -> dict[str, Range]:
        """Returns what is left to tune; only the independent scale has an initial value."""
        independent = options.get("decoder_scale", "independent") == "independent"
        return super().ranges(options) if independent else {}

    def encoder_affine(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the encoder's mean and scale, each (B, L), of coordinates y."""
        features = self.backbone.encoder(self.space.network_input(y))
        return self.backbone.code(features), self._positive(self.scale_head(features))

    def decoder_affine(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the decoder's mean and scale of y, each (B, C, H, W), for inputs z1 (B, L)."""
        features = self.backbone.decoder(z)
        mean = self.space.activate(self.backbone.output(features))
        if self.decoder_scale == "dependent":
            return mean, self._positive(self.decoder_scale_head(features))
        if self.decoder_scale == "independent":
            return mean, self._positive(self.decoder_rho).expand_as(mean)
        return mean, torch.ones_like(mean)

    def decoder_input(self, z: Tensor) -> Tensor:
        """Returns z1 for codes z0: the prior flow's way towards data."""
        return self.prior_flow.to_data(z)[0]

    def latent_log_prob(self, z: Tensor) -> Tensor:
        """Returns log p(z1), (...), of decoder inputs (..., L), in nats."""
        code, log_det = self.prior_flow.to_noise(z)
        return standard_normal_log_prob(code) + log_det

    def diagnostics(self, x: Tensor) -> dict[str, Tensor]:
        """Returns ``encoder_log_scale``, the mean logarithm of the encoder's scale."""
        return {"encoder_log_scale": self.encoder_affine(self.space(x)[0])[1].log().mean()}

    def _positive(self, raw: Tensor) -> Tensor:
        return softplus(raw) + self.epsilon


class ScaledLatentModel(ScaledAutoencoder):
    """A `ScaledAutoencoder` that describes all of y given z, so that its likelihood is bounded.

    p(x) = |dy/dx| times the integral of `latent_log_prob` and `observation` over z1.
    """

    likelihood = "bound"

    def observation(self, z: Tensor) -> Distribution:
        """Returns N(mean, scale^2) over y, event (C, H, W), for decoder inputs z1 (B, L)."""
        mean, scale = self.decoder_affine(z)
        return Independent(Normal(mean, scale, validate_args=False), 3)

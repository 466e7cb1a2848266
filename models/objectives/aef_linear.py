"""Extended-space AEF: the image beside a few values computed from it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import linear

from ..backbones.backbone import Backbone
from ..checks import check_finite
from ..flows.flow_gaussian import FlowGaussian
from ..flows.flows import NoFlow, build_flow
from ..gaussian import standard_normal_log_prob
from ..spaces.space import Space
from .objective import OBJECTIVES
from .scaled_autoencoder import (
    ScaledLatentModel,
    check_parametrisation,
    couple,
    uncouple,
)

# Rows of torch's default dense initialisation have this length in the root mean square.
ROW_LENGTH = 3**-0.5


class FixedScaleLinear(nn.Linear):
    """A dense layer each of whose rows has one fixed length; its direction is trained."""

    def forward(self, features: Tensor) -> Tensor:
        """Returns the layer's output."""
        length = self.weight.norm(dim=1, keepdim=True)
        return linear(features, ROW_LENGTH * self.weight / length, self.bias)


@OBJECTIVES.register("aef-linear")
class LinearAEF(ScaledLatentModel):
    """Maximises log p_ext(x, w) of the image and w = A y + a, a density of both.

    This is neither log p(x) nor a bound on it. The marginal is that of a VAE with the same
    decoder and prior, and is bounded like a VAE's, through `observation`, `latent_log_prob` and
    `proposal`. Dividing A and a by t and multiplying the encoder's scale by t leaves samples,
    codes and marginal unchanged and raises log p_ext by L ln t, so the loss is unbounded below:
    `diagnostics` has what drifts.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Not used.
        core_flow: ``none``, ``maf``, ``iaf`` or ``realnvp``, applied to w first.
        prior_flow: The same choice, between z1 and z0.
        decoder_scale: ``fixed``, ``independent`` or ``dependent``.
        parametrisation: ``multiply`` (z1 = m + s c) or ``divide`` (z1 = (c - m)/s).
        core_network: Any module from y (B, C, H, W) to (B, L) in the place of the dense map.
        decoder_rho: Initial parameter of the independent scale.
        epsilon: Added to every scale.
        flow_layers: Layers of each flow.
        flow_hidden: Width of the flows' networks.

    Raises:
        ValueError: An option does not fit.
    """

    summary = "flow on the image extended by a linear map of it; no likelihood"
    dense: ClassVar[type[nn.Linear]] = nn.Linear

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        core_flow: str = "none",
        prior_flow: str = "none",
        decoder_scale: str = "independent",
        parametrisation: str = "multiply",
        core_network: nn.Module | None = None,
        decoder_rho: float = 0.0,
        epsilon: float = 1e-5,
        flow_layers: int = 4,
        flow_hidden: int = 256,
    ) -> None:
        super().__init__(
            backbone,
            space,
            preset=preset,
            prior_flow=prior_flow,
            decoder_scale=decoder_scale,
            decoder_rho=decoder_rho,
            epsilon=epsilon,
            flow_layers=flow_layers,
            flow_hidden=flow_hidden,
        )
        self.parametrisation = check_parametrisation(parametrisation)
        self.core_flow = build_flow(core_flow, backbone.latent_dim, **self.flow_sizes)
        self.core_network = self.build_core_network() if core_network is None else core_network
        self.hyperparameters |= {
            "core_flow": core_flow,
            "parametrisation": parametrisation,
            "core_network": None if core_network is None else repr(core_network),
        }

    def build_core_network(self) -> nn.Module:
        """Returns the dense map from y (B, C, H, W) to w (B, L)."""
        values = torch.Size(self.backbone.image_shape).numel()
        return nn.Sequential(nn.Flatten(), self.dense(values, self.backbone.latent_dim))

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Sets space and flows from the first batch."""
        super().initialise(x, generator)
        with torch.no_grad():
            y = self.space(x)[0]
            core = self.core_flow.initialise(self.core_values(y))
            z = couple(core, *self.encoder_affine(y), self.parametrisation)[0]
            self.prior_flow.initialise(z)

    def core_values(self, y: Tensor) -> Tensor:
        """Returns w (B, L) of coordinates y.

        Raises:
            ValueError: The core network's output has another shape.
        """
        w = self.core_network(y)
        expected = (len(y), self.backbone.latent_dim)
        if tuple(w.shape) != expected:
            raise ValueError(f"'core_network' gave shape {tuple(w.shape)}; expected {expected}.")
        return w

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the parts of -log p_ext(x, A y + a), each (B,), by what they come from."""
        return self.extended_terms(x)

    def extended_terms(self, x: Tensor, w: Tensor | None = None) -> dict[str, Tensor]:
        """Returns the parts of -log p_ext(x, w), each (B,).

        Args:
            x: Images (B, C, H, W).
            w: Extension (B, L); the core network's values when not given.
        """
        y, space = self.space(x)
        core, core_flow = self.core_flow.to_noise(self.core_values(y) if w is None else w)
        z, encoder = couple(core, *self.encoder_affine(y), self.parametrisation)
        mean, scale = self.decoder_affine(z)
        code, prior_flow = self.prior_flow.to_noise(z)
        log_determinants = {
            "space": space,
            "core flow": core_flow,
            "encoder scale": encoder,
            "decoder scale": -scale.log().flatten(1).sum(1),
            "prior flow": prior_flow,
        }
        check_finite(log_determinants)
        return {
            "latent": -standard_normal_log_prob(code),
            "deviations": -standard_normal_log_prob(((y - mean) / scale).flatten(1)),
            **{name.replace(" ", "_"): -value for name, value in log_determinants.items()},
        }

    def encode(self, x: Tensor) -> Tensor:
        """Returns codes z0, (B, L)."""
        y = self.space(x)[0]
        core = self.core_flow.to_noise(self.core_values(y))[0]
        z = couple(core, *self.encoder_affine(y), self.parametrisation)[0]
        return self.prior_flow.to_noise(z)[0]

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns the distribution of z1 when w ~ N(A y + a, ``scale``^2), event (L,)."""
        y = self.space(x)[0]
        w = self.core_values(y)
        mean, deviation = self.encoder_affine(y)
        if isinstance(self.core_flow, NoFlow):
            center = couple(w, mean, deviation, self.parametrisation)[0]
            multiplies = self.parametrisation == "multiply"
            spread = scale * (deviation if multiplies else 1 / deviation)
            return Independent(Normal(center, spread, validate_args=False), 1)

        def forward(values: Tensor) -> tuple[Tensor, Tensor]:
            core, core_flow = self.core_flow.to_noise(values)
            z, encoder = couple(core, mean, deviation, self.parametrisation)
            return z, core_flow + encoder

        def inverse(z: Tensor) -> tuple[Tensor, Tensor]:
            core = uncouple(z, mean, deviation, self.parametrisation)
            values, core_flow = self.core_flow.to_data(core)
            return values, core_flow - couple(core, mean, deviation, self.parametrisation)[1]

        return FlowGaussian(w, torch.full_like(w, scale), forward, inverse)

    def diagnostics(self, x: Tensor) -> dict[str, Tensor]:
        """Returns ``encoder_log_scale`` (mean) and ``core_rms``, the root mean square of w."""
        core = self.core_values(self.space(x)[0])
        return super().diagnostics(x) | {"core_rms": core.square().mean().sqrt()}


@OBJECTIVES.register("aef-linear-fixed")
class FixedLinearAEF(LinearAEF):
    """`LinearAEF` with rows of the dense map of fixed length, their initial one.

    This takes away the direction along which the loss is unbounded at no change of the model.
    What is left is that the encoder's mean can learn to cancel a linear map of y.
    """

    summary = "aef-linear with the scale of its dense map fixed"
    dense = FixedScaleLinear

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        core_flow: str = "none",
        prior_flow: str = "none",
        decoder_scale: str = "independent",
        parametrisation: str = "multiply",
        decoder_rho: float = 0.0,
        epsilon: float = 1e-5,
        flow_layers: int = 4,
        flow_hidden: int = 256,
    ) -> None:
        super().__init__(
            backbone,
            space,
            preset=preset,
            core_flow=core_flow,
            prior_flow=prior_flow,
            decoder_scale=decoder_scale,
            parametrisation=parametrisation,
            decoder_rho=decoder_rho,
            epsilon=epsilon,
            flow_layers=flow_layers,
            flow_hidden=flow_hidden,
        )
        del self.hyperparameters["core_network"]

"""Extended-space AEF: the image beside a few values computed from it."""

from __future__ import annotations

import reprlib
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import linear

from ..backbones.backbone import Backbone
from ..flows.flow_gaussian import FlowGaussian
from ..flows.flows import NoFlow
from ..spaces.space import Space
from .core_autoencoder import CoreAutoencoder
from .objective import OBJECTIVES
from .scaled_autoencoder import ScaledLatentModel

# Root mean square of a row's length under torch's default initialisation of a dense layer.
ROW_LENGTH = 3**-0.5


class FixedScaleLinear(nn.Linear):
    """A dense layer each of whose rows has one fixed length; its direction is trained."""

    def forward(self, features: Tensor) -> Tensor:
        """Returns the layer's output."""
        length = self.weight.norm(dim=1, keepdim=True)
        return linear(features, ROW_LENGTH * self.weight / length, self.bias)


@OBJECTIVES.register("aef-linear")
class LinearAEF(CoreAutoencoder, ScaledLatentModel):
    """Maximises log p_ext(x, w), a joint density of the image and of w = A y + a.

    This is neither log p(x) nor a bound on it. The marginal p(x) is that of a VAE with the same
    decoder and prior. It is bounded as a VAE's is, through `observation`, `latent_log_prob` and
    `proposal`.

    The loss has no lower bound. Divide A and a by t and multiply the encoder's scale by t:
    samples, codes and the marginal stay as they are, but log p_ext grows by L ln t.
    `diagnostics` shows this drift.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        core_network: Any module from y (B, C, H, W) to (B, L), in place of the dense map. A
            suite's file cannot name one.
        **options: Those of `CoreAutoencoder` and `ScaledAutoencoder`.

    Raises:
        ValueError: An option does not fit.
    """

    summary = "flow on the image extended by a linear map of it"
    described_term = "deviations"
    dense: ClassVar[type[nn.Linear]] = nn.Linear

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        core_network: nn.Module | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(backbone, space, **options)
        if core_network is not None:
            if not isinstance(core_network, nn.Module):
                raise ValueError(
                    f"'core_network' is {reprlib.repr(core_network)}; expected a torch module, "
                    "from Python: no suite's file has one."
                )
            self.hyperparameters["core_network"] = repr(core_network)
        else:
            dense = self.dense(prod(backbone.image_shape), backbone.latent_dim)
            core_network = nn.Sequential(nn.Flatten(), dense)
        self.core_network = core_network

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

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns the distribution of z1 when w ~ N(A y + a, ``scale``^2), event (L,)."""
        y = self.space(x)[0]
        w = self.core_values(y)
        mean, deviation = self.encoder_affine(y)
        if isinstance(self.core_flow, NoFlow):
            # An affine map of a Gaussian is one, with a density that needs no inverse.
            center = self.couple(w, mean, deviation)[0]
            multiplies = self.parametrisation == "multiply"
            spread = scale * (deviation if multiplies else 1 / deviation)
            return Independent(Normal(center, spread, validate_args=False), 1)

        def forward(values: Tensor) -> tuple[Tensor, Tensor]:
            core, core_flow = self.core_flow.to_noise(values)
            z, encoder = self.couple(core, mean, deviation)
            return z, core_flow + encoder

        def inverse(z: Tensor) -> tuple[Tensor, Tensor]:
            core = self.uncouple(z, mean, deviation)
            values, core_flow = self.core_flow.to_data(core)
            return values, core_flow - self.couple(core, mean, deviation)[1]

        return FlowGaussian(w, torch.full_like(w, scale), forward, inverse)

    def diagnostics(self, x: Tensor) -> dict[str, Tensor]:
        """Returns ``encoder_log_scale`` (mean) and ``core_rms``, the root mean square of w."""
        core = self.core_values(self.space(x)[0])
        return super().diagnostics(x) | {"core_rms": core.square().mean().sqrt()}


@OBJECTIVES.register("aef-linear-fixed")
class FixedLinearAEF(LinearAEF):
    """`LinearAEF` whose dense map keeps the length of its rows.

    This removes the direction in which the loss falls without end while the model stays the
    same. The encoder's mean can still learn to cancel a linear map of y.
    """

    summary = "aef-linear with the scale of its dense map fixed"
    dense = FixedScaleLinear
    ignored_options = ("core_network",)

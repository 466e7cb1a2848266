"""What the AEF objectives have in common: a core of the data that the encoder maps to z1."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..backbones.backbone import Backbone
from ..checks import check_choice, check_finite
from ..flows.flows import build_flow
from ..gaussian import standard_normal_log_prob
from ..spaces.space import Space
from .scaled_autoencoder import ScaledAutoencoder


class Encoded(NamedTuple):
    """Codes z0 (B, L), deviations (B, D) of the described values, log-determinants (B,)."""

    code: Tensor
    deviations: Tensor
    log_determinants: dict[str, Tensor]


class CoreAutoencoder(ScaledAutoencoder):
    """An invertible map from the core and the described values of y to code and deviations.

    A core flow and the encoder's affine step map the core to z1, and the prior flow maps z1 to
    z0. The decoder's mean and scale at z1 standardise the values that it describes; what is
    left are their deviations. Codes and deviations are standard normal under the model.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        core_flow: ``none``, ``maf``, ``iaf`` or ``realnvp``, applied to the core first.
        parametrisation: The encoder's step from core c, mean m and scale s: ``multiply``
            (z1 = m + s c) or ``divide`` (z1 = (c - m)/s).
        **options: Those of `ScaledAutoencoder`.

    Raises:
        ValueError: An option is unknown or outside its range.
    """

    described_term: ClassVar[str]

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        core_flow: str = "none",
        parametrisation: str = "multiply",
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(backbone, space, **options)
        kinds = ("multiply", "divide")
        self.parametrisation = check_choice("parametrisation", parametrisation, kinds)
        self.core_flow = build_flow(core_flow, backbone.latent_dim, **self.flow_sizes)

    @abstractmethod
    def core_values(self, y: Tensor) -> Tensor:
        """Returns the core (B, L) of coordinates y."""

    def described_values(self, y: Tensor) -> Tensor:
        """Returns the values of y that the decoder describes; all of them by default."""
        return y

    def couple(self, core: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z1 and its log-determinant for a core and the encoder's mean and scale."""
        if self.parametrisation == "multiply":
            return mean + scale * core, scale.log().sum(-1)
        return (core - mean) / scale, -scale.log().sum(-1)

    def uncouple(self, z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """Returns the core for z1; the inverse of `couple`."""
        return (z - mean) / scale if self.parametrisation == "multiply" else mean + scale * z

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Sets space and flows from the first batch."""
        super().initialise(x, generator)
        with torch.no_grad():
            y = self.space(x)[0]
            # Each flow is set from what the parts before it give for this batch.
            core = self.core_flow.initialise(self.core_values(y))
            self.prior_flow.initialise(self.couple(core, *self.encoder_affine(y))[0])

    def transform(self, x: Tensor, core: Tensor | None = None) -> Encoded:
        """Returns codes, deviations and all log-determinants of images.

        Args:
            x: Images (B, C, H, W).
            core: The core (B, L); that of x when not given.
        """
        y, space = self.space(x)
        core, core_flow = self.core_flow.to_noise(self.core_values(y) if core is None else core)
        z, encoder = self.couple(core, *self.encoder_affine(y))
        mean, scale = self.decoder_affine(z)
        deviations = ((self.described_values(y) - mean) / scale).flatten(1)
        code, prior_flow = self.prior_flow.to_noise(z)
        log_determinants = {
            "space": space,
            "core flow": core_flow,
            "encoder scale": encoder,
            "decoder scale": -scale.log().flatten(1).sum(1),
            "prior flow": prior_flow,
        }
        check_finite(log_determinants)
        return Encoded(code, deviations, log_determinants)

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the parts of minus the log density, each (B,), by what they come from."""
        return self.terms_at(x)

    def terms_at(self, x: Tensor, core: Tensor | None = None) -> dict[str, Tensor]:
        """Returns `terms` for a given core (B, L), or for that of x."""
        code, deviations, log_determinants = self.transform(x, core)
        return {
            "latent": -standard_normal_log_prob(code),
            self.described_term: -standard_normal_log_prob(deviations),
            **{name.replace(" ", "_"): -value for name, value in log_determinants.items()},
        }

    def encode(self, x: Tensor) -> Tensor:
        """Returns codes z0, (B, L)."""
        y = self.space(x)[0]
        core = self.core_flow.to_noise(self.core_values(y))[0]
        return self.prior_flow.to_noise(self.couple(core, *self.encoder_affine(y))[0])[0]

"""Partition autoencoders within flows: some pixels are the core, the rest is the shell."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ..backbones.backbone import Backbone
from ..checks import check_finite
from ..flows.flows import build_flow
from ..gaussian import standard_normal_log_prob
from ..spaces.space import Space
from .masks import given_order, split
from .scaled_autoencoder import ScaledAutoencoder, check_parametrisation, couple, uncouple


class Encoded(NamedTuple):
    """Codes z0 (B, L), shell deviations (B, D - L) and log-determinants (B,) by layer."""

    code: Tensor
    deviations: Tensor
    log_determinants: dict[str, Tensor]


class PartitionAEF(ScaledAutoencoder):
    """One invertible map of the image: maximum likelihood without a bound or noise.

    The encoder sees the shell and maps the core to z1; the decoder's mean and scale at z1
    standardise the shell; a prior flow takes z1 to z0. All of z0 and the standardised shell are
    standard normal. Decoded images have no deviation from the decoder's mean on the shell, and
    the core that belongs to that shell.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Not used.
        core_flow: ``none``, ``maf``, ``iaf`` or ``realnvp``, applied to the core first.
        prior_flow: The same choice, between z1 and z0.
        decoder_scale: ``fixed``, ``independent`` or ``dependent``; at core positions it is not
            used.
        parametrisation: ``multiply`` (z1 = m + s c) or ``divide`` (z1 = (c - m)/s).
        mask: Flat positions of the core in the place of the objective's rule, as many as the
            latent size, in any order.
        decoder_rho: Initial parameter of the independent scale.
        epsilon: Added to every scale.
        flow_layers: Layers of each flow.
        flow_hidden: Width of the flows' networks.

    Raises:
        ValueError: An option does not fit, or the image shape does not suit the mask's rule.
    """

    likelihood = "exact"
    core: Tensor
    shell: Tensor

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
        mask: Sequence[int] | None = None,
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
        values, latent_dim = prod(backbone.image_shape), backbone.latent_dim
        if mask is None:
            order = self.order(backbone.image_shape)
        else:
            order = given_order(mask, values, latent_dim)
        core, shell = split(order, latent_dim, values)
        self.register_buffer("core", core, persistent=False)
        self.register_buffer("shell", shell, persistent=False)
        self.parametrisation = check_parametrisation(parametrisation)
        self.core_flow = build_flow(core_flow, latent_dim, **self.flow_sizes)
        self.hyperparameters |= {
            "core_flow": core_flow,
            "parametrisation": parametrisation,
            "mask": None if mask is None else sorted(order),
        }

    @staticmethod
    @abstractmethod
    def order(image_shape: tuple[int, int, int]) -> list[int]:
        """Returns all flat positions, core first, by the objective's rule."""

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Sets space and flows from the first batch."""
        super().initialise(x, generator)
        with torch.no_grad():
            y = self.space(x)[0]
            core = self.core_flow.initialise(y.flatten(1)[:, self.core])
            z = couple(core, *self._encoder(y.flatten(1)), self.parametrisation)[0]
            self.prior_flow.initialise(z)

    def transform(self, x: Tensor) -> Encoded:
        """Returns codes, shell deviations and all log-determinants of images (B, C, H, W)."""
        y, space = self.space(x)
        flat = y.flatten(1)
        core, core_flow = self.core_flow.to_noise(flat[:, self.core])
        z, encoder = couple(core, *self._encoder(flat), self.parametrisation)
        mean, scale = self._decoder(z)
        deviations = (flat[:, self.shell] - mean) / scale
        code, prior_flow = self.prior_flow.to_noise(z)
        log_determinants = {
            "space": space,
            "core flow": core_flow,
            "encoder scale": encoder,
            "decoder scale": -scale.log().sum(1),
            "prior flow": prior_flow,
        }
        check_finite(log_determinants)
        return Encoded(code, deviations, log_determinants)

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the parts of -log p(x), each (B,): ``latent``, ``shell``, one per layer."""
        code, deviations, log_determinants = self.transform(x)
        return {
            "latent": -standard_normal_log_prob(code),
            "shell": -standard_normal_log_prob(deviations),
            **{name.replace(" ", "_"): -value for name, value in log_determinants.items()},
        }

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log p(x), (B,), in nats, of dequantised images in [0, 1]."""
        code, deviations, log_determinants = self.transform(x)
        density = standard_normal_log_prob(code) + standard_normal_log_prob(deviations)
        return density + torch.stack(tuple(log_determinants.values())).sum(0)

    def encode(self, x: Tensor) -> Tensor:
        """Returns codes z0, (B, L)."""
        return self.transform(x).code

    def encode_with_deviations(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns codes z0 and deviations (B, C, H, W), which are 0 at core positions."""
        code, deviations, _ = self.transform(x)
        flat = x.new_zeros(len(x), x[0].numel())
        return code, flat.index_copy(1, self.shell, deviations).view_as(x)

    def inverse(self, z: Tensor, deviations: Tensor | None = None) -> Tensor:
        """Returns x, not clamped, for codes z0 and deviations (B, C, H, W); 0 if not given."""
        z1 = self.decoder_input(z)
        shell, scale = self._decoder(z1)
        if deviations is not None:
            shell = shell + scale * deviations.flatten(1)[:, self.shell]
        flat = shell.new_zeros(len(z), prod(self.backbone.image_shape))
        flat = flat.index_copy(1, self.shell, shell)
        core = uncouple(z1, *self._encoder(flat), self.parametrisation)
        flat = flat.index_copy(1, self.core, self.core_flow.to_data(core)[0])
        return self.space.inverse(flat.view(-1, *self.backbone.image_shape))

    def decode(self, z: Tensor) -> Tensor:
        """Returns images for codes z0, without deviation from the decoder's mean, clamped."""
        return self._clamped(self.inverse(z))

    def decode_noisy(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Returns images with standard normal deviations, one draw for each image."""
        noise = torch.randn(len(z), *self.backbone.image_shape, generator=generator)
        return self._clamped(self.inverse(z, noise.to(z)))

    def diagnostics(self, x: Tensor) -> dict[str, Tensor]:
        """Returns ``encoder_log_scale``, of the encoder on the shell."""
        scale = self._encoder(self.space(x)[0].flatten(1))[1]
        return {"encoder_log_scale": scale.log().mean()}

    def _encoder(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        shell = flat.index_fill(1, self.core, 0.0)
        return self.encoder_affine(shell.view(-1, *self.backbone.image_shape))

    def _decoder(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, scale = self.decoder_affine(z)
        return mean.flatten(1)[:, self.shell], scale.flatten(1)[:, self.shell]

    def _clamped(self, x: Tensor) -> Tensor:
        return x if self.space.name == "real" else x.clamp(0, 1)

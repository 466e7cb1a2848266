"""Partition autoencoders within flows: some pixels are the core, the rest is the shell."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..backbones.backbone import Backbone
from ..gaussian import standard_normal_log_prob
from ..spaces.space import Space
from .core_autoencoder import CoreAutoencoder
from .masks import given_order, split


class PartitionAEF(CoreAutoencoder):
    """One invertible map of the image: maximum likelihood without a bound or noise.

    The encoder sees the shell and maps the core to z1. The decoder's mean and scale at z1
    standardise the shell. A prior flow takes z1 to z0. A decoded image has the decoder's mean on
    the shell, and the core that belongs to that shell.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        mask: Flat positions of the core, in place of the objective's rule: as many as the
            latent size, in any order. A suite's file writes ``mask = [[0, 1]]``, since each
            value of a list is a run of its own.
        **options: Those of `CoreAutoencoder` and `ScaledAutoencoder`. The decoder's scale is
            not used at core positions.

    Raises:
        ValueError: An option does not fit, or the image shape does not suit the mask's rule.
    """

    likelihood = "exact"
    described_term = "shell"
    core: Tensor
    shell: Tensor

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        mask: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(backbone, space, **options)
        values, latent_dim = prod(backbone.image_shape), backbone.latent_dim
        if mask is None:
            order = self.order(backbone.image_shape)
        else:
            order = given_order(mask, values, latent_dim)
            self.hyperparameters["mask"] = sorted(order)
        core, shell = split(order, latent_dim, values)
        self.register_buffer("core", core, persistent=False)
        self.register_buffer("shell", shell, persistent=False)

    @staticmethod
    @abstractmethod
    def order(image_shape: tuple[int, int, int]) -> list[int]:
        """Returns all flat positions, core first, by the objective's rule."""

    def core_values(self, y: Tensor) -> Tensor:
        """Returns y at core positions, (B, L)."""
        return y.flatten(1)[:, self.core]

    def described_values(self, y: Tensor) -> Tensor:
        """Returns y at shell positions, (B, D - L)."""
        return y.flatten(1)[:, self.shell]

    def encoder_affine(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the encoder's mean and scale, each (B, L), of the shell of y."""
        # The map is invertible only while the encoder knows nothing of the core that it scales.
        return super().encoder_affine(y.flatten(1).index_fill(1, self.core, 0.0).view_as(y))

    def decoder_affine(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the decoder's mean and scale of the shell, each (B, D - L)."""
        mean, scale = super().decoder_affine(z)
        return self.described_values(mean), self.described_values(scale)

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log p(x), (B,), in nats, of dequantised images in [0, 1]."""
        code, deviations, log_determinants = self.transform(x)
        density = standard_normal_log_prob(code) + standard_normal_log_prob(deviations)
        return density + torch.stack(tuple(log_determinants.values())).sum(0)

    def inverse(self, z: Tensor, deviations: Tensor | None = None) -> Tensor:
        """Returns x, not clamped, for codes z0 and shell deviations (B, D - L); 0 by default."""
        z1 = self.decoder_input(z)
        shell, scale = self.decoder_affine(z1)
        if deviations is not None:
            shell = shell + scale * deviations
        # The shell comes first: the encoder needs it to place the core.
        flat = shell.new_zeros(len(z), prod(self.backbone.image_shape))
        flat = flat.index_copy(1, self.shell, shell)
        y = flat.view(-1, *self.backbone.image_shape)
        core = self.core_flow.to_data(self.uncouple(z1, *self.encoder_affine(y)))[0]
        return self.space.inverse(flat.index_copy(1, self.core, core).view_as(y))

    def decode(self, z: Tensor) -> Tensor:
        """Returns images for codes z0, without deviations from the decoder's mean, clamped."""
        return self.space.clamp(self.inverse(z))

"""Constant-variance VAE."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..backbones.backbone import Backbone
from ..gaussian import gaussian_kl
from ..options import Range
from ..spaces.space import Space
from .objective import OBJECTIVES, Objective

KL_WEIGHT = {"mnist": 0.039, "cifar10": 9e-4, "celeba": 0.01}


@OBJECTIVES.register("cv-vae")
class CVVAE(Objective):
    """A VAE whose encoder noise has one constant standard deviation.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), equation 10,
        arXiv 1903.12436.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Data set whose weight is the default.
        beta: Weight of the KL term beside the summed squared error.
        sigma: Standard deviation of the encoder noise.
    """

    summary = "VAE with constant encoder variance"
    prior = "prior"
    tunable: ClassVar[Mapping[str, Range]] = {
        "beta": Range(1e-4, 10.0, log=True),
        "sigma": Range(0.05, 2.0, log=True),
    }

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        beta: float | None = None,
        sigma: float = 0.7,
    ) -> None:
        super().__init__(backbone, space, preset=preset)
        if not 0 < sigma < math.inf:
            raise ValueError(f"'sigma' is {sigma}; expected a positive, finite number.")
        self.beta = self.settle("beta", beta, KL_WEIGHT, backbone.image_shape[0])
        self.sigma = sigma

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion`` (SSE) and ``rate`` (beta times KL), each (B,)."""
        shape = (len(x), self.backbone.latent_dim)
        return self.terms_at(x, torch.randn(shape, generator=generator, device=x.device))

    def terms_at(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Returns the terms for given standard normal noise (B, L)."""
        y, _ = self.space(x)
        mu = self.code(y)
        log_sigma = torch.full_like(mu, math.log(self.sigma))
        return {
            "distortion": self.space.distortion(y, self.mean(mu + self.sigma * noise)),
            "rate": self.beta * gaussian_kl(mu, log_sigma),
        }

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns N(code, (scale sigma)^2), event (L,)."""
        return Independent(Normal(self.encode(x), scale * self.sigma, validate_args=False), 1)

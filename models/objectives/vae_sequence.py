"""Variational autoencoders of sequences: the grammar and the character VAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..backbones.backbone import Backbone
from ..gaussian import gaussian_kl
from ..options import Range
from ..spaces.space import Space
from .objective import Objective


class SequenceVAE(Objective):
    """Distortion of a sequence plus weighted KL, with noise that may be smaller than the KL's.

    This is what ``vae`` is in the space ``sequence``: with ``beta`` and ``noise`` at their 1 the
    loss is minus the evidence lower bound. The encoder's log-variance is linear, as released, and
    not clamped: a run that leaves the range of numbers is a diverged one.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), arXiv 1703.01925;
        Auto-Encoding Variational Bayes (Kingma and Welling, 2014), arXiv 1312.6114.

    Args:
        backbone: The shared networks.
        space: ``sequence`` or ``sequence-released``.
        preset: ``sequence``.
        beta: Weight of the KL term in nats beside the summed distortion.
        noise: Factor on the standard deviation of the encoder's noise. The KL term is that of
            the deviation without it.

    Raises:
        ValueError: A weight is negative.
    """

    summary = "distortion + beta KL, Gaussian encoder"
    likelihood: ClassVar[Literal["exact", "bound", "none"]] = "bound"
    prior = "prior"
    default_space = "sequence"
    spaces = ("sequence",)
    tunable: ClassVar[Mapping[str, Range]] = {"beta": Range(1e-3, 10.0, log=True)}
    default_noise: ClassVar[float] = 1.0

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "sequence",
        beta: float | None = None,
        noise: float | None = None,
    ) -> None:
        super().__init__(backbone, space, preset=preset)
        values, codes = space.averaged(backbone.latent_dim)
        self.beta = self.settle("beta", beta, {"sequence": values / codes})
        self.noise = self.settle("noise", noise, {"sequence": self.default_noise})
        self.log_variance_head = backbone.code_head()

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log standard deviation of the KL's q(z|x), each (B, L)."""
        features = self.backbone.encoder(self.space.network_input(self.space(x)[0]))
        return self.backbone.code(features), self.log_variance_head(features) / 2

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion`` and ``rate`` (beta times KL), each (B,)."""
        shape = (len(x), self.backbone.latent_dim)
        return self.terms_at(x, torch.randn(shape, generator=generator, device=x.device))

    def terms_at(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Returns the terms for given standard normal noise (B, L)."""
        mu, log_sigma = self.posterior(x)
        z = mu + self.noise * log_sigma.exp() * noise
        return {
            "distortion": self.space.distortion(self.space(x)[0], self.mean(z)),
            "rate": self.beta * gaussian_kl(mu, log_sigma),
        }

    def observation(self, z: Tensor) -> Distribution:
        """Returns the distribution of sequences, event (1, T, K)."""
        return self.space.observation(self.mean(z), None)

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns q(z|x) with the encoder's noise times ``scale``, event (L,)."""
        mu, log_sigma = self.posterior(x)
        deviation = scale * self.noise * log_sigma.exp()
        return Independent(Normal(mu, deviation, validate_args=False), 1)


class ReleasedSequenceVAE(SequenceVAE):
    """The released grammar and character VAE: ``vae`` in the space ``sequence-released``.

    Its noise is a hundredth of the one that the KL is taken of, so that it is almost
    deterministic. No likelihood belongs to it.
    """

    summary = "released: binary cross-entropy + mean KL, noise x 0.01"
    likelihood = "none"
    default_space = "sequence-released"
    spaces = ("sequence-released",)
    tunable: ClassVar[Mapping[str, Range]] = {
        "beta": Range(1e-3, 10.0, log=True),
        "noise": Range(1e-3, 1.0, log=True),
    }
    default_noise = 0.01

    def observation(self, z: Tensor) -> Distribution:
        """Refuses.

        Raises:
            TypeError: Always.
        """
        return Objective.observation(self, z)

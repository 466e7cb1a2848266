"""Variational autoencoder with a fixed observation variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..backbones.backbone import Backbone
from ..checks import check_at_least
from ..gaussian import gaussian_kl
from ..options import Range
from ..spaces.space import Space
from .objective import OBJECTIVES, SEQUENCE_SPACES, Objective
from .vae_learnt import LearntVAE
from .vae_sequence import ReleasedSequenceVAE, SequenceVAE

# Weight w of the KL term beside the sum over pixels of the mean over the C channels; beside the
# sum over both it is C w.
KL_WEIGHT = {"mnist": 0.312, "cifar10": 0.024, "celeba": 0.09024}


@OBJECTIVES.register("vae")
class VAE(Objective):
    """Squared error plus weighted KL: a Gaussian decoder of variance beta / 2.

    In the spaces ``logit`` and ``real`` this name stands for `LearntVAE`, in those of sequences
    for `SequenceVAE`. The encoder's log
    standard deviation is 5 tanh(.), as in the released code.

    References:
        Auto-Encoding Variational Bayes (Kingma and Welling, 2014), arXiv 1312.6114, with the
        weights of From Variational to Deterministic Autoencoders (Ghosh et al., 2020),
        equations 4-9, arXiv 1903.12436.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Data set whose weight is the default.
        beta: Weight of the KL term beside the summed squared error.
        samples: Latent draws for each image, averaged.
    """

    summary = "SSE + beta KL, Gaussian encoder"
    likelihood = "bound"
    prior = "prior"
    spaces = (*Objective.spaces, *SEQUENCE_SPACES)
    tunable: ClassVar[Mapping[str, Range]] = {"beta": Range(1e-3, 10.0, log=True)}

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        beta: float | None = None,
        samples: int = 1,
    ) -> None:
        super().__init__(backbone, space, preset=preset)
        check_at_least(1, samples=samples)
        self.beta = self.settle("beta", beta, KL_WEIGHT, backbone.image_shape[0])
        self.samples = samples
        self.log_sigma_head = backbone.code_head()

    @classmethod
    def in_space(cls, space: str) -> type[Objective]:
        """Returns this class in ``unit``, and the one that stands for it elsewhere."""
        kind = super().in_space(space)
        elsewhere = {"sequence": SequenceVAE, "sequence-released": ReleasedSequenceVAE}
        return kind if space == "unit" else elsewhere.get(space, LearntVAE)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log standard deviation of q(z|x), each (B, L)."""
        return self._posterior(self.space(x)[0])

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion`` (SSE) and ``rate`` (beta times KL), each (B,)."""
        shape = (self.samples, len(x), self.backbone.latent_dim)
        return self.terms_at(x, torch.randn(shape, generator=generator, device=x.device))

    def terms_at(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Returns the terms for given standard normal noise (K, B, L), averaged over K."""
        y = self.space(x)[0]
        mu, log_sigma = self._posterior(y)
        z = (mu + log_sigma.exp() * noise).flatten(0, 1)
        target = y.expand(len(noise), *y.shape).flatten(0, 1)
        errors = self.space.distortion(target, self.mean(z)).unflatten(0, (len(noise), -1))
        return {"distortion": errors.mean(0), "rate": self.beta * gaussian_kl(mu, log_sigma)}

    def observation(self, z: Tensor) -> Distribution:
        """Returns N(mean, beta / 2) over dequantised pixels, event (C, H, W)."""
        mean = self.space.observed_mean(self.mean(z))
        return Independent(Normal(mean, (self.beta / 2) ** 0.5, validate_args=False), 3)

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns q(z|x) with its deviations times ``scale``, event (L,)."""
        mu, log_sigma = self.posterior(x)
        return Independent(Normal(mu, scale * log_sigma.exp(), validate_args=False), 1)

    def _posterior(self, y: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone.encoder(self.space.network_input(y))
        return self.backbone.code(features), 5 * torch.tanh(self.log_sigma_head(features))

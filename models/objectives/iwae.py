"""Importance-weighted autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor

from .objective import OBJECTIVES
from .vae_learnt import LearntVAE, importance_bound


@OBJECTIVES.register("iwae")
class IWAE(LearntVAE):
    """Bound of K importance samples, ``samples`` = 10 when not given.

    References:
        Importance Weighted Autoencoders (Burda et al., 2016), equation 8, arXiv 1509.00519.
    """

    summary = "importance-weighted bound of K samples"
    default_samples = 10

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``bound`` (minus the K-sample bound in y) and ``space``, each (B,)."""
        log_likelihood, log_prior, log_posterior, space = self.log_weights(x, generator)
        bound = importance_bound(log_likelihood + log_prior - log_posterior)
        return {"bound": -bound, "space": -space}

"""VAE with an inverse autoregressive posterior."""

from __future__ import annotations

from .objective import OBJECTIVES
from .vae_learnt import LearntVAE


@OBJECTIVES.register("vae-iaf")
class VAEIAF(LearntVAE):
    """The VAE of the AEF paper with an ``iaf`` stack behind the encoder's sample."""

    summary = "VAE with an inverse autoregressive flow as posterior"
    reference = "Kingma et al. 2016; Silvestri et al. 2023"
    default_posterior_flow = "iaf"

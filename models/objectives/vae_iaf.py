"""VAE with an inverse autoregressive posterior."""

from __future__ import annotations

from .objective import OBJECTIVES
from .vae_learnt import LearntVAE


@OBJECTIVES.register("vae-iaf")
class VAEIAF(LearntVAE):
    """The VAE of the AEF paper with an ``iaf`` stack behind the encoder's sample.

    References:
        Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
        arXiv 1606.04934, as set up in the AEF paper's released code.
    """

    summary = "VAE with an inverse autoregressive flow as posterior"
    default_posterior_flow = "iaf"

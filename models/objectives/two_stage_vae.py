"""Two-stage VAE: the VAE, sampled through a second VAE over its codes."""

from __future__ import annotations

from .objective import OBJECTIVES
from .vae import VAE


@OBJECTIVES.register("2svae")
class TwoStageVAE(VAE):
    """First stage: the VAE, same settings. Second stage: the density ``second-stage``.

    References:
        Diagnosing and Enhancing VAE Models (Dai and Wipf, 2019), arXiv 1903.05789, as used in
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020).
    """

    summary = "VAE sampled through a second VAE over its codes"
    prior = "second-stage"
    spaces = ("unit",)

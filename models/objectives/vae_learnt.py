"""VAE with learnt encoder and decoder scales and flows: the AEF family's own baseline."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..backbones.backbone import Backbone
from ..checks import check_at_least, check_finite
from ..flows.flow_gaussian import FlowGaussian
from ..flows.flows import NoFlow, build_flow
from ..gaussian import normal_log_prob
from ..spaces.space import Space
from .scaled_autoencoder import ScaledLatentModel


class LearntVAE(ScaledLatentModel):
    """One-sample bound without a closed-form KL, as in the AEF paper's released code.

    This is what ``vae`` is in the spaces ``logit`` and ``real``. ``vae-iaf`` is the same with
    another default, ``iwae`` with more samples and another bound. A posterior flow maps the
    encoder's Gaussian sample to z1.

    References:
        Auto-Encoding Variational Bayes (Kingma and Welling, 2014), arXiv 1312.6114; Improving
        Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
        arXiv 1606.04934.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        posterior_flow: ``none``, ``maf``, ``iaf`` or ``realnvp``, from the encoder's noise to
            z1; the objective's default when not given.
        samples: Draws of z for each image; the objective's default when not given.
        **options: Those of `ScaledAutoencoder`.

    Raises:
        ValueError: An option does not fit.
    """

    summary = "one-sample bound, learnt scales"
    default_posterior_flow: ClassVar[str] = "none"
    default_samples: ClassVar[int] = 1

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        posterior_flow: str | None = None,
        samples: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(backbone, space, **options)
        flow = self.default_posterior_flow if posterior_flow is None else posterior_flow
        self.samples = self.default_samples if samples is None else samples
        check_at_least(1, samples=self.samples)
        self.posterior_flow = build_flow(flow, backbone.latent_dim, **self.flow_sizes)
        self.hyperparameters |= {"posterior_flow": flow, "samples": self.samples}

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Sets space and flows from the first batch."""
        super().initialise(x, generator)
        with torch.no_grad():
            mean, scale = self.encoder_affine(self.space(x)[0])
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            # In training this flow runs from noise to data, so it is set in that direction.
            z = self.posterior_flow.initialise(mean + scale * noise.to(mean), from_noise=True)
            self.prior_flow.initialise(z)

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion``, ``rate`` and ``space``, each (B,); the sum is minus a bound."""
        log_likelihood, log_prior, log_posterior, space = self.log_weights(x, generator)
        return {
            "distortion": -log_likelihood.mean(0),
            "rate": (log_posterior - log_prior).mean(0),
            "space": -space,
        }

    def log_weights(
        self, x: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns log p(y|z), log p(z), log q(z|x), each (K, B), and log |dy/dx| (B,)."""
        shape = (self.samples, len(x), self.backbone.latent_dim)
        noise = torch.randn(shape, generator=generator, device=x.device)
        return self.log_weights_at(x, noise.to(x))

    def log_weights_at(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns the parts of `log_weights` for given standard normal noise (K, B, L)."""
        y, space = self.space(x)
        q = self._posterior(y, 1.0)
        # `draw` gives the density as well; `log_prob` may need L passes through a flow's inverse.
        z, log_posterior = q.draw(noise)
        mean, scale = self.decoder_affine(z.flatten(0, 1))
        values = y.expand(len(noise), *y.shape).flatten(0, 1)
        log_likelihood = normal_log_prob(values, mean, scale).view(log_posterior.shape)
        log_prior = self.latent_log_prob(z)
        check_finite(
            {
                "space": space,
                "encoder scale": q.scale.log().sum(1),
                "posterior flow and scale": log_posterior.sum(0),
                "decoder scale": scale.log().flatten(1).sum(1).view(len(noise), -1).sum(0),
                "prior flow": log_prior.sum(0),
            }
        )
        return log_likelihood, log_prior, log_posterior, space

    def encode(self, x: Tensor) -> Tensor:
        """Returns the code z0 of the encoder's mean, (B, L), through both flows."""
        mean = self.encoder_affine(self.space(x)[0])[0]
        return self.prior_flow.to_noise(self.posterior_flow.to_data(mean)[0])[0]

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns q(z1|x) with the Gaussian's deviations times ``scale``, event (L,)."""
        q = self._posterior(self.space(x)[0], scale)
        if isinstance(self.posterior_flow, NoFlow):
            return Independent(Normal(q.loc, q.scale, validate_args=False), 1)
        return q

    def _posterior(self, y: Tensor, factor: float) -> FlowGaussian:
        mean, scale = self.encoder_affine(y)
        flow = self.posterior_flow
        return FlowGaussian(mean, factor * scale, flow.to_data, flow.to_noise)


def importance_bound(log_weights: Tensor) -> Tensor:
    """Returns log of the mean weight, (B,), of log weights (K, B)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))

"""DIP-VAE: a VAE whose codes are uncorrelated with unit variance over the data."""

from __future__ import annotations

import torch
from aebench.models import OBJECTIVES, VAE, Backbone, Space, gaussian_kl, squared_error
from torch import Tensor


@OBJECTIVES.register("dip-vae-i")
class DIPVAEI(VAE):
    """VAE with a penalty on the covariance of the encoder's means.

    With C the covariance over the batch (divisor B) the penalty is, in nats beside the KL,
    ``off_diagonal * sum_{i != j} C_ij^2 + diagonal * sum_i (C_ii - 1)^2``.
    Like the KL it is multiplied by ``beta``, so that the weights keep the paper's meaning.

    References:
        Variational Inference of Disentangled Latent Concepts from Unlabeled Observations
        (Kumar et al., 2018), Equation 6, arXiv 1711.00848.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Data set whose weight of the KL is the default.
        beta: Weight of the KL term beside the summed squared error.
        samples: Latent draws for each image, averaged.
        off_diagonal: Weight of the squared covariances.
        diagonal: Weight of the squared distances of the variances from 1; the paper's multiple
            of ``off_diagonal`` if not given.

    Raises:
        ValueError: A weight is negative.
    """

    summary = "VAE + penalty on the covariance of the means"
    spaces = ("unit",)
    diagonal_factor = 10.0

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        beta: float | None = None,
        samples: int = 1,
        off_diagonal: float = 10.0,
        diagonal: float | None = None,
    ) -> None:
        super().__init__(backbone, space, preset=preset, beta=beta, samples=samples)
        self.off_diagonal = off_diagonal
        self.diagonal = self.diagonal_factor * off_diagonal if diagonal is None else diagonal
        weights = {"off_diagonal": self.off_diagonal, "diagonal": self.diagonal}
        for name, weight in weights.items():
            if not weight >= 0:
                raise ValueError(f"'{name}' is {weight}; expected at least 0.")
        self.hyperparameters |= weights

    def terms_at(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Returns ``distortion``, ``rate`` and ``covariance`` for given noise (K, B, L), (B,)."""
        mu, log_sigma = self.posterior(x)
        z = (mu + log_sigma.exp() * noise).flatten(0, 1)
        y = self.space(x)[0].expand(len(noise), *x.shape).flatten(0, 1)
        errors = squared_error(y, self.mean(z)).unflatten(0, (len(noise), -1))
        penalty = self.penalty(self.covariance(mu, log_sigma))
        return {
            "distortion": errors.mean(0),
            "rate": self.beta * gaussian_kl(mu, log_sigma),
            "covariance": self.beta * penalty.expand(len(x)),
        }

    def covariance(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """Returns Cov[mu(x)] over the batch, (L, L)."""
        centred = mu - mu.mean(0)
        return centred.T @ centred / len(mu)

    def penalty(self, covariance: Tensor) -> Tensor:
        """Returns the weighted squared distance of a covariance (L, L) from I, in nats."""
        variances = covariance.diagonal()
        others = covariance.square().sum() - variances.square().sum()
        return self.off_diagonal * others + self.diagonal * (variances - 1).square().sum()


@OBJECTIVES.register("dip-vae-ii")
class DIPVAEII(DIPVAEI):
    """DIP-VAE with the covariance of the codes themselves, the encoder's noise included.

    References:
        Variational Inference of Disentangled Latent Concepts from Unlabeled Observations
        (Kumar et al., 2018), Equation 7, arXiv 1711.00848.
    """

    summary = "VAE + penalty on the covariance of the codes"
    diagonal_factor = 1.0

    def covariance(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """Returns Cov[mu(x)] + E[sigma(x)^2], the covariance of codes z ~ q(z|x), (L, L)."""
        return super().covariance(mu, log_sigma) + torch.diag((2 * log_sigma).exp().mean(0))

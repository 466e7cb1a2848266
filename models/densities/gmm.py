"""Gaussian mixtures with full covariances, fitted by scikit-learn."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from .density import DENSITIES, Density, check_codes, check_fitted


@DENSITIES.register("gmm-K")
class GaussianMixtureDensity(Density):
    """Expectation maximisation from k-means, settings of the RAE paper's released code.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), section 4,
        arXiv 1903.12436.

    Args:
        components: Number of Gaussians K.
    """

    summary = "mixture of K full-covariance Gaussians (scikit-learn)"
    fitted = ("weights", "means", "covariances")

    def __init__(self, components: int) -> None:
        self.components = components
        self.least_codes = max(2, components)
        self.weights = torch.empty(0)
        self.means = torch.empty(0, 0)
        self.covariances = torch.empty(0, 0, 0)

    def fit(self, codes: Tensor, seed: int) -> None:
        """Fits the mixture to codes (N, L), N at least the number of components and 2."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        codes = check_codes(codes, self.least_codes, f"gmm-{self.components}")
        mixture = GaussianMixture(
            self.components, max_iter=2000, tol=1e-3, random_state=seed % 2**32
        )
        # A mixture that has not converged by then is used as it is.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(codes.numpy())
        self.weights = torch.from_numpy(mixture.weights_)
        self.means = torch.from_numpy(mixture.means_)
        self.covariances = torch.from_numpy(mixture.covariances_)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns codes (count, L)."""
        check_fitted(len(self.means), f"gmm-{self.components}")
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        return self.place(chosen, noise).float()

    def place(self, component: Tensor, noise: Tensor) -> Tensor:
        """Returns mean_k + L_k noise for component indices (N,) and noise (N, L)."""
        factors = torch.linalg.cholesky(self.covariances)
        codes = torch.empty_like(noise)
        for index in range(len(self.means)):
            mine = component == index
            codes[mine] = self.means[index] + noise[mine] @ factors[index].T
        return codes

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log densities (N,) in nats."""
        check_fitted(len(self.means), f"gmm-{self.components}")
        # In float32 the factorisation fails where a direction of the codes has collapsed.
        factors = torch.linalg.cholesky(self.covariances).to(z)
        parts = MultivariateNormal(self.means.to(z), scale_tril=factors, validate_args=False)
        weights = Categorical(self.weights.to(z), validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False).log_prob(z)

"""The sparse Gaussian process that predicts a score from a code."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.streams import initialised_from, stream
from ..errors import RunFailed, UserError
from ..interruption import check_stop
from .surface import Floats, Picks, Surface

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..suites.config import Optimisation

PACKAGES = ("botorch", "gpytorch")
LEARNING_RATE = 0.05  # At first; it falls to zero in equal steps.
JITTER = 1e-6  # gpytorch's own in float64, in units of standardised scores.
SCALED_BY = 1000  # Codes whose distances set the first length scale.
ROWS = 5000
NOISE_UPDATES = 100


def check_installed() -> None:
    """Raises UserError unless the packages that Bayesian optimisation needs are installed."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"Bayesian optimisation needs the package '{name}', which is not installed; "
                "get it with: pip install aebench[structured]"
            )


@dataclass(frozen=True)
class Quality:
    """How well a surrogate predicts held-out scores, in their unit.

    Attributes:
        rmse: Root of the mean squared error of the predicted means.
        log_likelihood: Mean log density of a score, noise included, in nats.
        explained: Share of the scores' variance that the means explain; none if they are equal.
        noise: Standard deviation of the fitted noise.
    """

    rmse: float
    log_likelihood: float
    explained: float | None
    noise: float


@dataclass(frozen=True)
class Surrogate:
    """A fitted surrogate.

    Attributes:
        surface: The posterior of the function without noise.
        noise: Variance of the noise.
    """

    surface: Surface
    noise: float

    def quality(self, codes: Floats, scores: Floats) -> Quality:
        """Returns how well it predicts scores (N,) of codes (N, L) that it did not see."""
        parts = [slice(at, at + ROWS) for at in range(0, len(codes), ROWS)]
        errors = scores - np.concatenate([self.surface.mean(codes[part]) for part in parts])
        spread = self.noise + np.concatenate([self.surface.variance(codes[p]) for p in parts])
        densities = -0.5 * (np.log(2 * np.pi * spread) + errors**2 / spread)
        mse, variance = float(np.mean(errors**2)), float(np.var(scores))
        return Quality(
            rmse=mse**0.5,
            log_likelihood=float(np.mean(densities)),
            explained=1 - mse / variance if variance > 0 else None,
            noise=self.noise**0.5,
        )


def fit_surrogate(
    codes: Floats, scores: Floats, settings: Optimisation, seed: int, name: str
) -> Surrogate:
    """Fits a sparse Gaussian process in float64: length scales, noise and inducing points.

    Kernel and inducing points maximise the variational bound by Adam on minibatches. The noise
    and the distribution over the inducing values are then the best for all codes, in closed form.
    Length scales begin at the root of half the median squared distance, signal variance and
    noise at 1, in standardised scores.

    References:
        Gaussian Processes for Big Data (Hensman et al., 2013), Equation 4 (arXiv 1309.6835).
        Variational Learning of Inducing Variables in Sparse Gaussian Processes (Titsias, 2009),
        Equation 10.

    Args:
        codes: Shape (N, L).
        scores: Shape (N,).
        settings: Inducing points, steps and minibatch.
        seed: The run's seed.
        name: The stream of minibatches and inducing points.

    Raises:
        UserError: There are fewer codes than inducing points.
        RunFailed: Half of the codes are equal, or the bound is not finite.
    """
    import torch

    if len(codes) < settings.inducing:
        raise UserError(
            f"A surrogate with {settings.inducing} inducing points cannot be fitted to "
            f"{len(codes)} codes; set 'inducing' to at most as many."
        )
    generator = stream(seed, name)
    order = torch.randperm(len(codes), generator=generator)
    unit = _first_scale(codes[order[:SCALED_BY].numpy()])
    centre, spread = float(scores.mean()), float(scores.std()) or 1.0
    x = torch.from_numpy(codes / unit)
    y = torch.from_numpy((scores - centre) / spread)
    with initialised_from(seed, f"{name} weights"):
        model = _model(x, order[: settings.inducing])
        _train(model, x, y, settings, generator)
    return _closed_form(model, x, y, unit, centre, spread)


def _first_scale(codes: Floats) -> float:
    from scipy.spatial.distance import pdist

    half = 0.5 * float(np.median(pdist(codes, "sqeuclidean"))) if len(codes) > 1 else 0.0
    if not half > 0:
        raise RunFailed(
            "Half of the pairs of latent codes are equal; no surrogate can be fitted to them."
        )
    return half**0.5


def _model(x: Tensor, chosen: Tensor) -> Any:  # noqa: ANN401
    """Returns botorch's model, its inducing points at the chosen codes."""
    from botorch.models import SingleTaskVariationalGP
    from gpytorch.kernels import RBFKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood

    kernel = ScaleKernel(RBFKernel(ard_num_dims=x.shape[1])).double()
    kernel.outputscale, kernel.base_kernel.lengthscale = 1.0, 1.0
    likelihood = GaussianLikelihood().double()
    likelihood.noise = 1.0
    return SingleTaskVariationalGP(
        x[:1],
        likelihood=likelihood,
        covar_module=kernel,
        inducing_points=x[chosen].clone(),
    ).double()


def _train(
    model: Any,  # noqa: ANN401
    x: Tensor,
    y: Tensor,
    settings: Optimisation,
    generator: torch.Generator,
) -> None:
    import torch
    from gpytorch.mlls import VariationalELBO
    from linear_operator.utils.errors import NanError, NotPSDError

    bound = VariationalELBO(model.likelihood, model.model, num_data=len(x))
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    model.train()
    for step in range(settings.steps):
        check_stop()
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / settings.steps)
        rows = torch.randint(len(x), (settings.minibatch,), generator=generator)
        optimiser.zero_grad()
        try:
            loss = -bound(model.model(x[rows]), y[rows])
            loss.backward()
        except (NanError, NotPSDError) as error:
            raise RunFailed(f"The surrogate broke down at step {step}: {error}.") from error
        if not bool(torch.isfinite(loss)):
            raise RunFailed(f"The surrogate's bound is {float(-loss)} at step {step}.")
        optimiser.step()


def _closed_form(
    model: Any,  # noqa: ANN401
    x: Tensor,
    y: Tensor,
    unit: float,
    centre: float,
    spread: float,
) -> Surrogate:
    """Returns the posterior given all codes (N, L), back in the units of codes and scores."""
    kernel = model.model.covar_module
    basis = model.model.variational_strategy.inducing_points.detach().numpy()
    constant = float(model.model.mean_module.constant.detach())
    prior = Surface(
        basis=basis,
        scales=kernel.base_kernel.lengthscale.detach().numpy()[0],
        amplitude=float(kernel.outputscale.detach()),
        constant=constant,
        weights=np.zeros(len(basis)),
        whitening=np.zeros((len(basis), len(basis))),
        picks=Picks.none(basis),
    )
    posterior, noise = given_data(
        prior, x.numpy(), y.numpy(), float(model.likelihood.noise.detach())
    )
    scaled = Surface(
        basis=basis * unit,
        scales=posterior.scales * unit,
        amplitude=posterior.amplitude * spread**2,
        constant=centre + spread * constant,
        weights=posterior.weights / spread,
        whitening=posterior.whitening / spread,
        picks=Picks.none(basis),
    )
    return Surrogate(scaled, noise * spread**2)


def given_data(
    prior: Surface, codes: Floats, scores: Floats, noise: float, updates: int = NOISE_UPDATES
) -> tuple[Surface, float]:
    """Returns the best sparse posterior for a basis, given scores (N,) of codes (N, L).

    Args:
        prior: Kernel, constant and basis; its weights and its whitening are not used.
        codes: Shape (N, L).
        scores: Standardised, shape (N,).
        noise: Variance of the noise, to begin with.
        updates: How often the noise is set to the expected squared residual, by which the bound
            rises each time (an EM step).

    Returns:
        The posterior and the variance of the noise.
    """
    from scipy.linalg import solve_triangular

    size, residuals = len(prior.basis), scores - prior.constant
    ridge = JITTER * np.eye(size)
    factor = np.linalg.cholesky(prior.kernel(prior.basis, prior.basis) + ridge)
    whiten = solve_triangular(factor, np.eye(size), lower=True)
    gram, moment = np.zeros((size, size)), np.zeros(size)
    for at in range(0, len(codes), ROWS):
        check_stop()
        part = slice(at, at + ROWS)
        features = prior.kernel(codes[part], prior.basis) @ whiten.T
        gram += features.T @ features
        moment += features.T @ residuals[part]
    # Along these axes the inducing values are independent, given the data as before.
    size_along, axes = np.linalg.eigh(gram)
    size_along, moment = np.maximum(size_along, 0.0), axes.T @ moment
    missed = prior.amplitude - size_along.sum() / len(codes)
    for _ in range(updates):
        means, variances = moment / (noise + size_along), noise / (noise + size_along)
        explained = 2 * means * moment - size_along * (means**2 + variances)
        noise = float((residuals @ residuals - explained.sum()) / len(codes) + missed)
    rotated = axes.T @ whiten
    surface = replace(
        prior,
        weights=rotated.T @ (moment / (noise + size_along)),
        whitening=np.sqrt(size_along / (noise + size_along))[:, None] * rotated,
    )
    return surface, noise

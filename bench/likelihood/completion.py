"""A likelihood for models without one: a density over codes, and p(y|z) around the decoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from ...models.densities.density import Density
from ...models.objectives.objective import Objective
from .importance import joint_of_draws
from .model import CHUNK, LatentModel, Observed
from .proposal import CLIMB_STEPS, Defensive, Gaussian, laplace

# A pixel that is constant in the validation images would make the density infinite.
MIN_SCALE = 1e-4
# Images' worth of the pooled variance that each pixel's own variance is drawn towards.
SHRINKAGES = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def completed(objective: Objective, density: Density, scale: Tensor | None) -> LatentModel:
    """Returns p(z) = density, p(y|z) = N(decoder mean, scale^2), in the run's own space.

    z is the code, in whose coordinates the density was fitted. For sequences p(y|z) is what the
    decoder's logits say.

    Args:
        objective: The trained objective, in evaluation mode.
        density: A fitted density with `log_prob`.
        scale: Standard deviation of each value, (C, H, W); none in a space that fits no noise.

    Raises:
        ValueError: The density has no closed form.
    """
    if not density.has_log_prob:
        raise ValueError(
            f"Density '{type(density).__name__}' has no log density in closed form; "
            "expected one that has, such as 'gaussian'."
        )
    parameter = next(objective.parameters())
    fitted = None if scale is None else scale.to(parameter)

    def observation(z: Tensor) -> Distribution:
        return objective.space.observation(decoder_mean(objective, z), fitted)

    return LatentModel(
        space=objective.space,
        latent_dim=objective.code_dim,
        observation=observation,
        # In float64: a mixture's covariances may be nearly singular.
        log_prior=lambda z: density.log_prob(z.double()),
        sample_prior=lambda count, generator: density.sample(count, generator).to(parameter),
        centre=objective.encode,
    )


def decoder_mean(objective: Objective, codes: Tensor) -> Tensor:
    """Returns the mean of y (B, C, H, W) that codes (B, L) decode to."""
    mean = objective.mean(objective.decoder_input(codes))
    return objective.space.observed_mean(mean)


@torch.no_grad()
def fit_noise(
    objective: Objective,
    density: Density,
    validation: Observed,
    generator: torch.Generator,
    *,
    samples: int = 16,
    rounds: int = 5,
    chunk: int = CHUNK,
) -> Tensor:
    """Returns the scale (C, H, W) that maximises the K-sample bound on validation data.

    Expectation maximisation: the gradient of log sum_k w_k with respect to a log scale vanishes
    where the variance is the mean of squared residuals under the normalised weights. Each
    variance is shrunk towards the mean over pixels by as much as predicts one half of the
    validation images best from the other half, since a pixel that is constant there need not be
    in the test images.

    Args:
        objective: The trained objective, in evaluation mode.
        density: A fitted density with `log_prob`.
        validation: At least 2 validation images.
        generator: Source of all noise, on the CPU.
        samples: K.
        rounds: Updates after the first, which takes the residuals of reconstructions.
        chunk: Most rows decoded at once; the draws depend on it.

    Raises:
        ValueError: A count is too small.
    """
    minima = {"samples": (samples, 1), "rounds": (rounds, 0), "images": (len(validation), 2)}
    for name, (value, minimum) in minima.items():
        if value < minimum:
            raise ValueError(f"'{name}' is {value}; expected at least {minimum}.")
    size = max(1, chunk // max(samples, objective.code_dim))
    parts = [validation.part(at, at + size) for at in range(0, len(validation), size)]
    # The first scale takes reconstructions for the truth: no posterior is known yet.
    moments = [(p.y - decoder_mean(objective, objective.encode(p.x))).square() for p in parts]
    scale = _scale_from(torch.cat(moments))
    modes = [objective.encode(p.x) for p in parts]
    for number in range(rounds):
        model = completed(objective, density, scale)
        # Later rounds start where the last one arrived.
        steps = 1 if number else CLIMB_STEPS
        for index, part in enumerate(parts):
            rows = len(part) * model.latent_dim
            location, factor = laplace(model, part, steps, start=modes[index], chunk=rows)
            proposal = Defensive.around(Gaussian(location, factor), model.prior_moments)
            modes[index] = location
            moments[index] = _squared_residuals(model, part, proposal, samples, generator, chunk)
        scale = _scale_from(torch.cat(moments))
    return scale


def _squared_residuals(
    model: LatentModel,
    data: Observed,
    proposal: Defensive,
    samples: int,
    generator: torch.Generator,
    chunk: int,
) -> Tensor:
    """Returns posterior means of (y - mean(z))^2, (B, C, H, W), by self-normalised weights."""
    z, log_q = proposal.draw(samples, generator)
    # Self-normalised: the constants of the posterior and of the proposal cancel.
    weights = (joint_of_draws(model, data.y, z, chunk) - log_q).softmax(0).to(data.y)
    total = torch.zeros_like(data.y)
    for draw, weight in zip(z, weights, strict=True):
        squared = (data.y - model.observation(draw).mean).square()
        total += weight[:, None, None, None] * squared
    return total


def _scale_from(squared: Tensor) -> Tensor:
    """Returns the scale (C, H, W) for squared residuals (B, C, H, W), shrunk as predicts best."""
    squared = squared.double()
    # Each half predicts the other: what shrinks best there shrinks best on unseen images.
    halves = squared[::2], squared[1::2]

    def predict(strength: float) -> float:
        a, b = halves
        return _surprise(_shrunk(a, strength), b) + _surprise(_shrunk(b, strength), a)

    variance = _shrunk(squared, min(SHRINKAGES, key=predict))
    return variance.sqrt().clamp_min(MIN_SCALE).float()


def _shrunk(squared: Tensor, strength: float) -> Tensor:
    total = squared.sum(0) + strength * squared.mean()
    return (total / (len(squared) + strength)).clamp_min(MIN_SCALE**2)


def _surprise(variance: Tensor, squared: Tensor) -> float:
    """Returns minus twice the Gaussian log-likelihood, without constants."""
    return float((squared / variance + variance.log()).sum())

"""One importance-sampling estimator of log p(x) for every model with a latent code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import Tensor

from ...metrics.devices import in_batches
from ..errors import RunFailed
from .model import CHUNK, LatentModel, Observed
from .proposal import FAMILIES, Sampler, samplers

# So many rows of noise are drawn at once, whatever `chunk` is: the draws of a seed must not
# depend on how many rows are decoded together.
DRAW_ROWS = 32_768
MOST_DRAWS = 64
# Factors on the deviations of a proposal, tried on validation data. An encoder of a squared error
# is often far too wide or too narrow; one from the decoder's geometry is about right.
COARSE = {
    "encoder": tuple(4.0**power for power in range(-7, 3)),
    "local": (0.5, 1.0, 2.0, 4.0),
    "mode": (0.5, 1.0, 2.0, 4.0),
}
REFINEMENTS = {
    "encoder": (0.35, 0.5, 0.71, 1.41, 2.0, 2.8),
    "local": (0.71, 1.41),
    "mode": (0.71, 1.41),
}


@dataclass(frozen=True)
class Bound:
    """A lower bound on log p(x) in expectation, for each image.

    Attributes:
        value: logsumexp of the log weights minus log K, nats on the data's own scale, (B,).
        stderr: Its Monte Carlo standard error by the delta method, (B,); optimistic where
            ``ess`` is small.
        ess: Effective sample size, 1 to K, (B,).
        half: The bound from the first K/2 draws alone, (B,).
        samples: K.
    """

    value: Tensor
    stderr: Tensor
    ess: Tensor
    half: Tensor
    samples: int


class WeightSum:
    """Running sums of importance weights, from their logarithms, in float64.

    Example:
        >>> weights = WeightSum()
        >>> weights.add(torch.zeros(4, 2))
        >>> weights.log_mean().tolist()
        [0.0, 0.0]
    """

    def __init__(self) -> None:
        self.count = 0
        self._first = self._second = torch.empty(0)

    def add(self, log_weights: Tensor) -> None:
        """Adds log weights (K, B)."""
        log_weights = log_weights.double()
        # Weights span hundreds of nats: sums are kept as logarithms and never leave them.
        first = log_weights.logsumexp(0)
        second = (2 * log_weights).logsumexp(0)
        if self.count:
            first = torch.logaddexp(self._first, first)
            second = torch.logaddexp(self._second, second)
        self._first, self._second = first, second
        self.count += len(log_weights)

    def log_mean(self) -> Tensor:
        """Returns the log of the mean weight, (B,)."""
        return self._first - math.log(self.count)

    def effective_size(self) -> Tensor:
        """Returns (sum w)^2 / sum w^2, (B,), from 1 to K."""
        return (2 * self._first - self._second).exp()

    def stderr(self) -> Tensor:
        """Returns the delta-method standard error of `log_mean`, (B,)."""
        # var(w) / (K mean(w)^2) = 1/ESS - 1/K; rounding may make it slightly negative.
        return (1 / self.effective_size() - 1 / self.count).clamp_min(0).sqrt()


@torch.no_grad()
def importance_bound(
    model: LatentModel,
    data: Observed,
    proposal: Sampler,
    *,
    samples: int,
    generator: torch.Generator,
    chunk: int = CHUNK,
) -> Bound:
    """Returns log p(x) bounded by ``samples`` draws for each image.

    log w = log p(y|z) + log p(z) - log q(z|x), with decoder and prior only; the space's
    log-determinant is added. The draws do not depend on ``chunk``.

    References:
        Importance Weighted Autoencoders (Burda et al., 2016), equation 8, arXiv 1509.00519.

    Args:
        model: The model.
        data: The data (B, C, H, W).
        proposal: Where z is drawn from, for the same data.
        samples: K, at least 1.
        generator: Source of all noise, on the CPU.
        chunk: Most rows decoded at once.

    Raises:
        ValueError: ``samples`` or ``chunk`` is below 1.
        RunFailed: A weight is not a number.
    """
    for name, given in (("samples", samples), ("chunk", chunk)):
        if given < 1:
            raise ValueError(f"'{name}' is {given}; expected at least 1.")
    # In blocks, so that memory does not grow with K.
    block = max(1, min(MOST_DRAWS, DRAW_ROWS // len(data)))
    weights, half = WeightSum(), torch.empty(0)
    for stop in sorted({*range(block, samples, block), samples // 2, samples} - {0}):
        z, log_q = proposal.draw(stop - weights.count, generator)
        weights.add(joint_of_draws(model, data.y, z, chunk) - log_q)
        if stop == samples // 2:
            half = weights.log_mean()
    if samples == 1:
        half = weights.log_mean()
    value = weights.log_mean()
    check_finite(value, "importance bound")
    log_det = data.log_det.double()
    ess, stderr = weights.effective_size(), weights.stderr()
    return Bound(value + log_det, stderr, ess, half + log_det, samples)


def joint_of_draws(model: LatentModel, y: Tensor, z: Tensor, chunk: int) -> Tensor:
    """Returns log p(y, z), (K, B), of y (B, C, H, W) and z (K, B, L), in slices of rows."""
    draws, images = z.shape[:2]
    rows = z.flatten(0, 1)
    index = torch.arange(images, device=z.device).repeat(draws)

    def log_joint(start: int, stop: int) -> Tensor:
        return model.log_joint(y[index[start:stop]], rows[start:stop])

    parts = in_batches(log_joint, len(rows), chunk)
    return torch.cat(parts).unflatten(0, (draws, images))


@dataclass(frozen=True)
class Choice:
    """A proposal chosen on validation data.

    Attributes:
        family: ``encoder``, ``local`` or ``mode``.
        scale: Factor on its deviations.
        value: The mean bound that it gave less three standard errors, nats per image.
    """

    family: str
    scale: float
    value: float

    def sampler(self, model: LatentModel, data: Observed, *, chunk: int = CHUNK) -> Sampler:
        """Returns the chosen proposal for some data."""
        return samplers(model, self.family, data, chunk=chunk)(self.scale)


@torch.no_grad()
def choose_proposal(
    model: LatentModel,
    validation: Observed,
    generator: torch.Generator,
    *,
    samples: int = 64,
    chunk: int = CHUNK,
    families: Sequence[str] | None = None,
) -> Choice:
    """Returns the family and scale with the highest bound on validation data.

    Every candidate gives a lower bound in expectation, so that the highest is the tightest.
    Three of its standard errors are taken off, so that a noisy one does not win by luck. A
    coarse grid of scales is refined around its best; all candidates see the same noise. A
    family whose curvature cannot be inverted is left out.

    Args:
        model: The model.
        validation: Validation data, never test data.
        generator: Source of all noise, on the CPU.
        samples: K of the comparison.
        chunk: Most rows decoded at once.
        families: Families to try; all that the model has when not given.

    Raises:
        RunFailed: No candidate gives a finite bound.
    """
    if families is None:
        families = FAMILIES if model.encoder is not None else FAMILIES[1:]
    # One seed for every candidate: their differences are those of the proposals, not of the noise.
    seed = int(torch.randint(2**62, (), generator=generator))
    best = Choice(families[0], 1.0, -math.inf)
    for family in families:
        try:
            build = samplers(model, family, validation, chunk=chunk)
        except torch.linalg.LinAlgError:
            continue  # A prior or decoder so steep that its curvature has no inverse.
        trial = _Trial(model, validation, family, build, samples, seed, chunk)
        own = max(map(trial.score, COARSE[family]), key=attrgetter("value"))
        refined = [own.scale * factor for factor in REFINEMENTS[family]]
        own = max([own, *map(trial.score, refined)], key=attrgetter("value"))
        best = max(best, own, key=attrgetter("value"))
    if not math.isfinite(best.value):
        raise RunFailed("No proposal gives a finite likelihood bound on the validation data.")
    return best


@dataclass(frozen=True)
class _Trial:
    """One family of proposals on validation data."""

    model: LatentModel
    data: Observed
    family: str
    build: Callable[[float], Sampler]
    samples: int
    seed: int
    chunk: int

    def score(self, scale: float) -> Choice:
        """Returns the score of a scale; minus infinity where it breaks down."""
        try:
            bound = importance_bound(
                self.model,
                self.data,
                self.build(scale),
                samples=self.samples,
                generator=torch.Generator().manual_seed(self.seed),
                chunk=self.chunk,
            )
        except (RunFailed, torch.linalg.LinAlgError):
            return Choice(self.family, scale, -math.inf)
        # The images' errors are independent, so they add in squares.
        noise = bound.stderr.square().sum().sqrt() / len(bound.stderr)
        return Choice(self.family, scale, float(bound.value.mean() - 3 * noise))


def check_finite(value: Tensor, kind: str) -> None:
    """Raises RunFailed, naming the kind of value and the image, unless all are finite, (B,)."""
    broken = ~torch.isfinite(value)
    if bool(broken.any()):
        index = int(broken.nonzero()[0])
        raise RunFailed(
            f"The {kind} of image {index} is {float(value[index])}; expected a finite number."
        )

"""Annealed importance sampling, and the bracket that bidirectional Monte Carlo gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul

import torch
from torch import Tensor

from .annealing_path import Annealing, Path
from .importance import WeightSum, check_finite
from .model import LatentModel, Observed


@dataclass(frozen=True)
class Annealed:
    """A stochastic lower bound on log p(x) from annealing.

    Attributes:
        value: Log of the mean weight over chains, nats, (B,).
        stderr: Its Monte Carlo standard error by the delta method, (B,).
        ess: Effective number of chains, (B,).
        acceptance: Mean acceptance of the transitions.
    """

    value: Tensor
    stderr: Tensor
    ess: Tensor
    acceptance: float


@dataclass(frozen=True)
class Bracket:
    """Bounds on log p(y) from both sides, on data simulated from the model.

    Attributes:
        lower: Forward annealing, nats, (N,); a lower bound in expectation.
        upper: Reverse annealing from the true z, nats, (N,); an upper bound in expectation.
        acceptance: Mean acceptance of the transitions.
    """

    lower: Tensor
    upper: Tensor
    acceptance: float

    @property
    def gap(self) -> Tensor:
        """Upper minus lower end, nats, (N,)."""
        return self.upper - self.lower


def annealed_bound(
    model: LatentModel,
    data: Observed,
    settings: Annealing,
    generator: torch.Generator,
    *,
    chunk: int = 1024,
) -> Annealed:
    """Returns log p(x) bounded by annealed importance sampling with HMC transitions.

    Step sizes are adapted for each image and temperature by pilot chains, which are thrown
    away, so that the chains that count use fixed kernels.

    References:
        Annealed Importance Sampling (Neal, 2001), arXiv physics/9803008.
        On the Quantitative Analysis of Decoder-Based Generative Models (Wu et al., 2017),
        arXiv 1611.04273.

    Args:
        model: The model.
        data: The data (B, C, H, W); all chains of all images run side by side.
        settings: How to anneal.
        generator: Source of all noise, on the CPU.
        chunk: Most rows decoded at once; images are split accordingly.

    Raises:
        RunFailed: A weight is not a number.
    """
    parts, rates, size = [], [], max(1, chunk // settings.chains)
    for at in range(0, len(data), size):
        path = Path.prepare(model, data.part(at, at + size), settings, generator)
        log_weights, rate = path.forward(generator)
        parts.append(log_weights + path.data.log_det.double())
        rates.append(rate)
    weights = WeightSum()
    weights.add(torch.cat(parts, 1))
    value = weights.log_mean()
    check_finite(value, "annealing bound")
    acceptance = _mean_rate(rates, [part.shape[1] for part in parts])
    return Annealed(value, weights.stderr(), weights.effective_size(), acceptance)


def bracket(
    model: LatentModel,
    count: int,
    settings: Annealing,
    generator: torch.Generator,
    *,
    chunk: int = 1024,
) -> Bracket:
    """Returns bounds from both sides on data simulated from the model.

    The z that a draw was made from is an exact posterior draw, from which the same chain is
    run backwards; the mean of its inverse weights is unbiased for 1 / p(y).

    References:
        Sandwiching the marginal likelihood using bidirectional Monte Carlo
        (Grosse et al., 2015), arXiv 1511.02543.

    Args:
        model: The model.
        count: Data to simulate, at least 1.
        settings: How to anneal.
        generator: Source of all noise, on the CPU.
        chunk: Most rows decoded at once.

    Raises:
        ValueError: ``count`` is below 1.
        RunFailed: A weight is not a number.
    """
    if count < 1:
        raise ValueError(f"'count' is {count}; expected at least 1.")
    data, truth = model.simulate(count, generator)
    lower, upper, rates, size = [], [], [], max(1, chunk // settings.chains)
    for at in range(0, count, size):
        path = Path.prepare(model, data.part(at, at + size), settings, generator)
        forward, rate = path.forward(generator)
        reverse = path.reverse(truth[at : at + size], generator)
        lower.append(_log_mean(forward))
        # Reverse weights are inverses: their mean is unbiased for 1 / p(y), so minus its log is an
        # upper bound.
        upper.append(-_log_mean(-reverse))
        rates.append(rate)
    ends = torch.cat(lower), torch.cat(upper)
    for end in ends:
        check_finite(end, "annealing bound")
    return Bracket(*ends, _mean_rate(rates, [len(part) for part in lower]))


def _mean_rate(rates: list[float], images: list[int]) -> float:
    """Returns the mean over images of rates that are means over parts of them."""
    # Relative to the first, so that parts of one size have weights of 1 without rounding.
    weights = [count / images[0] for count in images]
    return sum(map(mul, weights, rates)) / sum(weights)


def _log_mean(log_weights: Tensor) -> Tensor:
    return log_weights.logsumexp(0) - math.log(len(log_weights))

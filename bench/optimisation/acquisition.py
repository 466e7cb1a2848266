"""Where to look next: log expected improvement, one pick after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, minimize
from scipy.special import erfcx, log_ndtr, ndtr

from ..errors import RunFailed
from ..interruption import check_stop
from .surface import Floats, Surface

if TYPE_CHECKING:
    from torch import Generator

POINTS = 10_000  # Uniform in the box, in each round.
ITERATIONS = 150
STARTS = 5  # Of the search for the least mean.
FAR, FARTHEST = -1.0, -200.0
LOG_ROOT_2_PI = 0.5 * float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Box:
    """The smallest box around the training codes.

    Attributes:
        low: Least value of each dimension (L,).
        high: Greatest value of each dimension (L,).
    """

    low: Floats
    high: Floats

    def uniform(self, count: int, generator: Generator) -> Floats:
        """Returns uniform points (count, L)."""
        import torch

        share = torch.rand(count, len(self.low), generator=generator, dtype=torch.float64)
        return self.low + (self.high - self.low) * share.numpy()


def log_improvement(u: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns log h(u), phi(u) / h(u) and Phi(u) / h(u) of h(u) = phi(u) + u Phi(u).

    h is the expected improvement in units of the standard deviation; phi and Phi are the standard
    normal density and distribution function, and the ratios make its slopes. No argument is too
    low: at u = -1e6 log h is -5e11, not minus infinity.

    References:
        Unexpected Improvements to Expected Improvement for Bayesian Optimization
        (Ament et al., 2023), Equation 9 (arXiv 2310.20708).
    """
    low = np.minimum(u, FAR)
    # Mills' ratio Phi / phi; 1 + u ratio cancels far out, where its series is exact.
    ratio = np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2))
    inverse = 1 / np.minimum(low, FARTHEST) ** 2
    series = inverse * (1 - 3 * inverse * (1 - 5 * inverse))
    rest = np.where(low < FARTHEST, series, 1 + low * ratio)
    far = -0.5 * low * low - LOG_ROOT_2_PI + np.log(rest)
    high = np.maximum(u, FAR)
    density = np.exp(-0.5 * high * high - LOG_ROOT_2_PI)
    near = density + high * ndtr(high)
    return (
        np.where(u < FAR, far, np.log(near)),
        np.where(u < FAR, 1 / rest, density / near),
        np.where(u < FAR, ratio / rest, np.exp(log_ndtr(high)) / near),
    )


def log_expected_improvement(mean: Floats, variance: Floats, incumbent: float) -> Floats:
    """Returns log E[max(incumbent - f, 0)] of normal f with means and variances (N,)."""
    deviation = np.sqrt(variance)
    return np.log(deviation) + log_improvement((incumbent - mean) / deviation)[0]


def least_mean(surface: Surface, box: Box, points: Floats) -> float:
    """Returns the minimum of the posterior's mean over the box.

    The lowest of some points (N, L) are refined. The lowest training score would not do: noise
    puts it below every mean, and then all picks of a batch fall on one point.
    """
    means = surface.mean(points)
    starts = points[np.argsort(means, kind="stable")[:STARTS]]

    def mean(point: Floats) -> tuple[float, Floats]:
        here = surface.at(point)
        return here.mean, here.mean_slope

    return min(_refined(mean, start, surface, box)[1] for start in starts)


def propose(
    surface: Surface,
    box: Box,
    incumbent: float,
    count: int,
    points: Floats,
    report: Callable[[int], None] = lambda done: None,
) -> Floats:
    """Returns picks (count, L) inside the box, each the best given those before.

    The point of greatest log expected improvement among ``points`` (N, L) is refined by bounded
    L-BFGS. Then it counts as observed at its predicted mean, without noise. Where that leads to an
    earlier pick, such as the best corner of the box, the point itself is taken: no pick repeats.

    Raises:
        RunFailed: The improvement is not a number.
    """
    screen = _Screen(surface, points)
    picks: list[Floats] = []
    for number in range(count):
        check_stop()
        report(number)
        best = screen.best(incumbent)
        start = points[best]
        pick, value = _refined(_cost(surface, incumbent), start, surface, box)
        if not np.isfinite(value):
            raise RunFailed(f"Pick {number} has log expected improvement {-value}.")
        if surface.is_picked(pick):
            pick, screen.taken[best] = start, True
        surface = surface.conditioned(pick)
        screen.take_in_last(surface)
        picks.append(pick)
    return np.stack(picks)


class _Screen:
    """Means and variances at fixed points (N, L), of which each pick costs one column."""

    def __init__(self, surface: Surface, points: Floats) -> None:
        self.points, self.mean = points, surface.mean(points)
        self.features = surface.features(points)
        self.to_picks = surface.to_picks(points, self.features)
        self.variance = surface.variance(points)
        self.taken = np.zeros(len(points), bool)

    def best(self, incumbent: float) -> int:
        """Returns which point has the greatest log expected improvement, of those not taken."""
        values = log_expected_improvement(self.mean, self.variance, incumbent)
        return int(np.argmax(np.where(self.taken, -np.inf, values)))

    def take_in_last(self, surface: Surface) -> None:
        """Lets the variances fall by what the last pick of a surface explains."""
        picks = surface.picks
        column = surface.kernel(self.points, picks.points[-1:])[:, 0]
        column -= self.features @ picks.features[-1]
        self.to_picks = np.column_stack([self.to_picks, column])
        explained = self.to_picks @ picks.inverse[-1]
        self.variance = surface.floored(self.variance - explained**2)


def _cost(surface: Surface, incumbent: float) -> Callable[[Floats], tuple[float, Floats]]:
    """Returns minus the log expected improvement of a point, with its gradient."""

    def cost(point: Floats) -> tuple[float, Floats]:
        here = surface.at(point)
        deviation = np.sqrt(here.variance)
        log_h, density, distribution = log_improvement((incumbent - here.mean) / deviation)
        # d log EI = (phi d(deviation) - Phi d(mean)) / (deviation h)
        slope = density * here.variance_slope / (2 * deviation) - distribution * here.mean_slope
        return -float(np.log(deviation) + log_h), -slope / deviation

    return cost


def _refined(
    function: Callable[[Floats], tuple[float, Floats]], start: Floats, surface: Surface, box: Box
) -> tuple[Floats, float]:
    """Returns a local minimum in the box and its value, in steps of the length scales."""
    scales = surface.scales

    def scaled(point: Floats) -> tuple[float, Floats]:
        value, slope = function(point * scales)
        return value, slope * scales

    found = minimize(
        scaled,
        start / scales,
        method="L-BFGS-B",
        jac=True,
        bounds=Bounds(box.low / scales, box.high / scales),
        options={"maxiter": ITERATIONS},
    )
    point = np.clip(found.x * scales, box.low, box.high)
    return min([(point, function(point)[0]), (start, function(start)[0])], key=lambda p: p[1])

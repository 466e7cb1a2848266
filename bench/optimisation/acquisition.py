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
    L-BFGS. Then it counts as observed at its predicted mean, without noise.

    Raises:
        RunFailed: The improvement is not a number.
    """
    screen = _Screen(surface, points)
    picks: list[Floats] = []
    for number in range(count):
        check_stop()
        report(number)
        start = points[int(np.argmax(screen.log_improvements(incumbent)))]
        pick, value = _refined(_cost(surface, incumbent), start, surface, box)
        if not np.isfinite(value):
            raise RunFailed(f"Pick {number} has log expected improvement {-value}.")
        screen.condition(surface, pick)
        surface = surface.conditioned(pick)
        picks.append(pick)
    return np.stack(picks)


class _Screen:
    """Means and variances at fixed points, of which each pick costs one column."""

    def __init__(self, surface: Surface, points: Floats) -> None:
        self.points, self.size = points, len(surface.basis)
        self.kernel = surface.kernel(points)
        self.mean = surface.constant + self.kernel @ surface.weights
        self.variance = surface.variance_from(self.kernel)
        self.columns: list[Floats] = []

    def log_improvements(self, incumbent: float) -> Floats:
        return log_expected_improvement(self.mean, self.variance, incumbent)

    def condition(self, surface: Surface, pick: Floats) -> None:
        """Takes in a pick, given the surface without it."""
        pull = surface.precision @ surface.kernel(pick[None])[0]
        column = surface.kernel(self.points, pick[None])[:, 0]
        covariance = column - self.kernel @ pull[: self.size]
        for before, weight in zip(self.columns, pull[self.size :], strict=True):
            covariance -= weight * before
        fall = covariance**2 / surface.variance(pick[None])[0]
        self.variance = surface.floored(self.variance - fall)
        self.columns.append(column)


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

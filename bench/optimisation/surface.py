"""The posterior of a sparse Gaussian process in closed form, and what earlier picks do to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_VARIANCE = 1e-9  # As a share of the amplitude: what is below is rounding.


@dataclass(frozen=True)
class Local:
    """Mean and variance at one point, with their gradients (L,)."""

    mean: float
    mean_slope: Floats
    variance: float
    variance_slope: Floats


@dataclass(frozen=True)
class Surface:
    """Mean and variance of the latent function at any point.

    With the squared-exponential kernel k(x, B) to the points of a basis B, the mean is
    constant + k(x, B) weights, and the covariance of two points is
    k(x, y) - k(x, B) precision k(B, y).

    Attributes:
        basis: Inducing points and picks (B, L).
        scales: Length scale of each dimension (L,).
        amplitude: Variance of the prior, in squared units of the scores.
        constant: Mean of the prior, in units of the scores.
        weights: Shape (B,).
        precision: Shape (B, B), symmetric.
    """

    basis: Floats
    scales: Floats
    amplitude: float
    constant: float
    weights: Floats
    precision: Floats

    def kernel(self, points: Floats, others: Floats | None = None) -> Floats:
        """Returns the prior's covariance of points (N, L) with others (M, L) or the basis."""
        x, y = points / self.scales, (self.basis if others is None else others) / self.scales
        squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
        return self.amplitude * np.exp(-0.5 * np.maximum(squares, 0.0))

    def mean(self, points: Floats) -> Floats:
        """Returns the posterior's means (N,) at points (N, L)."""
        return self.constant + self.kernel(points) @ self.weights

    def variance(self, points: Floats) -> Floats:
        """Returns the posterior's variances (N,) at points (N, L), noise not included."""
        return self.variance_from(self.kernel(points))

    def variance_from(self, kernel: Floats) -> Floats:
        """Returns the variances (N,) at points whose kernel to the basis is (N, B)."""
        return self.floored(self.amplitude - (kernel @ self.precision * kernel).sum(1))

    def floored(self, variance: Floats) -> Floats:
        """Returns variances, none below what rounding leaves."""
        return np.maximum(variance, LEAST_VARIANCE * self.amplitude)

    def at(self, point: Floats) -> Local:
        """Returns mean, variance and their gradients at one point (L,)."""
        steps = (self.basis - point) / self.scales
        kernel = self.amplitude * np.exp(-0.5 * (steps * steps).sum(1))
        pull = self.precision @ kernel
        variance = self.amplitude - float(kernel @ pull)
        least = LEAST_VARIANCE * self.amplitude
        slopes = np.stack([self.weights * kernel, -2 * pull * kernel]) @ steps / self.scales
        return Local(
            self.constant + float(kernel @ self.weights),
            slopes[0],
            max(variance, least),
            slopes[1] if variance > least else np.zeros_like(point),
        )

    def conditioned(self, point: Floats) -> Surface:
        """Returns the surface once its own mean was observed at a point (L,), without noise.

        The mean stays as it is everywhere; the variance falls by the squared covariance with the
        point over the point's variance. This is exact: a precision of one more row and column.

        References:
            Kriging is well-suited to parallelize optimization (Ginsbourger et al., 2010),
            Section 3.2 ("kriging believer").
        """
        kernel = self.kernel(point[None])[0]
        row = np.append(-self.precision @ kernel, 1.0)
        variance = float(self.variance(point[None])[0])
        precision = np.pad(self.precision, (0, 1)) + np.outer(row, row) / variance
        return replace(
            self,
            basis=np.vstack([self.basis, point]),
            weights=np.append(self.weights, 0.0),
            precision=precision,
        )

"""The posterior of a sparse Gaussian process in closed form, and what earlier picks do to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Shares of the amplitude. A pick's own nugget keeps the algebra of many picks well conditioned.
NUGGET = 1e-6
LEAST_VARIANCE = 1e-9
SAME = 1e-3  # Length scales: so near, about a nugget of variance is left.


@dataclass(frozen=True)
class Local:
    """Mean and variance at one point, with their gradients (L,)."""

    mean: float
    mean_slope: Floats
    variance: float
    variance_slope: Floats


@dataclass(frozen=True)
class Picks:
    """Points at which the surface counts as observed.

    Attributes:
        points: Shape (n, L).
        features: Their features (n, M).
        inverse: Inverse of the Cholesky factor of their covariances (n, n).
    """

    points: Floats
    features: Floats
    inverse: Floats

    @classmethod
    def none(cls, basis: Floats) -> Picks:
        """Returns no picks, for a basis (M, L)."""
        size, dims = basis.shape
        return cls(np.zeros((0, dims)), np.zeros((0, size)), np.zeros((0, 0)))


@dataclass(frozen=True)
class Surface:
    """Mean and variance of the latent function at any point.

    With the squared-exponential kernel k(x, B) to the points of a basis B, the mean is
    constant + k(x, B) weights. With the features psi(x) = whitening k(B, x), the covariance of
    two points is k(x, y) - psi(x) psi(y), less what the picks explain of it.

    Attributes:
        basis: Inducing points (M, L).
        scales: Length scale of each dimension (L,).
        amplitude: Variance of the prior, in squared units of the scores.
        constant: Mean of the prior, in units of the scores.
        weights: Shape (M,).
        whitening: Shape (M, M).
        picks: What it was conditioned on.
    """

    basis: Floats
    scales: Floats
    amplitude: float
    constant: float
    weights: Floats
    whitening: Floats
    picks: Picks

    def kernel(self, points: Floats, others: Floats) -> Floats:
        """Returns the prior's covariances (N, M) of points (N, L) with others (M, L)."""
        x, y = points / self.scales, others / self.scales
        squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
        return self.amplitude * np.exp(-0.5 * np.maximum(squares, 0.0))

    def mean(self, points: Floats) -> Floats:
        """Returns the posterior's means (N,) at points (N, L)."""
        return self.constant + self.kernel(points, self.basis) @ self.weights

    def features(self, points: Floats) -> Floats:
        """Returns the features psi (N, M) of points (N, L)."""
        return self.kernel(points, self.basis) @ self.whitening.T

    def to_picks(self, points: Floats, features: Floats) -> Floats:
        """Returns the covariances (N, n) of points (N, L) with the picks, before any counts."""
        return self.kernel(points, self.picks.points) - features @ self.picks.features.T

    def variance(self, points: Floats) -> Floats:
        """Returns the posterior's variances (N,) at points (N, L), noise not included."""
        features = self.features(points)
        explained = self.to_picks(points, features) @ self.picks.inverse.T
        return self.floored(self.amplitude - (features**2).sum(1) - (explained**2).sum(1))

    def floored(self, variance: Floats) -> Floats:
        """Returns variances, none below what rounding leaves."""
        return np.maximum(variance, LEAST_VARIANCE * self.amplitude)

    def is_picked(self, point: Floats) -> bool:
        """Says whether a point (L,) is within a thousandth of the length scales of a pick."""
        steps = (self.picks.points - point) / self.scales
        return bool(((steps**2).sum(1) < SAME**2).any())

    def at(self, point: Floats) -> Local:
        """Returns mean, variance and their gradients at one point (L,)."""
        steps = (np.concatenate([self.basis, self.picks.points]) - point) / self.scales
        kernel = self.amplitude * np.exp(-0.5 * (steps * steps).sum(1))
        to_basis, to_picks = np.split(kernel, [len(self.basis)])
        features = self.whitening @ to_basis
        explained = self.picks.inverse @ (to_picks - self.picks.features @ features)
        variance = self.amplitude - float(features @ features) - float(explained @ explained)
        # How the explained variance follows each entry of the kernel, halved.
        of_picks = explained @ self.picks.inverse
        of_basis = (features - of_picks @ self.picks.features) @ self.whitening
        slope = (-2 * np.concatenate([of_basis, of_picks]) * kernel) @ steps / self.scales
        least = LEAST_VARIANCE * self.amplitude
        return Local(
            self.constant + float(to_basis @ self.weights),
            (self.weights * to_basis) @ steps[: len(self.basis)] / self.scales,
            max(variance, least),
            slope if variance > least else np.zeros_like(slope),
        )

    def conditioned(self, point: Floats) -> Surface:
        """Returns the surface once its own mean was observed at a point (L,), without noise.

        The mean stays as it is everywhere; the variance falls by the squared covariance with the
        point over the point's variance, which is one more row of a Cholesky factor.

        References:
            Kriging is well-suited to parallelize optimization (Ginsbourger et al., 2010),
            Section 3.2 ("kriging believer").
        """
        features = self.features(point[None])
        explained = self.picks.inverse @ self.to_picks(point[None], features)[0]
        left = self.amplitude - float((features**2).sum()) - float(explained @ explained)
        root = np.sqrt(max(left, 0.0) + NUGGET * self.amplitude)
        inverse = np.pad(self.picks.inverse, (0, 1))
        inverse[-1] = np.append(-explained @ self.picks.inverse, 1.0) / root
        points = np.vstack([self.picks.points, point])
        return replace(
            self, picks=Picks(points, np.vstack([self.picks.features, features]), inverse)
        )

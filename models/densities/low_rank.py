"""Gaussians and mixtures for codes too long for full covariances."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..streams import stream
from .density import DENSITIES, Density, check_codes, check_fitted
from .gaussian import RIDGE, FullGaussian
from .gmm import GaussianMixtureDensity

RANK = 64  # Principal directions that a mixture is fitted in.
BLOCK = 2**22  # Values in float64 at once.
EXACT = 1024  # Values of a code up to which all eigenvectors are found at once.
# Directions beside those kept, and rounds: the share of others falls with every round.
SPARE, ROUNDS = 32, 16


class LowRank(Density):
    """A density in the leading principal directions of the codes, one variance in all others.

    A code is m + V u + r. V (L, R) are the R leading eigenvectors of the codes' covariance, u
    comes from a density over R values, and r is N(0, s^2 I) in the L - R other directions, s^2
    the mean of the eigenvalues there: with a Gaussian for u the maximum of the likelihood.
    Memory grows with L R and not with L^2: eigenvectors of long codes are found by subspace
    iteration, which reads the codes in blocks.

    References:
        Probabilistic Principal Component Analysis (Tipping and Bishop, 1999), Equation 8;
        Finding Structure with Randomness (Halko et al., 2011), Algorithm 4.4, arXiv 0909.4061.

    Args:
        rank: Directions R; all L where there are fewer.
        inner: The density of u.
        name: What errors call it.
    """

    fitted = ("mean", "axes", "rest")

    def __init__(self, rank: int, inner: Density, name: str) -> None:
        self.rank, self.inner, self.name = rank, inner, name
        self.least_codes = max(2, inner.least_codes)
        self.mean = torch.empty(0)
        self.axes = torch.empty(0, 0)
        self.rest = torch.empty(())

    def fit(self, codes: Tensor, seed: int) -> None:
        """Fits directions and density to codes (N, L), N at least ``least_codes``."""
        # Smallest and largest value of each code: finite only where all its values are.
        check_codes(torch.stack(codes.aminmax(dim=1), dim=1), self.least_codes, self.name)
        codes = codes.detach().cpu()
        self.mean = codes.mean(0, dtype=torch.float64)
        self.axes, kept = self._directions(codes, seed)
        inside = torch.cat([part @ self.axes for part in self._centred(codes)])
        total = sum(float(part.square().sum()) for part in self._centred(codes)) / len(codes)
        others = max(1, codes.shape[1] - len(kept))
        left = max(0.0, total - float(kept.sum())) / others
        # The ridge of the Gaussian, whose truncation this is.
        self.rest = torch.tensor(left + RIDGE, dtype=torch.float64)
        self.inner.fit(inside, seed)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns codes (count, L)."""
        check_fitted(len(self.mean), self.name)
        drawn = self.inner.sample(count, generator).double()
        parts = []
        for inside in drawn.split(self._at_once()):
            noise = torch.randn(
                len(inside), len(self.mean), generator=generator, dtype=torch.float64
            )
            others = noise - (noise @ self.axes) @ self.axes.T
            codes = self.mean + inside @ self.axes.T + self.rest.sqrt() * others
            parts.append(codes.float())
        return torch.cat(parts)

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log densities (N,) in nats."""
        check_fitted(len(self.mean), self.name)
        axes = self.axes.to(z.device)
        centred = z.double() - self.mean.to(z.device)
        inside = centred @ axes
        others = axes.shape[0] - axes.shape[1]
        found = self.inner.log_prob(inside)
        if others:
            squared = (centred.square().sum(1) - inside.square().sum(1)).clamp_min(0)
            constant = others * math.log(2 * math.pi * float(self.rest))
            found = found - 0.5 * (squared / self.rest.to(z.device) + constant)
        return found.to(z)

    def state(self) -> dict[str, Tensor]:
        """Returns the directions and what the density of u has fitted."""
        return super().state() | {f"inner.{k}": v for k, v in self.inner.state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restores what `state` returned."""
        super().load_state(state)
        inner = {k.partition(".")[2]: v for k, v in state.items() if k.startswith("inner.")}
        self.inner.load_state(inner)

    def _centred(self, codes: Tensor) -> Iterator[Tensor]:
        """Yields the codes less their mean, in float64, block by block."""
        return (part.double() - self.mean for part in codes.split(self._at_once()))

    def _at_once(self) -> int:
        return max(1, BLOCK // len(self.mean))

    def _directions(self, codes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Returns the leading eigenvectors (L, R) of the codes' covariance, and eigenvalues."""
        dims = codes.shape[1]
        rank, width = min(self.rank, dims), min(self.rank + SPARE, dims)
        width = dims if dims <= EXACT else width

        def spread(basis: Tensor) -> Tensor:
            parts = (part.T @ (part @ basis) for part in self._centred(codes))
            return sum(parts, torch.zeros_like(basis)) / len(codes)

        start = stream(seed, "low-rank/start")
        basis = torch.linalg.qr(torch.randn(dims, width, generator=start, dtype=torch.float64)).Q
        for _ in range(ROUNDS if width < dims else 0):  # A basis of all codes needs none.
            basis = torch.linalg.qr(spread(basis)).Q
        small = basis.T @ spread(basis)
        values, vectors = torch.linalg.eigh((small + small.T) / 2)
        return basis @ vectors[:, -rank:], values[-rank:]


@DENSITIES.register("low-rank-K")
class LowRankGaussian(LowRank):
    """One Gaussian whose covariance is free in K directions and isotropic in the others."""

    summary = "a Gaussian of rank K and one variance for the rest, for long codes"

    def __init__(self, rank: int) -> None:
        super().__init__(rank, FullGaussian(), f"low-rank-{rank}")


@DENSITIES.register(f"low-rank-{RANK}-gmm-K")
class LowRankMixture(LowRank):
    """K full-covariance Gaussians in the 64 leading directions, isotropic in the others."""

    summary = f"mixture of K Gaussians in {RANK} directions, one variance for the rest"

    def __init__(self, components: int) -> None:
        inner = GaussianMixtureDensity(components)
        super().__init__(RANK, inner, f"low-rank-{RANK}-gmm-{components}")

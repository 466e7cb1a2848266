"""The chain of distributions that annealing goes through, with its HMC transitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .model import LatentModel, Observed
from .proposal import Gaussian, laplace

# Pilot chains move the logarithm of the step size by 0.3 times how far acceptance is off 0.7,
# near the optimum for a few leapfrog steps (0.65 to 0.8).
TARGET_ACCEPTANCE = 0.7
ADAPTATION = 0.3
FIRST_STEP = 0.5
# The start is wider than the Gaussian approximation of the posterior by this factor.
START_WIDTH = 1.5


@dataclass(frozen=True)
class Annealing:
    """How to anneal.

    Args:
        steps: Intermediate distributions between the start and the posterior.
        chains: Independent chains for each image.
        leapfrog: Leapfrog steps of one transition.
        budget: By how much ``steps`` may be multiplied where they are too few.
    """

    steps: int = 50
    chains: int = 8
    leapfrog: int = 4
    budget: int = 8

    def refined(self) -> Iterator[Annealing]:
        """Yields this path and others, each with twice as many steps, within the budget."""
        path = self
        yield path
        while path.budget > 1:
            path = replace(path, steps=2 * path.steps, budget=path.budget // 2)
            yield path

    def temperatures(self) -> list[float]:
        """Returns 0, the inner inverse temperatures and 1, close together at both ends."""
        # Densities change fastest near both ends, so the sigmoid puts most temperatures there.
        at = torch.linspace(-4, 4, self.steps + 2, dtype=torch.float64).sigmoid()
        return ((at - at[0]) / (at[-1] - at[0])).tolist()


@dataclass
class Point:
    """States of all chains with both ends' log densities and gradients.

    Attributes:
        z: (K, B, L).
        ends: log densities of start and posterior (unnormalised), (2, K, B), float64.
        slopes: Their gradients, (2, K, B, L).
    """

    z: Tensor
    ends: Tensor
    slopes: Tensor

    def log_density(self, beta: float) -> Tensor:
        """Returns the tempered log density, (K, B)."""
        return (1 - beta) * self.ends[0] + beta * self.ends[1]

    def slope(self, beta: float) -> Tensor:
        """Returns the gradient of the tempered log density, (K, B, L)."""
        return (1 - beta) * self.slopes[0] + beta * self.slopes[1]

    def where(self, accepted: Tensor, other: Point) -> Point:
        """Returns this point where accepted (K, B), elsewhere the other."""
        return Point(
            torch.where(accepted[..., None], self.z, other.z),
            torch.where(accepted, self.ends, other.ends),
            torch.where(accepted[..., None], self.slopes, other.slopes),
        )


@dataclass
class Path:
    """The distributions between start and posterior, with a transition for each.

    Attributes:
        model: The model.
        data: The data (B, C, H, W).
        settings: How to anneal.
        location: Centre of the Gaussian approximation, (B, L).
        factor: Its triangular factor, (B, L, L).
        step_sizes: For each inner temperature and image, (T, B).
    """

    model: LatentModel
    data: Observed
    settings: Annealing
    location: Tensor
    factor: Tensor
    step_sizes: Tensor

    @classmethod
    def prepare(
        cls,
        model: LatentModel,
        data: Observed,
        settings: Annealing,
        generator: torch.Generator,
    ) -> Path:
        """Returns a path whose step sizes pilot chains have adapted."""
        location, factor = laplace(model, data, 3)
        sizes = torch.full((settings.steps, len(data)), FIRST_STEP).to(location)
        path = cls(model, data, settings, location, factor, sizes)
        path.forward(generator, adapt=True)
        return path

    def forward(self, generator: torch.Generator, *, adapt: bool = False) -> tuple[Tensor, float]:
        """Returns log weights (K, B) from start to posterior, and the mean acceptance."""
        temperatures = self.settings.temperatures()
        point = self.evaluate(self._start.draw(self.settings.chains, generator)[0])
        total = torch.zeros_like(point.ends[0])
        acceptance, step_size = 0.0, self.step_sizes[0]
        for index in range(1, len(temperatures)):
            change = temperatures[index] - temperatures[index - 1]
            # The weight is taken before the move, at the point that the last temperature left.
            total += change * (point.ends[1] - point.ends[0])
            if index == len(temperatures) - 1:
                break
            if not adapt:
                step_size = self.step_sizes[index - 1]
            point, accepted = self.transition(point, temperatures[index], step_size, generator)
            if adapt:
                error = accepted.mean(0).to(step_size) - TARGET_ACCEPTANCE
                step_size = step_size * (ADAPTATION * error).exp()
                self.step_sizes[index - 1] = step_size
            acceptance += float(accepted.mean()) / self.settings.steps
        return total, acceptance

    def reverse(self, truth: Tensor, generator: torch.Generator) -> Tensor:
        """Returns log weights (K, B) of chains run backwards from posterior draws (B, L)."""
        temperatures = self.settings.temperatures()
        point = self.evaluate(truth.expand(self.settings.chains, *truth.shape))
        total = torch.zeros_like(point.ends[0])
        # The forward chain in reverse: the move at a temperature comes before the weight of
        # leaving it.
        for index in range(len(temperatures) - 1, 0, -1):
            if index < len(temperatures) - 1:
                step_size = self.step_sizes[index - 1]
                point, _ = self.transition(point, temperatures[index], step_size, generator)
            change = temperatures[index] - temperatures[index - 1]
            total += change * (point.ends[1] - point.ends[0])
        return total

    def evaluate(self, z: Tensor) -> Point:
        """Returns the log densities of both ends and their gradients at z (K, B, L)."""
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            start = self._start.log_prob(leaf)
            y = self.data.y.expand(len(z), *self.data.y.shape).flatten(0, 1)
            joint = self.model.log_joint(y, leaf.flatten(0, 1)).view_as(start)
            slopes = [torch.autograd.grad(end.sum(), leaf)[0] for end in (start, joint)]
        ends = torch.stack([start, joint]).detach()
        return Point(leaf.detach(), ends, torch.stack(slopes))

    def transition(
        self, point: Point, beta: float, step_size: Tensor, generator: torch.Generator
    ) -> tuple[Point, Tensor]:
        """Returns the point after one HMC step at ``beta``, and acceptance probabilities (K, B).

        Coordinates are whitened by the Gaussian approximation at this temperature, which is
        fixed for each image, so the step leaves the tempered density invariant.
        """
        whitening = self._whitening(beta)
        shape = point.z.shape
        momentum = torch.randn(shape, generator=generator, dtype=point.z.dtype).to(point.z)
        # Drawn before the leapfrog steps, so that a rejected path uses as much noise as a taken
        # one.
        chance = torch.rand(shape[:2], generator=generator, dtype=torch.float64)
        size = step_size[:, None]
        energy = momentum.double().square().sum(-1) / 2 - point.log_density(beta)
        proposed = point
        for _ in range(self.settings.leapfrog):
            momentum = momentum + size / 2 * _apply(whitening.mT, proposed.slope(beta))
            proposed = self.evaluate(proposed.z + size * _apply(whitening, momentum))
            momentum = momentum + size / 2 * _apply(whitening.mT, proposed.slope(beta))
        end = momentum.double().square().sum(-1) / 2 - proposed.log_density(beta)
        # A path that leaves the range of numbers has energy nan and is rejected.
        probability = (energy - end).clamp_max(0).exp().nan_to_num(nan=0.0)
        accepted = chance.to(probability.device) < probability
        return proposed.where(accepted, point), probability

    @property
    def _start(self) -> Gaussian:
        return Gaussian(self.location, self.factor, START_WIDTH)

    def _whitening(self, beta: float) -> Tensor:
        """Returns factors (B, L, L) of the covariance that is expected at ``beta``."""
        return self.factor * (beta + (1 - beta) / START_WIDTH**2) ** -0.5


def _apply(matrices: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("bij,kbj->kbi", matrices, vectors)

"""What an ex-post density is: a distribution fitted to latent codes after training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..registry import Registry

DENSITIES: Registry[Callable[..., Density]] = Registry(
    "density", folder="aebench.models.densities", group="aebench.models"
)


class Density(ABC):
    """A distribution over codes z (N, L), in float64 on the CPU.

    Attributes:
        needs_prior: Whether only objectives with their own N(0, I) can use it.
        has_log_prob: Whether `log_prob` is in closed form.
        fitted: Names of the attributes that `fit` sets, all of them tensors.
        least_codes: The fewest codes that it can be fitted to.
    """

    needs_prior: ClassVar[bool] = False
    has_log_prob: ClassVar[bool] = True
    summary: ClassVar[str] = ""
    fitted: ClassVar[tuple[str, ...]] = ()
    least_codes: int = 1

    @abstractmethod
    def fit(self, codes: Tensor, seed: int) -> None:
        """Fits the density to codes (N, L).

        Raises:
            ValueError: There are too few codes, or one is not finite.
        """

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns ``count`` codes (count, L), float32."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log densities (N,) in nats.

        Raises:
            TypeError: The density has no closed form.
        """
        raise TypeError(f"Density '{type(self).__name__}' has no log density in closed form.")

    def encode(self, z: Tensor) -> Tensor:
        """Returns the density's own coordinates of codes; the codes themselves by default."""
        return z

    def decode(self, u: Tensor) -> Tensor:
        """Returns codes for the density's own coordinates; the inverse of `encode`."""
        return u

    def state(self) -> dict[str, Tensor]:
        """Returns the fitted values as tensors: the attributes named in ``fitted``."""
        return {name: getattr(self, name) for name in self.fitted}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restores what `state` returned."""
        for name in self.fitted:
            setattr(self, name, state[name])


def build_density(name: str, **options: Any) -> Density:  # noqa: ANN401
    """Returns an unfitted density; ``gmm-10`` is the family ``gmm-K`` with 10 components.

    Args:
        name: The registered name, its count in the place of K.
        **options: Settings of the density, by keyword.

    Raises:
        UnknownName: No density has that name.
        ValueError: The name is a family without its count.
    """
    if name.endswith("-K"):
        raise ValueError(f"'density' is '{name}'; expected K as a number, as in '{name[:-1]}10'.")
    stem, _, count = name.rpartition("-")
    if count.isdigit() and int(count) > 0 and f"{stem}-K" in DENSITIES.names():
        return DENSITIES.get(f"{stem}-K")(int(count), **options)
    return DENSITIES.get(name)(**options)


def check_fitted(dims: int, name: str) -> None:
    """Raises ValueError where a density's codes have no size yet, as before its `fit`."""
    if not dims:
        raise ValueError(f"Density '{name}' is not fitted; call 'fit' first.")


def check_codes(codes: Tensor, minimum: int, name: str) -> Tensor:
    """Returns codes as float64 on the CPU.

    Raises:
        ValueError: There are fewer than ``minimum`` codes, or one is not finite.
    """
    codes = codes.detach().double().cpu()
    if len(codes) < minimum:
        raise ValueError(f"Density '{name}' got {len(codes)} codes; expected at least {minimum}.")
    finite = torch.isfinite(codes).all(1)
    if not bool(finite.all()):
        index = int((~finite).nonzero()[0])
        raise ValueError(f"Density '{name}' got a code that is not finite, index {index}.")
    return codes

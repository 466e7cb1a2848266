"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor

from ..gaussian import standard_normal_log_prob
from .density import DENSITIES, Density, check_codes, check_fitted


@DENSITIES.register("prior")
class StandardNormal(Density):
    """N(0, I); only the number of dimensions is taken from the codes."""

    needs_prior = True
    summary = "N(0, I), for objectives that train towards it"

    def __init__(self) -> None:
        self.dims = 0

    def fit(self, codes: Tensor, seed: int) -> None:
        """Records the number of dimensions."""
        self.dims = check_codes(codes, 1, "prior").shape[1]

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns standard normal codes (count, L)."""
        check_fitted(self.dims, "prior")
        return torch.randn(count, self.dims, generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log N(z; 0, I), (N,), in nats."""
        return standard_normal_log_prob(z)

    def state(self) -> dict[str, Tensor]:
        """Returns the number of dimensions."""
        return {"dims": torch.tensor(self.dims)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restores the number of dimensions."""
        self.dims = int(state["dims"])

"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor

from ..gaussian import standard_normal_log_prob
from .density import DENSITIES, Density, check_codes


@DENSITIES.register("prior")
class StandardNormal(Density):
    """N(0, I); only the number of dimensions is taken from the codes."""

    needs_prior = True
    summary = "N(0, I), for objectives that train towards it"
    fitted = ("dims",)

    def __init__(self) -> None:
        self.dims = torch.tensor(0)

    def fit(self, codes: Tensor, seed: int) -> None:
        """Records the number of dimensions."""
        self.dims = torch.tensor(check_codes(codes, 1, "prior").shape[1])

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns standard normal codes (count, L)."""
        return torch.randn(count, int(self.dims), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns log N(z; 0, I), (N,), in nats."""
        return standard_normal_log_prob(z)

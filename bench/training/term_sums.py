"""Running sums of the loss terms on the device, and the first step at which one was not finite."""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = 2**62


class Diverged(Exception):
    """A loss term is not finite; the message names term, objective and step."""


class TermSums:
    """Sums of the means of each term over steps; the host waits only where it asks for them.

    Args:
        device: Where the terms are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.names: list[str] = []
        self.sums = torch.zeros(0, dtype=torch.float64, device=device)
        self.first_bad = torch.zeros(0, dtype=torch.int64, device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, terms: dict[str, Tensor]) -> None:
        """Counts a step with its terms, each (B,)."""
        # One call for all terms: on small networks each call costs as much as its arithmetic.
        values = torch.stack(tuple(terms.values())).float().mean(1)
        if not self.names:
            self.names = list(terms)
            self.sums = torch.zeros_like(values, dtype=torch.float64)
            self.first_bad = torch.full_like(values, NEVER, dtype=torch.int64)
        self.step += 1
        self.sums += values
        # On the device, without a question from the host, which would have to wait for the answer.
        bad = torch.where(torch.isfinite(values), NEVER, self.step)
        torch.minimum(self.first_bad, bad, out=self.first_bad)

    def check(self) -> None:
        """Raises Diverged, naming term and step, if a term was not finite."""
        first = int(self.first_bad.min()) if self.names else NEVER
        if first < NEVER:
            name = self.names[int(self.first_bad.argmin())]
            raise Diverged(f"Term '{name}' of the loss is not finite at step {first}.")

    def take_means(self, steps: int) -> dict[str, float]:
        """Returns the mean of each term over the last ``steps`` steps and starts anew."""
        means = dict(zip(self.names, (self.sums / steps).tolist(), strict=True))
        self.sums.zero_()
        return means

    def tensors(self) -> dict[str, Tensor]:
        """Returns the state by name; the tensors are those that `add` changes in place."""
        return {"sums": self.sums, "first_bad": self.first_bad, "count": self.step}

    def restore(self, sums: Tensor, first_bad: Tensor, names: list[str], step: int) -> None:
        """Puts back what `tensors` returned, the names of the terms and the steps counted."""
        self.names = list(names)
        self.sums = sums.to(self.sums.device)
        self.first_bad = first_bad.to(self.sums.device)
        self.step = torch.full_like(self.step, step)

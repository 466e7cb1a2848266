"""Learning-rate schedule that neither the scale nor the offset of a loss can change."""

from __future__ import annotations

import math
from typing import Any


class Plateau:
    """Halves the rate after ``patience`` validations without improvement.

    An improvement is a decrease below the best loss by more than ``threshold`` times the
    decrease since the first validation, so losses in sum scale, in mean scale and negative
    log-likelihoods are all treated alike.

    Args:
        patience: Validations without improvement before the rate is halved; 0 never halves.
        threshold: Share of the decrease so far.

    Example:
        >>> plateau = Plateau(patience=2, threshold=0.1)
        >>> [plateau.step(loss) for loss in (10.0, 5.0, 4.9, 4.9, 4.9)]
        [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, patience: int, threshold: float) -> None:
        self.patience, self.threshold = patience, threshold
        self.first, self.best = math.nan, math.inf
        self.waited, self.factor = 0, 1.0

    def step(self, loss: float) -> float:
        """Returns the factor on the initial rate after one more validation loss."""
        if math.isnan(self.first):
            self.first = loss
        # Relative to the decrease so far, not to the loss: a log-likelihood may be near 0 or
        # negative.
        margin = self.threshold * (self.first - self.best) if math.isfinite(self.best) else 0.0
        if loss < self.best - margin:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.patience and self.waited >= self.patience:
            self.factor, self.waited = self.factor / 2, 0
        return self.factor

    def state(self) -> dict[str, Any]:
        """Returns what `load_state` restores, as JSON values."""
        values = {k: repr(getattr(self, k)) for k in ("first", "best", "factor")}
        return {**values, "waited": self.waited}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        for name in ("first", "best", "factor"):
            setattr(self, name, float(state[name]))
        self.waited = int(state["waited"])

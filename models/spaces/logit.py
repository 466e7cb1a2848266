"""Logit space: images as dequantised, unbounded and normalised coordinates."""

from __future__ import annotations

import math

from torch import Tensor

from ..flows.actnorm import ActNorm
from .space import SPACES, Space, check_unit_range


@SPACES.register("logit")
class LogitSpace(Space):
    """x = (v + u)/256, p = alpha + (1 - 2 alpha) x, logit, and an ActNorm for each channel.

    All log-determinants count. The ActNorm is set from the first batch. It is trained after
    that unless the objective is a squared error, which a trained scale would shrink.

    References:
        Deterministic training of generative autoencoders using invertible layers
        (Silvestri et al., 2023), arXiv 2205.09546, released code.

    Args:
        image_shape: (C, H, W).
        alpha: Distance of p from 0 and 1, in (0, 0.5); 1e-6 for grey images and 0.05 for colour
            in the AEF paper.
        trainable: Whether the ActNorm is trained after its initialisation.

    Raises:
        ValueError: ``alpha`` is outside (0, 0.5).
    """

    name = "logit"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        alpha: float = 1e-6,
        trainable: bool = False,
    ) -> None:
        if not 0 < alpha < 0.5:
            raise ValueError(f"'alpha' is {alpha}; expected a number in (0, 0.5).")
        super().__init__(image_shape, alpha=alpha)
        self.norm = ActNorm(image_shape[0], image=True).requires_grad_(trainable)

    def initialise(self, x: Tensor) -> None:
        """Makes y have mean 0 and standard deviation 1 in each channel of this batch.

        Raises:
            ValueError: A value is outside [0, 1], or a channel does not vary.
        """
        check_unit_range("logit", x)
        self.norm.initialise(self.logit(x)[0])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns y and the log-determinants of affine map, logit and ActNorm together.

        Raises:
            ValueError: A value is outside [0, 1].
            RuntimeError: The ActNorm is not initialised.
        """
        check_unit_range("logit", x)
        return self.coordinates(x)

    def coordinates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `forward` does, also for x that pass [0, 1] as far as `inverse` does."""
        logits, log_det = self.logit(x)
        y, scaling = self.norm.normalise(logits)
        return y, log_det + scaling

    def logit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log p - log(1 - p) and the log-determinant of affine map and logit.

        1 - p is taken from 1 - x, which is exact near 1, where 1 - p would not be.
        """
        width = 1 - 2 * self.alpha
        log_p = (self.alpha + width * x).log()
        log_q = (self.alpha + width * (1 - x)).log()
        constant = math.log(width) * x[0].numel()
        return log_p - log_q, constant - (log_p + log_q).flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Returns x, which may pass [0, 1] by alpha/(1 - 2 alpha)."""
        return (self.norm.scale(y)[0].sigmoid() - self.alpha) / (1 - 2 * self.alpha)

"""Activation normalisation: an affine map set from the first batch, then trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class ActNorm(nn.Module):
    """One scale and shift for each channel, each feature, or all features together.

    The scale is s = exp(log_scale) + 1e-5. `normalise` is y = (v - shift)/s and `scale` is
    y = s v + shift; each is the inverse of the other.

    References:
        Glow: Generative Flow with Invertible 1x1 Convolutions (Kingma and Dhariwal, 2018),
        section 3.1, arXiv 1807.03039.

    Args:
        features: Number of scales: channels of an image, features of a vector, or 1 for a scale
            that all features share.
        image: Whether inputs are (B, C, H, W); otherwise they are (..., features).
    """

    def __init__(self, features: int, *, image: bool = False) -> None:
        super().__init__()
        self.image = image
        self.log_scale = nn.Parameter(torch.zeros(features))
        self.shift = nn.Parameter(torch.zeros(features))
        self.register_buffer("initialised", torch.tensor(False))
        # What the buffer says, on the host: reading the buffer waits for the device.
        self._ready = False

    @torch.no_grad()
    def initialise(self, v: Tensor, *, normalise: bool = True) -> None:
        """Makes the outputs of this batch have mean 0 and standard deviation 1.

        Args:
            v: Inputs, at least two.
            normalise: Whether `normalise` is the direction in use, or `scale`.

        Raises:
            ValueError: The batch is too small, or a channel or feature does not vary in it.
        """
        values = v.transpose(0, 1).flatten(1) if self.image else v.flatten(0, -2).T
        values = values.reshape(len(self.shift), -1)
        if values.shape[1] < 2:
            raise ValueError("ActNorm got a first batch of 1 value; expected at least 2.")
        deviation, mean = torch.std_mean(values, 1)
        varying = torch.isfinite(deviation) & (deviation > 0)
        if not bool(varying.all()):
            index = int((~varying).nonzero()[0])
            raise ValueError(
                f"ActNorm got a first batch of {len(v)} with standard deviation "
                f"{float(deviation[index]):.4g} in channel {index}; expected a positive number."
            )
        self.log_scale.copy_(deviation.log() if normalise else -deviation.log())
        self.shift.copy_(mean if normalise else -mean / deviation)
        self.get_buffer("initialised").fill_(True)

    def forward(
        self, v: Tensor, *, normalise: bool, initialise: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Returns what `normalise` or `scale` does, after `initialise` with v where wanted."""
        if initialise:
            self.initialise(v, normalise=normalise)
        return self.normalise(v) if normalise else self.scale(v)

    def normalise(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (v - shift)/s and its log-determinant, summed over all but the batch axes."""
        scale, shift, log_det = self._affine(v)
        return (v - shift) / scale, -log_det

    def scale(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns s v + shift and its log-determinant, summed over all but the batch axes."""
        scale, shift, log_det = self._affine(v)
        return scale * v + shift, log_det

    def _affine(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self._check()
        axes = 3 if self.image else 1
        shape = (-1, 1, 1) if self.image else (-1,)
        scale = (self.log_scale.exp() + EPSILON).view(shape)
        shift = self.shift.view(shape)
        log_det = scale.log().expand(v.shape[-axes:]).sum()
        return scale, shift, log_det.expand(v.shape[:-axes])

    def _check(self) -> None:
        if self._ready:
            return
        self._ready = bool(self.get_buffer("initialised"))
        if not self._ready:
            raise RuntimeError(
                "ActNorm is not initialised; expected a call of the objective's "
                "'initialise(x, generator)' with the first training batch, or a checkpoint."
            )

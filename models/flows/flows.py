"""Invertible maps between a data side and a noise side, over vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..checks import check_at_least
from ..registry import unknown_name
from .actnorm import ActNorm
from .autoregressive import AutoregressiveLayer
from .coupling import CouplingLayer

NAMES = ("none", "maf", "iaf", "realnvp")


class Flow(nn.Module, ABC):
    """A map of vectors (..., d) with a data side (pixels, latents) and a noise side.

    A core flow takes core values (data) to the encoder's affine step (noise), a prior flow takes
    z1 (data) to z0 (noise), a posterior flow takes encoder noise to z1 (data).
    """

    @abstractmethod
    def to_noise(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the noise-side vectors and the log-determinant (...), in nats."""

    @abstractmethod
    def to_data(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the data-side vectors and the log-determinant (...), in nats."""

    def initialise(self, v: Tensor, *, from_noise: bool = False) -> Tensor:
        """Sets data-dependent parameters from vectors (B, d) of one side; returns the other's."""
        return (self.to_data(v) if from_noise else self.to_noise(v))[0]


class NoFlow(Flow):
    """The identity."""

    def to_noise(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the vectors and zeros."""
        return v, v.new_zeros(v.shape[:-1])

    to_data = to_noise


class FlowStack(Flow):
    """Layers, each followed by one scale and shift that all coordinates share.

    ``maf`` takes one pass towards noise, ``iaf`` one towards data, ``realnvp`` one either way.
    The other way of ``maf`` and ``iaf`` goes coordinate by coordinate. With ``maf`` for core and
    prior flows and ``iaf`` for posterior flows, as in the AEF paper, training needs no slow pass.

    References:
        Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
        arXiv 1705.07057; Improving Variational Inference with Inverse Autoregressive Flow
        (Kingma et al., 2016), arXiv 1606.04934.

    Args:
        name: ``maf``, ``iaf`` or ``realnvp``.
        features: Number d of coordinates.
        layers: Number of layers.
        hidden: Width of their networks.
        scale_bound: Most that the logarithm of an autoregressive layer's scale is off 0; 0 for
            no bound. Coupling layers have bounded scales.
    """

    def __init__(
        self,
        name: str,
        features: int,
        *,
        layers: int = 4,
        hidden: int = 256,
        scale_bound: float = 0.0,
    ) -> None:
        super().__init__()
        self.normalises = name == "maf"
        self.layers = nn.ModuleList(
            CouplingLayer(features, hidden, odd=index % 2 == 0)
            if name == "realnvp"
            else AutoregressiveLayer(features, hidden, scale_bound=scale_bound)
            for index in range(layers)
        )
        self.norms = nn.ModuleList(ActNorm(1) for _ in range(layers))

    def to_noise(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the noise-side vectors and the log-determinant."""
        return self._forward(v) if self.normalises else self._inverse(v)

    def to_data(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the data-side vectors and the log-determinant."""
        return self._inverse(v) if self.normalises else self._forward(v)

    def initialise(self, v: Tensor, *, from_noise: bool = False) -> Tensor:
        """Sets the scales so that each has outputs of mean 0 and deviation 1 on this batch."""
        # `_forward` is the way of one pass: towards noise for ``maf``, towards data otherwise.
        forwards = from_noise != self.normalises
        return (self._forward if forwards else self._inverse)(v, initialise=True)[0]

    def _forward(self, v: Tensor, *, initialise: bool = False) -> tuple[Tensor, Tensor]:
        total = v.new_zeros(v.shape[:-1])
        for layer, norm in zip(self.layers, self.norms, strict=True):
            v, log_det = layer(v)
            v, scaling = norm(v, normalise=self.normalises, initialise=initialise)
            total = total + log_det + scaling
        return v, total

    def _inverse(self, v: Tensor, *, initialise: bool = False) -> tuple[Tensor, Tensor]:
        total = v.new_zeros(v.shape[:-1])
        for layer, norm in zip(reversed(self.layers), reversed(self.norms), strict=True):
            v, scaling = norm(v, normalise=not self.normalises, initialise=initialise)
            v, log_det = layer(v, inverse=True)
            total = total + log_det + scaling
        return v, total


def build_flow(
    name: str, features: int, *, layers: int = 4, hidden: int = 256, scale_bound: float = 0.0
) -> Flow:
    """Returns the flow called ``none``, ``maf``, ``iaf`` or ``realnvp``.

    Raises:
        ValueError: The name is unknown, a size is below 1, or the bound is negative.
    """
    if name not in NAMES:
        raise ValueError(unknown_name("flow", name, list(NAMES)))
    check_at_least(1, flow_layers=layers, flow_hidden=hidden)
    check_at_least(0, flow_scale_bound=scale_bound)
    if name == "none":
        return NoFlow()
    return FlowStack(name, features, layers=layers, hidden=hidden, scale_bound=scale_bound)

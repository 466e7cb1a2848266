"""Estimators of the squared Frobenius norm of the decoder's Jacobian."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from .switches import ROUNDING

# Beside the summed squared error. The published weights belong to another quantity (RELEASED);
# this one was chosen on validation data from {1e-4, 1e-3, 1e-2, 1e-1}, see docs/tuning.md.
DEFAULT = 1e-4
# Beside the per-pixel mean, for the released penalty. CIFAR-10 was released with 0.
RELEASED = {"mnist": 5e-8, "cifar10": 0.0, "celeba": 1e-7}
STEP = 1e-2

Decoder = Callable[[Tensor], Tensor]


class GradientPenalty:
    """A weighted penalty on the decoder's sensitivity to its input.

    ``exact`` sums L forward-mode products; ``forward`` is |J u|^2 with u ~ N(0, I), unbiased and
    free of a second reverse pass; ``reverse`` is |J^T v|^2 with v ~ N(0, I), unbiased;
    ``finite-difference`` replaces J u by a difference quotient. ``released`` is the mean over
    code dimensions of (2 J^T G)^2, what the paper's code computes: another quantity.

    While training, batch-norm uses the batch's statistics here too, and counts the batch once: so
    J is that of the function trained, in which the samples of a batch interact a little, and the
    scale of a kernel before batch-norm does not matter. With the running statistics it would:
    the penalty, weak as it is, would shrink such kernels at every step, since nothing else pulls
    at their scale, faster than slow running statistics can follow.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), section 3.1.

    Args:
        kind: The estimator.
        dims: Values D of an image.
        latent: Size L of the code.
        preset: Data set whose published weight ``released`` takes.
        weight: Factor beside the summed squared error; a default where not given.

    Raises:
        ValueError: The estimator is unknown or the weight negative.
    """

    def __init__(
        self, kind: str, dims: int, latent: int, preset: str, weight: float | None
    ) -> None:
        if kind not in PENALTIES:
            raise ValueError(f"'penalty' is '{kind}'; expected one of: {', '.join(PENALTIES)}.")
        if weight is None:
            weight = RELEASED.get(preset, 0.0) * dims if kind == "released" else DEFAULT
        if weight < 0:
            raise ValueError(f"'gp' is {weight}; expected a number of at least 0.")
        self.kind = kind
        self.weight = weight

    def __call__(
        self, decoder: Decoder, backbone: nn.Module, z: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Returns the weighted penalty (B,) at codes z (B, L); the gradient reaches z too.

        In float32 also where the training rounds: a derivative has less precision to lose.
        """
        with batch_norm_without_record(backbone), ROUNDING.off():
            return self.weight * PENALTIES[self.kind](decoder, z, generator)


def forward_probe(decoder: Decoder, z: Tensor, generator: torch.Generator) -> Tensor:
    """Returns |J u|^2 for one draw u ~ N(0, I), (B,)."""
    u = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    return directional_square(decoder, z, u)


def directional_square(decoder: Decoder, z: Tensor, u: Tensor) -> Tensor:
    """Returns |J u|^2 (B,) by one forward-mode product."""
    return torch.func.jvp(decoder, (z,), (u,))[1].flatten(1).square().sum(1)


def reverse_probe(decoder: Decoder, z: Tensor, generator: torch.Generator) -> Tensor:
    """Returns |J^T v|^2 for one draw v ~ N(0, I), (B,)."""
    images, pullback = torch.func.vjp(decoder, z)[:2]
    v = torch.randn(images.shape, generator=generator, device=z.device, dtype=z.dtype)
    return pullback(v)[0].square().sum(1)


def pullback_square(decoder: Decoder, z: Tensor, v: Tensor) -> Tensor:
    """Returns |J^T v|^2 (B,) by one reverse-mode product, for given v (B, C, H, W)."""
    return torch.func.vjp(decoder, z)[1](v)[0].square().sum(1)


def finite_difference(decoder: Decoder, z: Tensor, generator: torch.Generator) -> Tensor:
    """Returns |G(z + h u) - G(z)|^2 / h^2 for one draw u ~ N(0, I), (B,)."""
    u = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    difference = decoder(z + STEP * u) - decoder(z)
    return difference.flatten(1).square().sum(1) / STEP**2


def exact(decoder: Decoder, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Returns |J|^2, (B,), from L forward-mode products."""
    units = torch.eye(z.shape[1], device=z.device, dtype=z.dtype)
    squares = [directional_square(decoder, z, unit.expand_as(z)) for unit in units]
    return torch.stack(squares).sum(0)


def released(decoder: Decoder, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Returns the mean over code dimensions of (2 J^T G)^2, (B,)."""
    images, pullback = torch.func.vjp(decoder, z)[:2]
    return pullback(2 * images)[0].square().mean(1)


PENALTIES: dict[str, Callable[[Decoder, Tensor, torch.Generator], Tensor]] = {
    "forward": forward_probe,
    "reverse": reverse_probe,
    "finite-difference": finite_difference,
    "exact": exact,
    "released": released,
}


@contextlib.contextmanager
def batch_norm_without_record(module: nn.Module) -> Iterator[None]:
    """Lets batch-norm layers in training use the batch's statistics inside and keep no record.

    They are computed step by step: torch's layer has no derivative of its forward mode by the
    statistics, and none of third order.
    """
    layers: list[nn.Module] = []
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.training:
            layers.append(layer)
            layers[-1].forward = partial(_batch_norm, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # The instance's; the class's shows again.


def _batch_norm(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Returns x (B, C, H, W) normalised by its own statistics, scaled and shifted."""
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
    normalised = (x - mean) * (variance + layer.eps).rsqrt()
    return normalised * layer.weight[:, None, None] + layer.bias[:, None, None]

"""Estimators of the squared Frobenius norm of the decoder's Jacobian."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ..checks import check_at_least, check_choice
from ..forward_mode import push_forward
from ..switches import ROUNDING

# Beside the summed squared error. The published weights belong to another quantity (RELEASED).
# This one was chosen on validation data from {1e-4, 1e-3, 1e-2, 1e-1}, see docs/tuning.md.
DEFAULT = 1e-4
# Chosen here, beside the sum over a sequence, for the Jacobian of the logits.
SEQUENCE_DEFAULT = 1e-3
# Beside the per-pixel mean, for the released penalty. CIFAR-10 was released with 0.
RELEASED = {"mnist": 5e-8, "cifar10": 0.0, "celeba": 1e-7}
STEP = 1e-2
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

Decoder = Callable[[Tensor], Tensor]
Penalised = tuple[Tensor, Tensor]  # images (B, C, H, W), penalty (B,)


class GradientPenalty:
    """A weighted penalty on the decoder's sensitivity to its input.

    With J the Jacobian of the decoder G at a code, the estimators of |J|^2 are:

    - ``exact``: the sum of L forward-mode products.
    - ``forward``: |J u|^2 with u ~ N(0, I). It is unbiased and needs no second reverse pass.
    - ``reverse``: |J^T v|^2 with v ~ N(0, I). It is unbiased.
    - ``finite-difference``: as ``forward``, with a difference quotient for J u.
    - ``released``: the mean over code dimensions of (2 J^T G)^2. This is what the paper's code
      computes, and another quantity.

    While training, batch-norm uses the batch's statistics here too, and counts the batch once.
    So J is that of the function which is trained, and the scale of a kernel before batch-norm
    does not matter. With the running statistics it would: nothing else pulls at that scale, and
    the penalty would shrink such kernels faster than the statistics can follow.

    Under the batch's statistics an image depends on every code of its batch, not on its own
    alone. Then ``forward`` and ``reverse`` are unbiased, in their sum over a batch, for the
    squared norm of the Jacobian of all images by all codes. ``exact`` is another quantity
    there: it moves all codes along the same unit vector, so the effects of several codes on an
    image add up or cancel before they are squared. Without batch-norm, and in evaluation, the
    three agree in expectation.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), section 3.1.

    Args:
        kind: The estimator.
        dims: Values D of an image.
        preset: Data set whose published weight ``released`` takes.
        weight: Factor beside the summed distortion; a default where not given.

    Raises:
        ValueError: The estimator is unknown, or the weight negative or needed.
    """

    def __init__(self, kind: str, dims: int, preset: str, weight: float | None) -> None:
        self.kind = check_choice("penalty", kind, PENALTIES)
        if weight is None:
            weight = _default(kind, dims, preset)
        check_at_least(0, gp=weight)
        self.weight = weight

    def __call__(
        self, decoder: Decoder, backbone: nn.Module, z: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Decodes codes z (B, L) and penalises; the gradient reaches z too.

        It runs in float32 also where the training computes in a reduced precision: a derivative
        has less precision to lose.

        Returns:
            The decoder's output (B, C, H, W) and the weighted penalty (B,).
        """
        with batch_norm_by_steps(backbone), ROUNDING.off():
            images, penalty = PENALTIES[self.kind](decoder, z, generator)
        return images, self.weight * penalty


def _default(kind: str, dims: int, preset: str) -> float:
    if kind != "released":
        return SEQUENCE_DEFAULT if preset == "sequence" else DEFAULT
    if preset == "sequence":
        raise ValueError("'gp' is not given; 'penalty' = 'released' has no weight for sequences.")
    return RELEASED.get(preset, 0.0) * dims


def forward_probe(decoder: Decoder, z: Tensor, generator: torch.Generator) -> Penalised:
    """Returns images and |J u|^2 for one draw u ~ N(0, I)."""
    return directional_square(decoder, z, _draw(z, generator))


def directional_square(decoder: Decoder, z: Tensor, u: Tensor) -> Penalised:
    """Returns images and |J u|^2, for given u (B, L), by one forward-mode product."""
    images, change = push_forward(decoder, z, u)
    return images, change.flatten(1).square().sum(1)


def reverse_probe(decoder: Decoder, z: Tensor, generator: torch.Generator) -> Penalised:
    """Returns images and |J^T v|^2 for one draw v ~ N(0, I)."""
    images, pulled = _pull_back(decoder, z, lambda images: _draw(images, generator))
    return images, pulled.square().sum(1)


def finite_difference(decoder: Decoder, z: Tensor, generator: torch.Generator) -> Penalised:
    """Returns images and |G(z + h u) - G(z)|^2 / h^2 for one draw u ~ N(0, I)."""
    images = decoder(z)
    difference = decoder(z + STEP * _draw(z, generator)) - images
    return images, difference.flatten(1).square().sum(1) / STEP**2


def exact(decoder: Decoder, z: Tensor, generator: torch.Generator | None = None) -> Penalised:
    """Returns images and |J|^2, from L forward-mode products."""
    units = torch.eye(z.shape[1], device=z.device, dtype=z.dtype)
    passes = [directional_square(decoder, z, unit.expand_as(z)) for unit in units]
    return passes[0][0], torch.stack([square for _, square in passes]).sum(0)


def released(decoder: Decoder, z: Tensor, generator: torch.Generator | None = None) -> Penalised:
    """Returns images and the mean over code dimensions of (2 J^T G)^2."""
    images, pulled = _pull_back(decoder, z, lambda images: 2 * images)
    return images, pulled.square().mean(1)


def _draw(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _pull_back(decoder: Decoder, z: Tensor, choose: Decoder) -> Penalised:
    """Returns images and J^T v with v = choose(images), (B, L), also where no graph is kept."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        # A leaf of its own where z has no graph, as in evaluation.
        codes = z if z.requires_grad else z.detach().requires_grad_()
        images = decoder(codes)
        (pulled,) = torch.autograd.grad(images, codes, choose(images), create_graph=keep)
    return (images, pulled) if keep else (images.detach(), pulled)


PENALTIES: dict[str, Callable[[Decoder, Tensor, torch.Generator], Penalised]] = {
    "forward": forward_probe,
    "reverse": reverse_probe,
    "finite-difference": finite_difference,
    "exact": exact,
    "released": released,
}


@contextlib.contextmanager
def batch_norm_by_steps(module: nn.Module) -> Iterator[None]:
    """Lets batch-norm layers in training count the batch once, however often they are called.

    Their output is computed from single operations. torch's own layer cannot be differentiated
    again after forward mode by the statistics, nor a third time.
    """
    layers: list[nn.Module] = []
    for layer in module.modules():
        if isinstance(layer, BatchNorm) and layer.training:
            layers.append(layer)
            # On the instance: hooks and the class stay as they are.
            layers[-1].forward = partial(_batch_norm, layer, [])
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # The instance's; the class's shows again.


def _batch_norm(layer: BatchNorm, counted: list[bool], x: Tensor) -> Tensor:
    """Returns x (B, C, ...) normalised by its own statistics, scaled and shifted."""
    if not counted:
        counted.append(True)
        # The layer's own pass, for its running statistics alone.
        with torch.no_grad():
            type(layer).forward(layer, forward_ad.unpack_dual(x).primal.detach())
    variance, mean = torch.var_mean(x, (0, *range(2, x.dim())), correction=0, keepdim=True)
    normalised = (x - mean) * (variance + layer.eps).rsqrt()
    if layer.weight is None:
        return normalised
    scale, shift = (p.view(-1, *[1] * (x.dim() - 2)) for p in (layer.weight, layer.bias))
    return normalised * scale + shift

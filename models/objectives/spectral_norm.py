"""Spectral normalisation that leaves the backbone's modules and keys as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..backbones.backbone import Backbone
from ..checks import check_choice

EPSILON = 1e-12
ENCODER, DECODER = ("encoder", "code"), ("decoder", "output")
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class SpectralNorm(nn.Module):
    """Divides each kernel by its largest singular value, tracked by power iteration.

    Weights are replaced for the length of a call, so the backbone's state keeps its keys. Each
    call takes one power step from the stored vectors and divides by the estimate there. `step`
    stores that step, once in each training step. The gradient flows through the kernel, not
    through the vectors.

    References:
        Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018),
        arXiv 1802.05957.

    Args:
        backbone: The networks to normalise.
        flattening: ``released`` flattens a transposed kernel (in, out, k, k) to in x rest, as
            the RAE paper's code does; ``torch`` groups by output channels.
        normalised: ``both`` networks or the ``decoder`` alone.

    Raises:
        ValueError: An option is unknown.
    """

    def __init__(self, backbone: Backbone, flattening: str, normalised: str) -> None:
        super().__init__()
        check_choice("flattening", flattening, ("released", "torch"))
        check_choice("normalised", normalised, ("both", "decoder"))
        parts = DECODER if normalised == "decoder" else ENCODER + DECODER
        # torch groups a transposed kernel (in, out, k, k) by its second axis.
        self.swapped = {
            f"{name}.weight": flattening == "torch" and isinstance(layer, nn.ConvTranspose2d)
            for name, layer in backbone.named_modules()
            if isinstance(layer, LAYERS) and name.startswith(parts)
        }
        for name in self.swapped:
            rows = len(self._matrix(backbone, name))
            self.register_buffer(_key(name), torch.randn(rows))

    @torch.no_grad()
    def step(self, backbone: Backbone) -> None:
        """Takes and stores one power step for every kernel."""
        for name in self.swapped:
            u = self.get_buffer(_key(name))
            u.copy_(power_step(self._matrix(backbone, name), u)[0])

    def call(self, backbone: Backbone, argument: Tensor, method: str) -> Tensor:
        """Returns the backbone's ``encode`` or ``decode`` under normalised weights."""
        wanted = ENCODER if method == "encode" else DECODER
        weights = {
            name: backbone.get_parameter(name) / self.sigma(backbone, name)
            for name in self.swapped
            if name.startswith(wanted)
        }
        return torch.func.functional_call(backbone, weights, (argument, method))

    def sigma(self, backbone: Backbone, name: str) -> Tensor:
        """Returns u' M v, an estimate of a kernel's largest singular value, a scalar.

        The vectors u and v are those of one power step from the stored one.
        """
        matrix = self._matrix(backbone, name)
        # Constants for the gradient: at the true singular vectors theirs vanishes.
        with torch.no_grad():
            u, v = power_step(matrix, self.get_buffer(_key(name)))
        return u @ matrix @ v

    def _matrix(self, backbone: Backbone, name: str) -> Tensor:
        return flatten_kernel(backbone.get_parameter(name), swapped=self.swapped[name])


def flatten_kernel(kernel: Tensor, *, swapped: bool) -> Tensor:
    """Returns the kernel as a matrix: first axis against the rest, or second axis if swapped."""
    return (kernel.transpose(0, 1) if swapped else kernel).flatten(1)


def power_step(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the next left and right vectors of the power iteration."""
    v = normalise(matrix.T @ u)
    return normalise(matrix @ v), v


def normalise(vector: Tensor) -> Tensor:
    """Returns the vector over its length, with 1e-12 added to the length."""
    return vector / (vector.norm() + EPSILON)


def _key(name: str) -> str:
    return "u_" + name.replace(".", "_")

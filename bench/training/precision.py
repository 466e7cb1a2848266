"""What a training computes in: float32, TF32 products, or trunks in bfloat16."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ...metrics.devices import products_in
from ...models.backbones.backbone import Backbone
from ...models.switches import ROUNDING


@contextlib.contextmanager
def computing_in(precision: str, backbone: Backbone) -> Iterator[None]:
    """Computes in the given precision inside; weights and gradients stay float32.

    ``float32`` is exact float32 on a GPU too. ``tf32`` lets a GPU round the factors of matrix
    products and convolutions to 10 bits. ``bfloat16`` runs the encoder's and the decoder's trunk
    under autocast, and the rest as ``tf32``: the code layer, the last layer, the objective's
    heads and flows, likelihood terms, log-determinants, the decoder under a gradient penalty, the
    MMD and all statistics.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(products_in(products_of(precision)))
        if precision == "bfloat16":
            stack.enter_context(_in_bfloat16(backbone))
        yield


def products_of(precision: str) -> str:
    """Returns what float32 products do in a precision, as `products_in` takes it."""
    return "ieee" if precision == "float32" else "tf32"


def lay_out(module: nn.Module, precision: str = "float32") -> None:
    """Lays kernels out as a GPU's convolutions read them fastest in a precision.

    ``float32`` stays as everything is built: that is the layout that models are evaluated in, so
    that a model just trained and one read from its file give the same numbers. A CPU keeps it in
    every precision.
    """
    if next(module.parameters()).device.type != "cpu":
        exact = precision == "float32"
        form = torch.contiguous_format if exact else torch.channels_last
        module.to(memory_format=form)


@contextlib.contextmanager
def _in_bfloat16(backbone: Backbone) -> Iterator[None]:
    trunks = {id(trunk): trunk for trunk in (backbone.encoder, backbone.decoder)}.values()
    device = next(backbone.parameters()).device.type
    for trunk in trunks:
        trunk.forward = _autocast(trunk.forward, device)
    try:
        yield
    finally:
        for trunk in trunks:
            del trunk.forward  # The instance's; the class's shows again.


def _autocast(forward: Callable[[Tensor], Tensor], device: str) -> Callable[[Tensor], Tensor]:
    def cast(inputs: Tensor) -> Tensor:
        if not ROUNDING:
            return forward(inputs)
        with torch.autocast(device, torch.bfloat16):
            features = forward(inputs)
        return features.to(inputs.dtype)

    return cast

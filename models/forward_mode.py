"""Jacobian-vector products of a network, pushed forward along with its value."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

LINEAR: frozenset[Any] = frozenset((F.linear, F.conv1d, F.conv2d, F.conv3d)) | frozenset(
    (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
)


def push_forward(
    function: Callable[[Tensor], Tensor], x: Tensor, u: Tensor
) -> tuple[Tensor, Tensor]:
    """Computes f(x) and J u in one pass; both can be differentiated.

    Args:
        function: f, row by row or not.
        x: Where, (B, ...).
        u: The direction, shaped as x.
    """
    load_rules()
    with forward_ad.dual_level(), _TangentsOfLinearLayers():
        value, tangent = forward_ad.unpack_dual(function(forward_ad.make_dual(x, u)))
    return value, value.new_zeros(value.shape) if tangent is None else tangent


@functools.cache
def load_rules() -> None:
    """Has torch load its rules of forward mode, and hides the warning about its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


class _TangentsOfLinearLayers(TorchFunctionMode):
    """Applies a layer that is linear in its input to value and tangent, and to no more.

    By itself torch also applies it to the input with the kernel's tangent in place of the
    kernel. That tangent is zero here, and the product takes as long again.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Calls ``function``; where it is such a layer, on value and tangent separately."""
        kwargs = kwargs or {}
        if function not in LINEAR or len(args) < 2:
            return function(*args, **kwargs)
        x, kernel, *rest = args
        value, tangent = forward_ad.unpack_dual(x)
        bias = rest[0] if rest else kwargs.get("bias")
        constant = all(
            p is None or forward_ad.unpack_dual(p).tangent is None for p in (kernel, bias)
        )
        if tangent is None or not constant:
            return function(*args, **kwargs)
        options = {k: v for k, v in kwargs.items() if k != "bias"}
        return forward_ad.make_dual(
            function(value, kernel, bias, *rest[1:], **options),
            # The bias is constant, so the tangent has none.
            function(tangent, kernel, None, *rest[1:], **options),
        )

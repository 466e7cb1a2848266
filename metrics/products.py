"""How a GPU computes float32 products: exactly, or with rounded factors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def set_products(precision: str) -> list[str]:
    """Sets what matrix products and convolutions of float32 values do; on a CPU nothing changes.

    Args:
        precision: ``ieee`` for float32, ``tf32`` for factors rounded to 10 bits.

    Returns:
        The settings before, of convolutions and of products.
    """
    return _set([precision] * 2)


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Does what `set_products` does, inside."""
    before = set_products(precision)
    try:
        yield
    finally:
        _set(before)


def _set(precisions: list[str]) -> list[str]:
    cudnn: Any = torch.backends.cudnn
    settings: list[Any] = [cudnn.conv, torch.backends.cuda.matmul]
    before = [setting.fp32_precision for setting in settings]
    for setting, precision in zip(settings, precisions, strict=True):
        setting.fp32_precision = precision
    return before

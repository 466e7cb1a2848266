"""How work is fitted to a device: batches that shrink, and exact or rounded float32 products."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")
LOGGER = logging.getLogger("aebench")
# torch's own words, on a CPU and a GPU, and the libraries' for work space that they cannot have.
# Where memory is short, their handles cannot be made either.
NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|"
    r"\b(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_\w*(ALLOC\w*_FAILED|NOT_INITIALIZED)\b"
)


def lacks_memory(error: BaseException) -> bool:
    """Says whether memory did not suffice, that of the GPU's libraries included.

    Example:
        >>> lacks_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x"))
        True
    """
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def in_batches(compute: Callable[[int, int], T], count: int, size: int) -> list[T]:
    """Returns what ``compute`` gives for consecutive ranges of ``count`` things.

    Where memory runs out, the range is tried again at half its size, and so are all after it.

    Args:
        compute: Called with the first index and the one after the last. It may be called again
            with a part of the same range, and so must not draw from a generator.
        count: How many things there are; 0 is one call with an empty range.
        size: Most things at once.

    Raises:
        RuntimeError: Memory does not suffice for a single one, see `lacks_memory`.

    Example:
        >>> in_batches(lambda start, stop: stop - start, 5, 2)
        [2, 2, 1]
    """
    done: list[T] = []
    start = 0
    while start < count or not done:
        stop = min(start + size, count)
        try:
            done.append(compute(start, stop))
        except (RuntimeError, MemoryError) as error:
            if stop - start <= 1 or not lacks_memory(error):
                raise
            size = (stop - start) // 2
        else:
            start = stop
            continue
        # Out of the handler, whose traceback kept the failed attempt's tensors alive.
        torch.cuda.empty_cache()
        _tell(size)
    return done


@functools.cache
def _tell(size: int) -> None:
    LOGGER.warning("aebench: out of memory; going on in batches of %d.", size)


def set_products(*precisions: str) -> list[str]:
    """Sets what a GPU does in convolutions and matrix products of float32 values.

    On a CPU nothing changes.

    Args:
        precisions: ``ieee`` for float32, ``tf32`` for factors rounded to 10 bits. Two values are
            for convolutions and for products; one is for both.

    Returns:
        The two settings before.
    """
    cudnn: Any = torch.backends.cudnn
    settings: list[Any] = [cudnn.conv, torch.backends.cuda.matmul]
    before = [setting.fp32_precision for setting in settings]
    for setting, precision in zip(settings, (*precisions, precisions[0]), strict=False):
        setting.fp32_precision = precision
    return before


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Does what `set_products` does, inside."""
    before = set_products(precision)
    try:
        yield
    finally:
        set_products(*before)

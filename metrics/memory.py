"""Work in batches that shrink where memory does not suffice."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
LOGGER = logging.getLogger("aebench")


def in_batches(compute: Callable[[int, int], T], count: int, size: int) -> list[T]:
    """Returns what ``compute`` gives for consecutive ranges of ``count`` things.

    Where memory runs out, the range is tried again at half its size, and so are all after it.

    Args:
        compute: Called with the first index and the one after the last; it may be called again
            with a part of the same range, and so must not draw from a generator.
        count: How many things there are; 0 is one call with an empty range.
        size: Most things at once.

    Raises:
        torch.OutOfMemoryError: Memory does not suffice for a single one.

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
        except torch.OutOfMemoryError:
            if stop - start <= 1:
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

"""What is computed once and asked for again: statistics of real images, and clusterings."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from .arrays import Features, blocks, to_numpy

T = TypeVar("T")


class Memory:
    """Results by what they follow from; the ones not asked for longest go first.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Returns the result under a key, computed where it is not kept."""
        if key not in self._known:
            self._known[key] = compute()
        self._known.move_to_end(key)
        found: T = self._known[key]
        if len(self._known) > self.most:
            self._known.popitem(last=False)
        return found


_MEMORY: ContextVar[Memory | None] = ContextVar("memory", default=None)


@contextmanager
def remembering(memory: Memory) -> Iterator[None]:
    """Makes scores of the same features share what they compute, inside."""
    token = _MEMORY.set(memory)
    try:
        yield
    finally:
        _MEMORY.reset(token)


def remembered(compute: Callable[[], T], name: str, *sets: Features, **settings: Hashable) -> T:
    """Returns a result that follows from sets of features and settings alone.

    Args:
        compute: What computes it.
        name: What it is.
        *sets: The features, whose content is the key.
        **settings: What else it depends on.
    """
    memory = _MEMORY.get()
    if memory is None:
        return compute()
    key = (name, *map(_digest, sets), *sorted(settings.items()))
    return memory.get(key, compute)


def _digest(features: Features) -> str:
    place = str(getattr(features, "device", "cpu"))
    digest = hashlib.sha256(f"{place} {features.dtype} {tuple(features.shape)}".encode())
    for _, block in blocks(features):
        digest.update(np.ascontiguousarray(to_numpy(block)).data)
    return digest.hexdigest()

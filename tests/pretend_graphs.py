"""Graphs of a GPU that is not there: a step is recorded as operations, and done again from them.

Where a recording fails, generators, memory pool and current stream are left as torch 2.11 leaves
them.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map


class Recording:
    """The operations of one step with the very tensors they read and write."""

    def __init__(self) -> None:
        self.failed = False
        self.steps: list[tuple[Any, ...]] = []
        self._before: dict[int, tuple[Any, Any]] = {}

    def note(self, function, args, kwargs) -> Any:
        """Does an operation, and keeps what it takes to do it again or to undo it."""
        for tensor in _written(function, args, kwargs):
            memory = tensor.untyped_storage()
            self._before.setdefault(memory.data_ptr(), (memory, memory.clone()))
        result = function(*args, **kwargs)
        if torch.Tag.inplace_view not in function.tags:
            # As the tensors are now: a shape may be changed in place later.
            self.steps.append((function, *_as_they_are(args, kwargs, result)))
        return result

    def undo(self) -> None:
        """Gives all that was written the values from before: a recording computes nothing."""
        for memory, values in self._before.values():
            memory.copy_(values)

    @torch.no_grad()
    def replay(self) -> None:
        """Does the operations again, without the code that led to them."""
        with _disable_current_modes():
            for function, args, kwargs, result in self.steps:
                again = function(*args, **kwargs)
                if not function._schema.is_mutable:
                    for old, new in zip(_tensors(result), _tensors(again), strict=True):
                        if old.data_ptr() != new.data_ptr():
                            old.copy_(new)


def arguments_written(function: Any, args: Any, kwargs: Any) -> list[Any]:
    """Returns the arguments that an operation changes."""
    found = []
    for position, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[position] if position < len(args) else None
            found.append(kwargs.get(argument.name, given))
    return found


def _written(function: Any, args: Any, kwargs: Any) -> list[Tensor]:
    return _tensors(arguments_written(function, args, kwargs))


def _as_they_are(*trees: Any) -> Any:
    return tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, trees)


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor) and not x._is_zerotensor()]


class _Graph:
    """Stands in for ``torch.cuda.CUDAGraph``."""

    def __init__(self, gpu: Any) -> None:
        self.gpu, self.recording = gpu, Recording()
        self.generators: list[Any] = []

    def register_generator_state(self, generator: Any) -> None:
        self.generators.append(generator)

    def replay(self) -> None:
        self.gpu.replays += 1
        self.recording.replay()


class _Stream:
    """Stands in for ``torch.cuda.Stream``."""

    device = torch.device("meta")

    def __init__(self, device: object = None) -> None:
        pass

    def wait_stream(self, other: _Stream) -> None:
        pass


class _Event:
    """Stands in for ``torch.cuda.Event``: work is done when it is asked for."""

    def __init__(self, *, enable_timing: bool) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.process_time()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: _Event) -> float:
        return 1000 * (end.at - self.at)


class Cuda:
    """Stands in for what of ``torch.cuda`` a recording needs, as in torch 2.11 where one fails."""

    Stream, Event = _Stream, _Event

    def __init__(self, gpu: Any) -> None:
        self.gpu = gpu
        self.CUDAGraph = functools.partial(_Graph, gpu)
        self.now = _Stream()
        self.default_generators = (gpu.default,)
        self.open_pools: set[tuple[int, int]] = set()

    def current_stream(self, device: object = None) -> _Stream:
        return self.now

    @contextlib.contextmanager
    def stream(self, stream: _Stream) -> Iterator[None]:
        before, self.now = self.now, stream
        try:
            yield
        finally:
            self.now = before

    def graph_pool_handle(self) -> tuple[int, int]:
        return (0, 1)

    def end_pool(self, device: int, pool: tuple[int, int]) -> None:
        if pool not in self.open_pools:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.open_pools.remove(pool)

    @contextlib.contextmanager
    def graph(
        self, graph: _Graph, *, pool: tuple[int, int], stream: _Stream, capture_error_mode: str
    ) -> Iterator[None]:
        if self.open_pools:
            raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")
        before, self.now = self.now, stream
        generators = [*graph.generators, self.gpu.default]
        states = [generator.get_state() for generator in generators]
        self.gpu.recording = graph.recording
        self.open_pools.add(pool)
        try:
            yield
        finally:
            self.gpu.recording = None
            graph.recording.undo()
            failed = graph.recording.failed
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)
                generator.stuck = failed
            if failed:  # Stream and pool are left as they are, too.
                raise torch.AcceleratorError(
                    "CUDA error: operation failed due to a previous error during capture"
                )
            self.open_pools.remove(pool)
            self.now = before

"""Training steps: taken one by one, or on a GPU replayed from a graph that was checked first."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .state import training_tensors

# Libraries choose their kernels and allocate their work space in the first steps, which a graph
# must not record.
WARM_UP = 3
# Of the change that a step makes: rounding alone lies far below, a lost term far above.
TOLERANCE = 0.05
EAGER = "AEBENCH_EAGER"
LOGGER = logging.getLogger("aebench")
Body = Callable[[], None]


class Recorder(Protocol):
    """Takes steps, and records one so that it can be replayed."""

    def take(self, body: Body) -> None:
        """Carries out a step."""
        ...

    def record(self, body: Body, generator: torch.Generator) -> Body:
        """Returns what carries out a step again without the host's part of it.

        Raises:
            RuntimeError: The step holds something that cannot be recorded.
        """
        ...


class CudaGraphs:
    """Records a step as a CUDA graph; the steps before are taken on a stream of its own for it."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.index = self.stream.device.index or 0

    def take(self, body: Body) -> None:
        """Carries out a step on the stream."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            body()
        current.wait_stream(self.stream)

    def record(self, body: Body, generator: torch.Generator) -> Body:
        """Returns the replay of one step.

        Raises:
            RuntimeError: The step waits for the device or cannot be recorded otherwise.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        graph.register_generator_state(generator)
        # Other threads, such as the progress bar's, do not touch what is recorded.
        mode = "thread_local"
        try:
            # The outer block puts the current stream back also where the inner one fails.
            with (
                torch.cuda.stream(self.stream),
                torch.cuda.graph(graph, pool=pool, stream=self.stream, capture_error_mode=mode),
            ):
                body()
        except BaseException:
            self._recover(generator, pool)
            raise
        return graph.replay

    def _recover(self, generator: torch.Generator, pool: tuple[int, int]) -> None:
        """Ends by hand what torch 2.11 leaves open where a recording fails."""
        for stuck in (generator, torch.cuda.default_generators[self.index]):
            # A copy is not in recording mode; the old state goes with the graph.
            stuck.graphsafe_set_state(stuck.clone_state())
        # Refused where the pool was closed after all.
        with contextlib.suppress(RuntimeError):
            torch._C._cuda_endAllocateToPool(self.index, pool)
            torch._C._cuda_releasePool(self.index, pool)


class Engine:
    """Carries out the steps of one training.

    With a recorder, the first steps are taken one by one; then one step is taken, undone,
    recorded and replayed. Only a replay that changes the state as the step did is used for the
    rest; otherwise steps go on one by one, and a warning says why.

    Args:
        body: One step; it reads and changes tensors of fixed address alone.
        state: Returns all tensors that a step changes, by name.
        generator: The source of all noise in a step.
        recorder: How steps are recorded; None takes every step by itself.

    Attributes:
        replay: The recorded step, once there is one.
        refused: Why steps are not replayed although there is a recorder; empty if they are.
    """

    def __init__(
        self,
        body: Body,
        state: Callable[[], dict[str, Tensor]],
        generator: torch.Generator,
        recorder: Recorder | None = None,
    ) -> None:
        self.body, self.state, self.generator = body, state, generator
        self.recorder = recorder
        self.replay: Body | None = None
        self.refused = ""
        self._taken = 0

    def step(self) -> None:
        """Carries out one step."""
        if self.replay is not None:
            self.replay()
        elif self.recorder is None:
            self.body()
        elif self.refused or self._taken < WARM_UP:
            self.recorder.take(self.body)
            self._taken += 1
        else:
            self._record(self.recorder)

    def forget(self) -> None:
        """Drops the recorded step and its memory; a further step is recorded anew."""
        self.replay = None

    def _record(self, recorder: Recorder) -> None:
        before = self._copy()
        places = self._places()
        recorder.take(self.body)
        # The step is taken, undone and done again by the replay: only so can both be compared.
        after = self._copy()
        self._put_back(before)
        try:
            with _no_collection():
                replay = recorder.record(self.body, self.generator)
            replay()
            self.refused = self._objection(before, after, places)
        except (RuntimeError, ValueError, FloatingPointError) as error:
            first = _first_cause(error)
            self.refused = str(first).partition("\n")[0] or repr(first)
        if not self.refused:
            self.replay = replay
            return
        self._put_back(after)
        LOGGER.warning(
            "aebench: training steps are not replayed from a graph but taken one by one, which "
            "is slower: %s",
            self.refused,
        )

    def _copy(self) -> tuple[dict[str, Tensor], Tensor]:
        return {k: v.clone() for k, v in self.state().items()}, self.generator.get_state()

    def _places(self) -> dict[str, int]:
        return {name: value.data_ptr() for name, value in self.state().items()}

    @torch.no_grad()
    def _put_back(self, saved: tuple[dict[str, Tensor], Tensor]) -> None:
        values, noise = saved
        for name, value in self.state().items():
            value.copy_(values[name])
        self.generator.set_state(noise)

    def _objection(
        self,
        before: tuple[dict[str, Tensor], Tensor],
        after: tuple[dict[str, Tensor], Tensor],
        places: dict[str, int],
    ) -> str:
        """Returns what the replay did otherwise than the step; empty if nothing."""
        if self._places() != places:
            moved = [name for name, place in self._places().items() if places.get(name) != place]
            return f"a step puts a new tensor in the place of '{moved[0]}'."
        if not torch.equal(self.generator.get_state(), after[1]):
            return "the replay draws another amount of noise than the step."
        for group, names in _groups(after[0]).items():
            now = self.state()
            wanted, old = _joined(after[0], names), _joined(before[0], names)
            off = float((_joined(now, names) - wanted).norm())
            change = float((wanted - old).norm())
            if not off <= TOLERANCE * change:
                return (
                    f"the replay leaves '{group}' {off:.3g} away from where the step left it, "
                    f"after a change of {change:.3g}."
                )
        return ""


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps Python from collecting garbage inside: freeing a graph would end a recording."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _first_cause(error: BaseException) -> BaseException:
    """Returns the error that led to an error: the end of a failed recording fails as well."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _groups(values: dict[str, Tensor]) -> dict[str, list[str]]:
    """Returns names by kind: what is before the first dot, with what follows the last number.

    Values of one kind are compared together: a weight whose gradient is rounding noise alone, as
    that of a bias before a batch-norm, moves by as much as others, and each time elsewhere.
    """
    groups: dict[str, list[str]] = {}
    for name in values:
        kind, _, rest = name.partition(".")
        last = rest.rpartition(".")[2] if kind == "optimiser" else ""
        groups.setdefault(f"{kind} {last}".strip(), []).append(name)
    return groups


def _joined(values: dict[str, Tensor], names: list[str]) -> Tensor:
    return torch.cat([values[name].double().flatten() for name in names])


def recorder_for(device: torch.device) -> Recorder | None:
    """Returns how steps are recorded on a device; None on a CPU and where it was declined."""
    if device.type == "cpu" or os.environ.get(EAGER):
        return None
    return CudaGraphs(device)


def driven(body: Body, module: nn.Module, optimiser: Optimizer, noise: torch.Generator) -> Body:
    """Returns what carries out a training's step: a replay on a GPU, the step itself elsewhere.

    Args:
        body: One step; see `Engine`.
        module: What it trains.
        optimiser: What it trains with.
        noise: The source of all its noise, on the device that it is trained on.
    """
    tensors = functools.partial(training_tensors, module, optimiser)
    return Engine(body, tensors, noise, recorder_for(noise.device)).step


def decline_graphs() -> None:
    """Takes steps one by one on a GPU, here and in the processes started from here."""
    os.environ[EAGER] = "1"

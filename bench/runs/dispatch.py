"""How runs are carried out: in this process, in several on this machine, or on a cluster.

A run needs its request alone and leaves nothing but its directory, so a dispatcher has to
implement no more than `Dispatcher`.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import RunFailed, UserError, one_line
from ..files.locking import LOCK, held
from ..interruption import check_stop
from .plugins import failure_of_plugin

if TYPE_CHECKING:
    from pathlib import Path

    from .request import Request

LOGGER = logging.getLogger("aebench")
BUSY_SECONDS = 2.0  # Until a run held elsewhere is tried again.
POLL_SECONDS = 0.1
DEATHS = 3
DETERMINISTIC = "AEBENCH_DETERMINISTIC"


@dataclass(frozen=True)
class Event:
    """Something a run tells while it goes on: a stage, or a step with loss and rate."""

    digest: str
    stage: str
    step: int = 0
    loss: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True)
class Done:
    """How a run ended: its outcome, or the error that ended it."""

    request: Request
    outcome: str
    error: Exception | None = None


class Dispatcher(Protocol):
    """Carries out requests and yields how each ended."""

    def map(self, requests: Sequence[Request], listen: Callable[[Event], None]) -> Iterator[Done]:
        """Yields one `Done` for each request, in any order."""
        ...


class InProcess:
    """One run after the other, here."""

    def map(self, requests: Sequence[Request], listen: Callable[[Event], None]) -> Iterator[Done]:
        """Yields one `Done` for each request; a run held elsewhere is tried again later."""
        waiting = Waiting(requests, {})
        while waiting:
            check_stop()
            if (request := waiting.take()) is None:  # All that is left is held elsewhere.
                time.sleep(POLL_SECONDS)
            elif done := waiting.settle(carry_out(request, listen)):
                yield done


class Deaths:
    """Counts how often each run lost what carried it out.

    Args:
        most: From which count on it has failed.
        told: What is said then.
    """

    def __init__(
        self,
        most: int = DEATHS,
        told: str = f"its process died {DEATHS} times, perhaps for lack of memory.",
    ) -> None:
        self._most, self._told = most, told
        self._counts: Counter[Path] = Counter()

    def count(self, request: Request) -> Done | None:
        """Counts one; returns the run's failure if it was the last that is allowed."""
        self._counts[request.folder] += 1
        if self._counts[request.folder] < self._most:
            return None
        return Done(request, "failed", RunFailed(self._told))


class Waiting:
    """Runs that are to be carried out, and those that have to be once more.

    Args:
        requests: The runs.
        limits: What counts the losses of each kind, by the outcome that tells of one.
    """

    def __init__(self, requests: Sequence[Request], limits: Mapping[str, Deaths]) -> None:
        self._runs = deque((0.0, request) for request in requests)
        self._limits = limits
        self._told: set[Path] = set()

    def __bool__(self) -> bool:
        return bool(self._runs)

    def take(self) -> Request | None:
        """Returns the next run if its time has come."""
        if self._runs and self._runs[0][0] <= time.monotonic():
            return self._runs.popleft()[1]
        return None

    def settle(self, done: Done) -> Done | None:
        """Returns how a run has ended; none where it waits for another try."""
        if done.outcome == "busy":
            self._tell(done.request)
            self._runs.append((time.monotonic() + BUSY_SECONDS, done.request))
            return None
        if done.outcome not in self._limits:
            return done
        last = self._limits[done.outcome].count(done.request)
        if last is None:
            self._runs.appendleft((0.0, done.request))
        return last

    def _tell(self, request: Request) -> None:
        """Warns once of a run that another process holds: its lock may be one left over."""
        if request.folder in self._told:
            return
        self._told.add(request.folder)
        told = f"run '{request.config.label}' waits for another process, which holds "
        told += f"'{request.folder / LOCK}'; delete this file only if no other is at work."
        LOGGER.warning("aebench: %s", one_line(told))


def carry_out(request: Request, listen: Callable[[Event], None]) -> Done:
    """Executes one run here and returns how it ended.

    Raises:
        Stopped: A stop was asked for.
    """
    from ...metrics.devices import lacks_memory
    from .runner import Run

    digest = request.config.digest
    try:
        for plugin in request.plugins:
            plugin.load()
        with held(request.folder) as mine:
            if not mine:
                return Done(request, "busy")
            outcome = (request.opened() or Run(request)).execute(
                lambda stage: listen(Event(digest, stage)),
                lambda p: listen(Event(digest, "training", p.step, p.loss, p.rate)),
            )
        return Done(request, outcome)
    except (UserError, RunFailed) as error:
        return Done(request, "failed", error)
    except OSError as error:
        where = f" '{error.filename}'" if error.filename else ""
        return Done(request, "failed", RunFailed(f"{error.strerror or error}{where}."))
    except Exception as error:
        if isinstance(error, RuntimeError | MemoryError) and lacks_memory(error):
            told = f"out of memory on {request.device}; use a smaller batch or fewer workers."
            return Done(request, "failed", RunFailed(told))
        if told := failure_of_plugin(error):
            return Done(request, "failed", UserError(told))
        raise


def set_up_torch() -> None:
    """Sets this process's threads, exact float32 products, determinism where it is asked for."""
    import torch
    from threadpoolctl import threadpool_limits

    from ...metrics.devices import set_products

    torch.set_num_threads(threads())
    threadpool_limits(threads())  # Of the libraries that are loaded.
    os.environ["OMP_NUM_THREADS"] = str(threads())  # Others read it when they load.
    set_products("ieee")
    if os.environ.get(DETERMINISTIC):
        ask_for_determinism()
        torch.use_deterministic_algorithms(True)


def ask_for_determinism() -> None:
    """Asks for deterministic algorithms, here and in the processes started from here."""
    os.environ[DETERMINISTIC] = "1"
    # cuBLAS reads it when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def threads() -> int:
    """Returns the threads of one run on a CPU: ``OMP_NUM_THREADS``, or 1.

    The count changes the last digits of results, so it depends on neither the number of
    workers nor of cores; several runs side by side use the cores instead.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else 1

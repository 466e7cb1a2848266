"""How runs are carried out: in this process, or in several on this machine.

A run needs its request alone and leaves nothing but its directory, so another dispatcher, over
several machines, has to implement no more than `Dispatcher`.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from .interruption import Stopped, check_stop, install_handlers, stop_requested

if TYPE_CHECKING:
    from .runner import Request

POLL_SECONDS = 0.2
BUSY_SECONDS = 2.0
ATTEMPTS = 3
_QUEUE: SimpleQueue[Any] | None = None


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
        """Yields one `Done` for each request; a run that another process holds comes last."""
        waiting = list(requests)
        while waiting:
            check_stop()
            request = waiting.pop(0)
            done = carry_out(request, listen)
            if done.outcome == "busy":
                waiting.append(request)
                if all_busy(waiting, request):
                    time.sleep(BUSY_SECONDS)
                continue
            yield done


class Processes:
    """Several runs at once, each in a process of its own with its own share of threads.

    A process that dies takes its run with it; the run goes on from its saved state, at most
    three times.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, requests: Sequence[Request], listen: Callable[[Event], None]) -> Iterator[Done]:
        """Yields one `Done` for each request."""
        context = multiprocessing.get_context("spawn")
        queue = context.SimpleQueue()
        waiting = list(requests)
        attempts = dict.fromkeys((r.folder for r in requests), 0)
        while waiting:
            pool = ProcessPoolExecutor(self.workers, context, _start_worker, (queue,))
            running: dict[Future[Done], Request] = {}
            try:
                for request in waiting:
                    running[pool.submit(_work, request)] = request
                waiting = []
                for done in _collect(pool, running, queue, listen):
                    if done.outcome == "busy":
                        waiting.append(done.request)
                    elif isinstance(done.error, BrokenProcessPool):
                        attempts[done.request.folder] += 1
                        if attempts[done.request.folder] < ATTEMPTS:
                            waiting.append(done.request)
                        else:
                            yield done
                    else:
                        yield done
            finally:
                _stop(pool)
            check_stop()
            if waiting:
                time.sleep(BUSY_SECONDS)


def carry_out(request: Request, listen: Callable[[Event], None]) -> Done:
    """Executes one run here and returns how it ended.

    Raises:
        Stopped: A stop was asked for.
    """
    from .errors import RunFailed, UserError
    from .locking import held
    from .runner import Run

    digest = request.config.digest
    try:
        with held(request.folder) as mine:
            if not mine:
                return Done(request, "busy")
            outcome = Run(request).execute(
                lambda stage: listen(Event(digest, stage)),
                lambda p: listen(Event(digest, "training", p.step, p.loss, p.rate)),
            )
        return Done(request, outcome)
    except (UserError, RunFailed, OSError) as error:
        return Done(request, "failed", error)


def all_busy(waiting: Sequence[Request], last: Request) -> bool:
    """Returns whether nothing but runs held elsewhere is left."""
    return len(waiting) == 1 or waiting[0] is last


def threads() -> int:
    """Returns the threads of one run on a CPU: ``OMP_NUM_THREADS``, or 1.

    The count changes the last digits of results, so it depends on neither the number of
    workers nor of cores; several runs side by side use the cores instead.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else 1


def _start_worker(queue: SimpleQueue[Any]) -> None:
    global _QUEUE
    _QUEUE = queue
    install_handlers()
    import torch

    torch.set_num_threads(threads())


def _work(request: Request) -> Done:
    def tell(event: Event) -> None:
        if _QUEUE is not None:
            _QUEUE.put(event)

    try:
        check_stop()
        return carry_out(request, tell)
    except Stopped as error:
        return Done(request, "stopped", error)


def _collect(
    pool: ProcessPoolExecutor,
    running: dict[Future[Done], Request],
    queue: SimpleQueue[Any],
    listen: Callable[[Event], None],
) -> Iterator[Done]:
    left = set(running)
    while left:
        finished, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        while not queue.empty():
            listen(queue.get())
        if stop_requested():
            _stop(pool)
            raise Stopped
        for future in finished:
            error = future.exception()
            if error is None:
                done = future.result()
                if done.outcome == "stopped":
                    _stop(pool)
                    raise Stopped
                yield done
            elif isinstance(error, Exception):
                if not isinstance(error, BrokenProcessPool):
                    raise error
                yield Done(running[future], "failed", error)


def _stop(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    if stop_requested():
        for process in processes:
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)

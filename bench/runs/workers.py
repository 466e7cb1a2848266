"""Several runs at once on this machine, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ..errors import RunFailed
from ..interruption import Stopped, check_stop, install_in_worker, signals_held_back
from .dispatch import BUSY_SECONDS, Done, Event, carry_out, set_up_torch

if TYPE_CHECKING:
    from .request import Request

POLL_SECONDS = 0.1
DEATHS = 3
_TO_PARENT: Connection | None = None


class Processes:
    """Carries out several runs at once.

    A process that dies takes its run with it, and no other; the run goes on from its saved
    state in a new process, until three have died of it.

    Args:
        workers: Count of processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, requests: Sequence[Request], listen: Callable[[Event], None]) -> Iterator[Done]:
        """Yields one `Done` for each request; a run held elsewhere is tried again later."""
        waiting = deque((0.0, request) for request in requests)
        deaths = dict.fromkeys((r.folder for r in requests), 0)
        # A pool for each worker: one process that dies breaks its own pool and no other run.
        workers = [Worker() for _ in range(self.workers)]
        try:
            while waiting or any(worker.request for worker in workers):
                check_stop()
                _give_out(waiting, workers)
                for done in _collect(workers, listen):
                    if done.outcome == "busy":
                        waiting.append((time.monotonic() + BUSY_SECONDS, done.request))
                        continue
                    if isinstance(done.error, BrokenProcessPool):
                        deaths[done.request.folder] += 1
                        if deaths[done.request.folder] < DEATHS:
                            waiting.appendleft((0.0, done.request))
                            continue
                        told = f"its process died {DEATHS} times, perhaps for lack of memory."
                        done = Done(done.request, "failed", RunFailed(told))
                    yield done
        finally:
            for worker in workers:
                worker.signal()
            for worker in workers:
                worker.end()


class Worker:
    """One process that carries out one run at a time."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.future: Future[Done] | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._events: Connection | None = None

    def start(self, request: Request) -> None:
        """Gives the process a run; starts the process if there is none."""
        with signals_held_back():
            if self._pool is None:
                # Not by fork: torch's threads and a GPU do not survive it.
                context = multiprocessing.get_context("spawn")
                self._events, sender = context.Pipe(duplex=False)
                self._pool = ProcessPoolExecutor(1, context, _start_worker, (sender,))
            self.future = self._pool.submit(_work, request)
        self.request = request

    def pass_on(self, listen: Callable[[Event], None]) -> None:
        """Passes on what the run has told."""
        with contextlib.suppress(EOFError, OSError):
            while self._events is not None and self._events.poll():
                listen(self._events.recv())

    def take_end(self) -> Done | None:
        """Returns how the run ended, once; nothing while it goes on.

        Raises:
            Stopped: The run was stopped.
        """
        if self.future is None or self.request is None or not self.future.done():
            return None
        request, future = self.request, self.future
        self.request, self.future = None, None
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self.end()
            return Done(request, "failed", error)
        done = future.result()
        if done.outcome == "stopped":
            raise Stopped
        return done

    def signal(self) -> None:
        """Asks the process to stop; its run saves its state."""
        for process in ((self._pool and self._pool._processes) or {}).values():
            process.terminate()

    def end(self) -> None:
        """Waits for the end of the process."""
        if self._events is not None:
            self._events.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self._events = None, None


def _give_out(waiting: deque[tuple[float, Request]], workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker.request is None and waiting and waiting[0][0] <= time.monotonic():
            worker.start(waiting.popleft()[1])


def _collect(workers: Sequence[Worker], listen: Callable[[Event], None]) -> Iterator[Done]:
    futures = [worker.future for worker in workers if worker.future is not None]
    if futures:
        wait(futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
    else:
        time.sleep(POLL_SECONDS)
    for worker in workers:
        worker.pass_on(listen)
        done = worker.take_end()
        if done is not None:
            yield done


def _start_worker(to_parent: Connection) -> None:
    global _TO_PARENT
    _TO_PARENT = to_parent
    install_in_worker()
    set_up_torch()


def _work(request: Request) -> Done:
    def tell(event: Event) -> None:
        if _TO_PARENT is not None:
            with contextlib.suppress(OSError):
                _TO_PARENT.send(event)

    try:
        check_stop()
        return carry_out(request, tell)
    except Stopped as error:
        return Done(request, "stopped", error)

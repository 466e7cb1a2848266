"""Several runs at once on this machine, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, cast

from ..interruption import Stopped, check_stop, install_in_worker, signals_held_back
from .dispatch import POLL_SECONDS, Deaths, Done, Event, Waiting, carry_out, set_up_torch

if TYPE_CHECKING:
    from .request import Request

DIED = "died"


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
        waiting = Waiting(requests, {DIED: Deaths()})
        workers = [Worker() for _ in range(self.workers)]
        try:
            while waiting or any(worker.request for worker in workers):
                check_stop()
                _give_out(waiting, workers)
                for told in _collect(workers, listen):
                    if done := waiting.settle(told):
                        yield done
        finally:
            for worker in workers:
                worker.signal()
            for worker in workers:
                worker.end()


class Worker:
    """One process that carries out one run at a time; a new one takes the place of a dead one."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.connection: Connection | None = None
        self._process: BaseProcess | None = None

    def start(self, request: Request) -> None:
        """Gives the process a run; starts the process if there is none."""
        if self._process is not None and not self._process.is_alive():
            self.end()
        if self._process is None:
            # Not by fork: torch's threads and a GPU do not survive it.
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,))
            with signals_held_back():
                self._process.start()
            theirs.close()  # So that its end here is told when the process dies.
        self.request = request
        with contextlib.suppress(OSError):  # It died just now; `take_end` tells.
            if self.connection is not None:
                self.connection.send(request)

    def take_end(self, listen: Callable[[Event], None]) -> Done | None:
        """Passes on what the run has told; returns how it ended, once, and nothing before.

        Raises:
            Stopped: The run was stopped, as was asked for here.
            Exception: A bug, as the run met it.
        """
        if self.request is None:
            return None
        while isinstance(told := self._told(self.request), Event):
            listen(told)
        if told is None:
            return None
        self.request = None
        if isinstance(told, Exception):
            raise told
        if told.outcome == "stopped":
            check_stop()
            told = Done(told.request, DIED)  # It alone was told to end.
        if told.outcome == DIED:
            self.end()
        return told

    def _told(self, request: Request) -> Event | Done | Exception | None:
        if self.connection is None or self._process is None:
            return None
        alive = self._process.is_alive()  # Asked first: what it told before its end is there.
        try:
            if self.connection.poll():
                return cast("Event | Done | Exception", self.connection.recv())
        except (EOFError, OSError):
            alive = False
        return None if alive else Done(request, DIED)

    def signal(self) -> None:
        """Asks the process to stop; its run saves its state."""
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Waits for the end of the process."""
        if self.connection is not None:
            self.connection.close()  # An idle process ends by it.
        if self._process is not None:
            self._process.join()
        self._process, self.connection = None, None


def _give_out(waiting: Waiting, workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker.request is None and (request := waiting.take()):
            worker.start(request)


def _collect(workers: Sequence[Worker], listen: Callable[[Event], None]) -> Iterator[Done]:
    busy = [w.connection for w in workers if w.request is not None and w.connection is not None]
    if busy:
        wait(busy, timeout=POLL_SECONDS)
    else:
        time.sleep(POLL_SECONDS)
    for worker in workers:
        done = worker.take_end(listen)
        if done is not None:
            yield done


def _serve(parent: Connection) -> None:
    """Carries out what the parent sends, until it closes the connection."""
    install_in_worker()
    set_up_torch()
    with contextlib.suppress(EOFError, OSError):
        while True:
            request = parent.recv()
            parent.send(work(request, partial(_tell, parent)))


def _tell(parent: Connection, event: Event) -> None:
    with contextlib.suppress(OSError):  # The parent is stopping.
        parent.send(event)


def work(request: Request, tell: Callable[[Event], None]) -> Done | Exception:
    """Returns how a run ended in a worker's process: ``stopped``, too, or the bug that it met."""
    try:
        check_stop()
        return carry_out(request, tell)
    except Stopped:
        return Done(request, "stopped")
    except Exception as error:
        error.add_note(traceback.format_exc())  # A traceback does not cross processes.
        return error

"""A clean stop on SIGINT and SIGTERM: the running step ends, the state is saved."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import parent_process, resource_tracker
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_REQUESTED = threading.Event()


class Stopped(Exception):
    """The user asked for a stop; what was done so far is saved."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into a request that `stop_requested` shows, inside the block.

    Outside of the main thread, which alone may have handlers, signals do what they did before.
    """
    _REQUESTED.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _request) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _REQUESTED.clear()  # What comes later in this process was not asked to stop.


def install_in_worker() -> None:
    """Turns the signals into requests, and ends this process when its parent is gone."""
    _REQUESTED.clear()
    for number in SIGNALS:
        signal.signal(number, _request)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Delays both signals to the end of the block; a process started inside inherits that.

    So a new worker cannot be hit before it has its handlers.
    """
    resource_tracker.ensure_running()  # Else its start inside would lift the delay.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def stop_requested() -> bool:
    """Returns whether a stop was asked for."""
    return _REQUESTED.is_set()


def check_stop() -> None:
    """Raises Stopped if a stop was asked for."""
    if stop_requested():
        raise Stopped


def _request(number: int, frame: FrameType | None) -> None:
    _REQUESTED.set()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

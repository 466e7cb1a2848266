"""A clean stop on SIGINT and SIGTERM: the running step ends, the state is saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_REQUESTED = threading.Event()


class Stopped(Exception):
    """The user asked for a stop; what was done so far is saved."""


def install_handlers() -> None:
    """Turns SIGINT and SIGTERM into a request that `stop_requested` shows."""
    _REQUESTED.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _request)


def stop_requested() -> bool:
    """Returns whether a stop was asked for."""
    return _REQUESTED.is_set()


def check_stop() -> None:
    """Raises Stopped if a stop was asked for."""
    if stop_requested():
        raise Stopped


def _request(number: int, frame: FrameType | None) -> None:
    _REQUESTED.set()

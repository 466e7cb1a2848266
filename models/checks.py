"""When checks of values, for which the host waits for the device, are left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_ON: ContextVar[bool] = ContextVar("checks of values", default=True)


def checked() -> bool:
    """Returns whether values are to be checked; so it is outside `unchecked`."""
    return _ON.get()


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Leaves out checks of values inside: of data known to be whole, before a later check."""
    token = _ON.set(False)
    try:
        yield
    finally:
        _ON.reset(token)

"""Where networks may compute in a reduced precision, and where not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_ALLOWED: ContextVar[bool] = ContextVar("reduced precision", default=True)


def may_round() -> bool:
    """Returns whether a trunk may compute in a reduced precision; so it is outside `unrounded`."""
    return _ALLOWED.get()


@contextlib.contextmanager
def unrounded() -> Iterator[None]:
    """Keeps trunks in float32 inside, whatever the training computes in."""
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)

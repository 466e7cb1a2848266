"""What a caller may turn off for the length of a block: on everywhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar


class Switch:
    """True, except inside `off`; each thread has its own.

    Args:
        name: What it turns off, for the record.
    """

    def __init__(self, name: str) -> None:
        self._on: ContextVar[bool] = ContextVar(name, default=True)

    def __bool__(self) -> bool:
        return self._on.get()

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Turns it off inside."""
        token = self._on.set(False)
        try:
            yield
        finally:
            self._on.reset(token)


# Checks of values make the host wait for the device. They are off for data known to be whole,
# and while a step is taken whose terms are checked afterwards.
VALUE_CHECKS = Switch("checks of values")
# Whether a backbone may compute in the training's reduced precision.
ROUNDING = Switch("reduced precision")

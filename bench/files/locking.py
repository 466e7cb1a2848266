"""One process at a time for each run directory."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UserError
from .storage import remove_leftovers

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Holds the run's lock; yields False at once if another process has it.

    The operating system releases the lock of a process that dies; what it had half written is
    removed here.

    Raises:
        UserError: The folder cannot be written.
        OSError: The disk is full.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UserError(
            f"Output folder '{folder}' cannot be written: {error.strerror}. "
            "Name another with --out."
        ) from error
    try:
        remove_leftovers(folder)
        yield True
    finally:
        lock.release()

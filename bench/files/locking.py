"""One process at a time for each run directory."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UserError
from .storage import remove_leftovers

FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK = ".lock"
HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Holds the run's lock; yields False at once if another process has it.

    The operating system releases the lock of a process that dies; what it had half written is
    removed here.

    Raises:
        UserError: The folder cannot be written, or knows no locks.
        OSError: The disk is full.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except NotImplementedError as error:  # Of a filelock that has no other way.
        raise UserError(
            f"Output folder '{folder}' is on a file system without locks; name another with "
            "--out, or use a newer filelock: pip install -U filelock"
        ) from error
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


def is_held(folder: Path) -> bool | None:
    """Returns whether a process holds a run's lock, here or on another machine; none if unknown.

    A shared lock is asked for and given back at once. Nothing is written, other watchers do not
    notice, and a worker that arrives in that instant takes the run at its next try.
    """
    try:
        import fcntl

        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in HELD else None
    finally:
        os.close(descriptor)
    return False

"""Files that are whole or absent: written beside their place, flushed, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import tempfile
import zlib
from pathlib import Path

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_LEFTOVER = re.compile(r"\..+\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)\.[^.]+\.part")


def write_atomically(path: Path, data: bytes | str) -> None:
    """Writes ``data`` to ``path`` so that a reader sees the old content or all of the new.

    What killed writers of this machine left half written in the folder is removed.

    Raises:
        OSError: The folder cannot be written or the disk is full; ``path`` is then unchanged.
    """
    content = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    writer = f"{_host()}-{os.getpid()}"
    # In the same folder, since a rename is atomic within one file system only.
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.{writer}.", suffix=".part"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            # Else a power failure could leave the new name with no content.
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def canonical_json(value: object) -> str:
    """Returns ``value`` as JSON that is equal for equal values: sorted keys, no spaces."""
    return _CANONICAL.encode(value)


def remove_leftovers(folder: Path) -> None:
    """Removes what killed writers of this machine left half written directly in a folder."""
    for path in folder.glob(".*.part"):
        found = _LEFTOVER.fullmatch(path.name)
        if found and found["host"] == _host() and not _alive(int(found["process"])):
            with contextlib.suppress(OSError):
                path.unlink()


def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


# The rename itself is safe only once the folder is on the disk; some systems cannot do that.
def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)

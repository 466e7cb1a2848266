"""The command line; heavy libraries are imported by the sub-commands that use them."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from types import FrameType

from ...models.registry import UnknownName
from ..errors import RunFailed, UserError, one_line

COMMANDS = (
    *("list", "run", "tune", "watch", "report", "evaluate", "check", "compare", "data"),
    "doctor",
)
NOT_WRITABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``aebench``.

    Returns:
        0 when done, 1 when something failed, 2 when the input cannot be used.
    """
    try:
        with _sigterm_interrupts():
            parsed = build_parser().parse_args(arguments)
            command = importlib.import_module(f".{parsed.command}", __package__)
            return int(command.run(parsed))
    except (UserError, UnknownName) as error:
        return _stop(error, 2)
    except RunFailed as error:
        return _stop(error, 1)
    except KeyboardInterrupt:
        return _stop("Interrupted. What was finished is kept; the same command goes on.", 1)
    except BrokenPipeError:
        sys.stdout = None
        return 1
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        where = f": '{error.filename}'" if error.filename else ""
        return _stop(f"{error.strerror}{where}. What was written before is kept.", 1)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with every sub-command."""
    parser = argparse.ArgumentParser(
        prog="aebench", description="Fair comparison of generative autoencoders."
    )
    parser.add_argument("--version", action="version", version=f"aebench {version('aebench')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f".{name}", __package__).add_parser(subparsers)
    return parser


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Lets SIGTERM end a command as SIGINT does: what is half written is removed, and said."""
    try:
        before = signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:  # Not the main thread, which alone may have handlers.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop(error: object, code: int) -> int:
    sys.stderr.write(f"aebench: {one_line(error)}\n")
    return code

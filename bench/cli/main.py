"""The command line; heavy libraries are imported by the sub-commands that use them."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from ...models.registry import UnknownName
from ..errors import RunFailed, UserError, one_line

COMMANDS = (
    *("init", "list", "run", "tune", "watch", "report", "evaluate", "check", "compare", "data"),
    "doctor",
)
NOT_WRITABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)
# How characters are written where the terminal's encoding lacks them.
SPELT = {"∞": "inf", "±": "+-", "≤": "<=", "≥": ">=", "≈": "~", "…": "...", "→": "->"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``aebench``.

    Returns:
        0 when done, 1 when something failed, 2 when the input cannot be used.
    """
    _prepare_output()
    try:
        with _sigterm_interrupts():
            parsed = build_parser().parse_args(arguments)
            command = importlib.import_module(f".{parsed.command}", __package__)
            code = int(command.run(parsed))
            sys.stdout.flush()  # Here, where a reader that went away is no error to be told.
            return code
    except (UserError, UnknownName) as error:
        return _stop(error, 2)
    except RunFailed as error:
        return _stop(error, 1)
    except KeyboardInterrupt:
        return _stop("Interrupted. What was finished is kept; the same command goes on.", 1)
    except BrokenPipeError:
        sys.stdout = None
        return 1
    except Exception as error:
        from ..runs.plugins import failure_of_plugin

        if told := failure_of_plugin(error):
            return _stop(told, 2)
        # A file that is named went away or was never of use; no bug of ours does that.
        if isinstance(error, OSError) and (error.filename or error.errno in NOT_WRITABLE):
            where = f": '{error.filename}'" if error.filename else ""
            return _stop(f"{error.strerror}{where}. What was written before is kept.", 1)
        raise


def _prepare_output() -> None:
    """Lets every result be written, whatever the encoding, and to a closed stream, too."""
    codecs.register_error("aebench.spelt", _spelt)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # The shell closed it, as `>&-` does.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="aebench.spelt")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    escaped = (SPELT.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing)
    return "".join(escaped), error.end


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

"""The command line; heavy libraries are imported by the sub-commands that use them."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ..models.registry import UnknownName
from .errors import RunFailed, UserError

COMMANDS = ("list", "run", "report", "evaluate", "check", "compare", "data", "doctor")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``aebench``.

    Returns:
        0 when done, 1 when something failed, 2 when the input cannot be used.
    """
    try:
        parsed = build_parser().parse_args(arguments)
        command = importlib.import_module(f".command_{parsed.command}", __package__)
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


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with every sub-command."""
    parser = argparse.ArgumentParser(
        prog="aebench", description="Fair comparison of generative autoencoders."
    )
    parser.add_argument("--version", action="version", version=f"aebench {version('aebench')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f".command_{name}", __package__).add_parser(subparsers)
    return parser


def _stop(error: object, code: int) -> int:
    sys.stderr.write(f"aebench: {error}\n")
    return code

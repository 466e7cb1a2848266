"""The words that several sub-commands have in common, most of them `run` and `tune`."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunFailed, UserError, one_line

if TYPE_CHECKING:
    from ..runs.dispatch import Dispatcher, Done
    from ..runs.plugins import Plugin

DEVICES = ("auto", "cpu", "cuda")


def add_common_words(parser: argparse.ArgumentParser) -> None:
    """Adds what both commands take: a suite, a part of it, where to write and on what."""
    parser.add_argument("suite", help="name of a packaged suite, or path of a TOML file")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="default: results/SUITE, at another scale than full results/SUITE-SCALE",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=PATTERN",
        help="the runs that match, such as objective=rae*",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="a key of the suite's file, such as training.steps=500 or scale=smoke",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="runs at a time; default: cores, on a GPU 1"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_plugin_word(parser)


def add_plugin_word(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names a Python file of the user's own."""
    parser.add_argument(
        "--plugin",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a Python file that registers an objective, a metric or the like (docs/extending.md)",
    )


def plugins_of(args: argparse.Namespace) -> tuple[Plugin, ...]:
    """Loads the files that ``--plugin`` names.

    Raises:
        UserError: One cannot be used.
    """
    if not args.plugin:
        return ()
    from ..runs.plugins import load_plugins

    return load_plugins(args.plugin)


def until_stopped(work: Callable[[], int], first: str) -> int:
    """Returns the exit code of work that a signal may stop.

    Args:
        work: What is done.
        first: What it had not reached where it was stopped at once.

    Raises:
        RunFailed: It was stopped before anything was done.
    """
    from ..interruption import Stopped, stop_on_signals

    try:
        with stop_on_signals():
            return work()
    except Stopped:
        raise RunFailed(f"Stopped before the first {first}.") from None


def dispatcher_for(wanted: int | None, device: str, count: int) -> Dispatcher:
    """Returns what carries out so many requests: ``--workers`` at once, or as many as suit."""
    from ..runs.dispatch import InProcess, usable_cores
    from ..runs.workers import Processes

    workers = min(wanted or (1 if device == "cuda" else usable_cores()), count)
    return Processes(workers) if workers > 1 else InProcess()


def tell_failures(ended: Iterable[Done], kind: str = "") -> int:
    """Writes a line for each request that failed; returns the exit code, 0 where none did.

    Args:
        ended: How the requests ended.
        kind: What each is called, before its name.
    """
    failures = [done for done in ended if done.error is not None]
    for done in failures:
        text = one_line(f"{kind}'{done.request.config.label}': {done.error}")
        sys.stderr.write(f"aebench: {text}\n")
    if not failures:
        return 0
    return 2 if all(isinstance(done.error, UserError) for done in failures) else 1


def key_values(option: str, given: list[str]) -> dict[str, str]:
    """Returns the pairs of an option that takes ``KEY=VALUE``.

    Raises:
        UserError: One has no key or no value, or a key has two.
    """
    pairs: dict[str, str] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UserError(f"'{option}' is '{text}'; expected KEY=VALUE.")
        if pairs.setdefault(key, value) != value:
            raise UserError(
                f"'{option}' gives '{key}' as '{pairs[key]}' and as '{value}'; expected one value."
            )
    return pairs


def dotted_settings(given: list[str]) -> dict[str, Any]:
    """Returns the values that ``--set`` gives, by dotted key; what is no TOML is text."""
    settings: dict[str, Any] = {}
    for key, text in key_values("--set", given).items():
        try:
            settings[key] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            settings[key] = text
    return settings


def chosen_device(wanted: str) -> str:
    """Returns ``cpu`` or ``cuda``.

    Raises:
        UserError: There is no GPU where one was asked for, or it is another word.
    """
    import torch

    if wanted not in DEVICES:
        raise UserError(f"'device' is '{wanted}'; expected one of: {', '.join(DEVICES)}.")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("'--device' is 'cuda', but torch sees no GPU here; use --device cpu.")
    return wanted


def check_writable(out: Path, option: str = "--out") -> None:
    """Checks that the output folder of an option can be written, or made.

    Raises:
        UserError: It cannot.
    """
    # Of a folder that may not be entered, `Path.exists` raises; these say no.
    parents = out.absolute().parents
    nearest = next(p for p in (out, *parents) if os.path.exists(p))  # noqa: PTH110
    usable = os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK)  # noqa: PTH112
    if not usable:
        raise UserError(f"Output folder '{out}' cannot be written; name another with {option}.")

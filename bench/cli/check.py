"""``aebench check``: the regression check against a stored baseline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import UserError
from .words import add_plugin_word, plugins_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser(
        "check",
        help="compare results with a stored baseline",
        description="Compares results with a baseline and exits with 1 where a score got worse "
        "than chance explains, or is missing.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="results of `aebench run`")
    parser.add_argument(
        "--against",
        type=Path,
        required=True,
        metavar="BASELINE",
        help="folder that `check --update` wrote",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--update", action="store_true", help="make DIR the new baseline")
    instead.add_argument(
        "--equivalent",
        action="store_true",
        help="record the code of DIR as equivalent, if it trained the same weights and gave the "
        "same scores; BASELINE may be any results folder",
    )
    parser.add_argument("--reason", default="", help="why the baseline changes, with --update")
    add_plugin_word(parser)


def run(args: argparse.Namespace) -> int:
    """Prints what the check can see, then a Markdown diff.

    Returns:
        1 where something got worse or is missing, else 0.

    Raises:
        UserError: A reason is given and no baseline is to be written, or a plug-in is unfit.
        RunFailed: Code was to be recorded as equivalent and is not.
    """
    from ..regression.check import read_pair, update_baseline
    from ..regression.outcome import render_outcome, render_sight

    if args.reason and not args.update:
        raise UserError(
            f"'--reason' is {args.reason!r} without '--update'; expected both or none. Only a new "
            "baseline keeps a reason."
        )
    plugins_of(args)
    if args.update:
        written = update_baseline(args.directory, args.against, args.reason)
        sys.stdout.write("".join(f"{path}\n" for path in written.paths))
        sys.stdout.write("".join(f"- {note}\n" for note in written.notes))
        sys.stdout.write(render_sight(written.trained))
        return 0
    if args.equivalent:
        sys.stdout.write(_record(args.directory, args.against))
        return 0
    pair = read_pair(args.directory, args.against)
    sys.stdout.write(f"{render_sight(pair.trained)}\n")
    sys.stdout.flush()
    outcome = pair.check()
    sys.stdout.write(render_outcome(outcome))
    return int(outcome.is_regression)


def _record(directory: Path, baseline: Path) -> str:
    from ..regression.equivalent import record_equivalence

    found = record_equivalence(directory, baseline)
    told = (
        f"{found.trainings} trainings have the baseline's weights to the bit, and "
        f"{found.scores} rows its scores"
    )
    if found.unknown:
        told += f" ({found.unknown} do not say which code scored them)"
    codes = (*found.codes, *found.evaluations)
    if not codes:
        return f"{told}; their code is the same or on record, so nothing was added.\n"
    lines = "".join(f"- {one} = {other} (training)\n" for one, other in found.codes)
    lines += "".join(f"- {one} = {other} (evaluation)\n" for one, other in found.evaluations)
    return f"{told}. Recorded in {found.path}; commit it:\n{lines}"

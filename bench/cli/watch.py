"""``aebench watch``: how the runs of a results folder stand, wherever their workers are."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import number_of, one_line

if TYPE_CHECKING:
    from ..runs.folder import Overview, Standing

SECONDS = 5.0
STATES = ("running", "begun", "stopped", "waiting", "done", "diverged", "failed")
UNDER_WAY = ("running", "begun", "stopped")
MOST_NAMED = 20
CLEAR = "\x1b[H\x1b[2J"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser("watch", help="show how the runs of a results folder stand")
    parser.add_argument("directory", type=Path, metavar="DIR", help="the --out of `aebench run`")


def run(args: argparse.Namespace) -> int:
    """Prints how the runs stand; on a terminal again every few seconds until all have ended."""
    from ..runs.folder import ResultsFolder

    folder = ResultsFolder(args.directory)
    try:
        while True:
            overview = folder.look()
            text = told(args.directory, overview)
            if not sys.stdout.isatty():
                sys.stdout.write(text)
                return 0
            sys.stdout.write(CLEAR + text)
            sys.stdout.flush()
            if all(own.state not in (*UNDER_WAY, "waiting") for own in overview.runs):
                return 0
            time.sleep(SECONDS)
    except KeyboardInterrupt:  # The usual way to stop watching; the runs go on.
        return 0


def told(directory: Path, overview: Overview) -> str:
    """Returns counts, time left, a table of the runs under way, and why others were lost."""
    from tabulate import tabulate

    from ..runs.time_left import seconds_left

    counts: Counter[str] = Counter(own.state for own in overview.runs)
    parts = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    lines = [f"{directory}: {number_of(len(overview.runs), 'run')}: {parts}"]
    left = seconds_left(overview.runs)
    lines.append(f"time left: {'unknown' if left is None else spelt(left)}")
    if not overview.is_listed:
        lines.append(
            "Runs that were not begun are not known: no `aebench run` left its list here."
        )
    current = [own for own in overview.runs if own.state in UNDER_WAY]
    current.sort(key=lambda own: STATES.index(own.state))
    if current:
        header = ("run", "label", "state", "stage", "step", "last sign of life")
        table = [_cells(own) for own in current[:MOST_NAMED]]
        lines += ["", tabulate(table, header, disable_numparse=True)]
    lines += _more(len(current))
    lost = [own for own in overview.runs if own.reason]
    lines += [one_line(f"{o.label} ({o.run}) {o.state}: {o.reason}") for o in lost[:MOST_NAMED]]
    lines += _more(len(lost))
    lines += list(overview.warnings[:MOST_NAMED]) + _more(len(overview.warnings))
    return "\n".join(lines) + "\n"


def spelt(seconds: float) -> str:
    """Returns a span of time in its two largest units, such as ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _cells(own: Standing) -> tuple[str, ...]:
    step = f"{own.step:,} of {own.steps:,}" if own.steps else f"{own.step:,}"
    silent = "-" if own.silent is None else f"{spelt(own.silent)} ago"
    return own.run, own.label, own.state, own.stage, step, silent


def _more(count: int) -> list[str]:
    return [f"... and {count - MOST_NAMED} more"] if count > MOST_NAMED else []

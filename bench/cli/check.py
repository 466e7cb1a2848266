"""``aebench check``: the regression check against a stored baseline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser("check", help="compare results with a stored baseline")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--against", type=Path, required=True, metavar="BASELINE")
    parser.add_argument("--update", action="store_true", help="make DIR the new baseline")
    parser.add_argument("--reason", default="", help="why, with --update")


def run(args: argparse.Namespace) -> int:
    """Prints a Markdown diff; returns 1 only where something got worse."""
    from ..regression.check import check_results, render_outcome, update_baseline

    if args.update:
        for path in update_baseline(args.directory, args.against, args.reason):
            sys.stdout.write(f"{path}\n")
        return 0
    outcome = check_results(args.directory, args.against)
    sys.stdout.write(render_outcome(outcome))
    return int(outcome.is_regression)

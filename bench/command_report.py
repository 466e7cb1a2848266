"""``aebench report``: tables, plots and a page from result rows alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser("report", help="write tables and plots from result rows")
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Writes the report of each folder and prints the files."""
    from .report import build_report

    for directory in args.directories:
        for path in build_report(directory):
            sys.stdout.write(f"{path}\n")
    return 0

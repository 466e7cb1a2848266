"""``aebench compare``: the same rows of two result sets, with paired differences."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser(
        "compare", help="compare the same scores of two results folders"
    )
    parser.add_argument("first", type=Path, metavar="DIR", help="results of `aebench run`")
    parser.add_argument("second", type=Path, metavar="DIR", help="other results")
    parser.add_argument("--csv", action="store_true", help="print CSV instead of Markdown")


def run(args: argparse.Namespace) -> int:
    """Prints the table on stdout, and what could not be compared on stderr."""
    from ..tables.paired import compare_results

    table, notes = compare_results(args.first, args.second)
    sys.stdout.write(table.as_csv() if args.csv else table.as_markdown())
    for note in notes:
        sys.stderr.write(f"{note}\n")
    return 0

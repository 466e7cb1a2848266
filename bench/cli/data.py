"""``aebench data``: where each data set is, whether it is whole, how to get it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..data.places import roots
from ..errors import UserError

if TYPE_CHECKING:
    from ..data.dataset import Source

HEADER = ("data set", "shape", "state", "where, or what is wrong and how to get it")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the sub-command ``data``."""
    parser = subparsers.add_parser(
        "data",
        help="show where each data set is, or download one",
        description="Shows where each data set is, whether it is whole, and how to get it.",
    )
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="one data set; default all")
    parser.add_argument(
        "--download", action="store_true", help="download DATASET where it is not whole"
    )


def run(args: argparse.Namespace) -> int:
    """Writes a table of one or all data sets to stdout; returns the exit code.

    It is 2 where the one that was asked for is broken.

    Raises:
        UnknownName: There is no such data set.
        UserError: A download of everything, or of what has no download, was asked for.
        RunFailed: The download failed.
    """
    from tabulate import tabulate

    from ..data.dataset import DATASETS, find_source

    if args.dataset is not None:
        source = find_source(args.dataset)
        if args.download:
            download(source)
        sources = [source]
    elif args.download:
        raise UserError("'--download' needs a data set, such as: aebench data mnist --download")
    else:
        sources = [source for name, source in DATASETS.items() if ":" not in name]
    rows = [row(source, verbose=args.dataset is not None) for source in sources]
    table = tabulate(rows, HEADER, tablefmt="plain", disable_numparse=True)
    sys.stdout.write(f"{table}\nlooked in: {', '.join(map(str, roots()))}\n")
    return 2 if args.dataset is not None and rows[0][2] == "broken" else 0


def download(source: Source) -> None:
    """Downloads a data set that is not whole and checks what came."""
    if source.state().condition == "whole":
        return
    source.fetch()
    source.read()


def row(source: Source, verbose: bool) -> tuple[str, ...]:
    """Returns name, shape, state and place of a data set; how to get it where it is missing."""
    state = source.state()
    short = state.condition == "missing" and not verbose
    shape = "x".join(map(str, source.image_shape)) if source.image_shape else "of the file"
    return source.name, shape, state.condition, state.advice if short else state.place

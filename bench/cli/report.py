"""``aebench report``: tables, plots and a page from result rows alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .words import add_plugin_word, check_writable, plugins_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser("report", help="write tables, plots and a page of results")
    parser.add_argument(
        "directories",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="results of a suite, or a folder of such folders, which gets a leaderboard",
    )
    parser.add_argument(
        "--leaderboard",
        type=Path,
        metavar="FOLDER",
        help="write a leaderboard and a page over all DIRs there",
    )
    parser.add_argument(
        "--cards", action="store_true", help="write cards/, a Markdown card of each model"
    )
    add_plugin_word(parser)
    parser.add_argument(
        "--open",
        action="store_true",
        help="open the leaderboard's page in a browser; a DIR of one suite gets one, too",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the report of each folder, the leaderboard, and prints the files."""
    from ..leaderboard.build import PAGE, build_leaderboard
    from ..pages.overview import build_overview
    from ..pages.report import build_report, suite_folders

    plugins_of(args)
    folders: list[Path] = []
    boards: dict[Path, list[Path]] = {}
    for directory in args.directories:
        own = suite_folders(directory)
        folders += own
        # A suite has a page of its own where one was asked for, now or before.
        if own != [directory] or args.open or (directory / PAGE).is_file():
            boards[directory] = own
    if args.leaderboard is not None:
        check_writable(args.leaderboard, "--leaderboard")
        boards[args.leaderboard] = folders
    for folder in folders:
        _show(build_report(folder, cards=args.cards))
    for out, suites in boards.items():
        _show(build_leaderboard(suites, out))
        if out not in suites:  # A suite's own folder has its report's page.
            _show(build_overview(suites, out))
    if args.open:
        _open((args.leaderboard or next(iter(boards))) / PAGE)
    return 0


def _open(page: Path) -> None:
    """Opens a page in a browser; where there is none, a line says where the page is."""
    import webbrowser

    try:
        opened = webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        sys.stderr.write(f"aebench: No browser could be opened. The page is {page}.\n")


def _show(paths: list[Path]) -> None:
    for path in paths:
        sys.stdout.write(f"{path}\n")

"""``aebench tune``: the same number of trials for each objective of a suite."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunFailed, UserError, one_line
from .run import folder_name
from .words import check_writable, chosen_device, dotted_settings, key_values, usable_cores

if TYPE_CHECKING:
    from ..runs.dispatch import Dispatcher, Done, Event
    from ..suites.suite import Suite
    from ..tuning.plan import Plan


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser(
        "tune", help="try settings of each objective on validation images"
    )
    parser.add_argument("suite", help="name of a packaged suite, or path of a TOML file")
    parser.add_argument(
        "--trials", type=int, required=True, metavar="N", help="the published one included"
    )
    parser.add_argument("--steps", type=int, metavar="S", help="of a trial; tuning.steps")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/SUITE")
    parser.add_argument("--only", nargs="+", action="extend", default=[], metavar="KEY=PATTERN")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--workers", type=int, metavar="N", help="default: cores, on a GPU 1")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> int:
    """Makes the trials that are missing, and writes them.

    Raises:
        UserError: Something the user gave cannot be used; no trial was made.
        RunFailed: A trial failed for another reason than its settings, or the work was stopped.
    """
    from ..interruption import Stopped, stop_on_signals

    try:
        with stop_on_signals():
            return _tune(args)
    except Stopped:
        raise RunFailed("Stopped before the first trial.") from None


def _tune(args: argparse.Namespace) -> int:
    from ..suites.suite import load_suite

    for name, count in (("trials", args.trials), ("workers", args.workers), ("steps", args.steps)):
        if count is not None and count < 1:
            raise UserError(f"'--{name}' is {count}; expected at least 1.")
    settings = dotted_settings(args.set)
    if args.steps is not None:
        settings["tuning.steps"] = args.steps
    # A suite's own tuned runs start from the published settings too.
    suite = load_suite(
        args.suite, settings={**settings, "tuned": ""}, only=key_values("--only", args.only)
    )
    from ..runs.dispatch import set_up_torch
    from ..runs.preflight import check_suite
    from ..tuning.plan import Plan

    device = chosen_device(args.device)
    out = args.out or Path("results") / folder_name(suite)
    check_writable(out)
    set_up_torch()
    check_suite(suite.configs)
    plan = Plan(suite, out, device, args.trials)
    workers = args.workers or (1 if device == "cuda" else usable_cores())
    return _carry_out(suite, plan, min(workers, max(1, len(plan.studies))), quiet=args.quiet)


def _carry_out(suite: Suite, plan: Plan, workers: int, *, quiet: bool) -> int:
    from ..interruption import Stopped
    from ..runs.dispatch import InProcess
    from ..runs.workers import Processes

    labels = {study.config.digest: study.config.label for study in plan.studies}

    def listen(event: Event) -> None:
        if not quiet and not event.step:
            sys.stderr.write(one_line(f"aebench: {labels[event.digest]}: {event.stage}") + "\n")

    dispatcher: Dispatcher = Processes(workers) if workers > 1 else InProcess()
    ended: list[Done] = []
    try:
        for done in dispatcher.map(plan.studies, listen):
            ended.append(done)
            plan.write()
    except Stopped:
        made = plan.write()
        raise RunFailed(
            f"Stopped. {len(made.all)} trials are in '{plan.path}'; "
            "the same command goes on from here."
        ) from None
    plan.write()
    whole = sum(done.error is None for done in ended)
    sys.stderr.write(
        f"aebench: suite '{suite.name}': {whole} of {len(ended)} methods tuned, "
        f"{len(plan.untunable)} with nothing to tune; all trials are in '{plan.path}'.\n"
    )
    failures = [done for done in ended if done.error is not None]
    for done in failures:
        text = one_line(f"'{done.request.config.label}': {done.error}")
        sys.stderr.write(f"aebench: {text}\n")
    if failures:
        return 2 if all(isinstance(done.error, UserError) for done in failures) else 1
    return 0

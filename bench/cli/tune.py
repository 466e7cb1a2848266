"""``aebench tune``: the same number of trials for each objective of a suite."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunFailed, UserError, one_line
from .words import (
    add_common_words,
    check_writable,
    chosen_device,
    dispatcher_for,
    dotted_settings,
    key_values,
    plugins_of,
    tell_failures,
    until_stopped,
)

if TYPE_CHECKING:
    from ..runs.dispatch import Dispatcher, Done, Event
    from ..suites.suite import Suite
    from ..tuning.plan import Plan


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser(
        "tune",
        help="try settings of each objective on validation data",
        description="Gives each objective of a suite the same number of trials to find its "
        "options, judged on validation data (docs/equal-care.md).",
    )
    add_common_words(parser)
    parser.add_argument(
        "--trials",
        type=int,
        required=True,
        metavar="N",
        help="of each objective; the default options are the first",
    )


def run(args: argparse.Namespace) -> int:
    """Makes the trials that are missing, and writes them.

    Raises:
        UserError: Something the user gave cannot be used; no trial was made.
        RunFailed: A trial failed for another reason than its settings, or the work was stopped.
    """
    return until_stopped(lambda: _tune(args), "trial")


def _tune(args: argparse.Namespace) -> int:
    from ..suites.command import folder_name
    from ..suites.suite import load_suite

    for name, count in (("trials", args.trials), ("workers", args.workers)):
        if count is not None and count < 1:
            raise UserError(f"'--{name}' is {count}; expected at least 1.")
    plugins = plugins_of(args)
    # A suite's own tuned runs start from the default settings too.
    settings = {**dotted_settings(args.set), "tuned": ""}
    suite = load_suite(args.suite, settings=settings, only=key_values("--only", args.only))
    whole = load_suite(args.suite, settings=settings).configs
    from ..runs.dispatch import set_up_torch
    from ..runs.preflight import check_suite
    from ..tuning.plan import Plan

    device = chosen_device(args.device)
    out = args.out or Path("results") / folder_name(suite.name, suite.scale)
    check_writable(out)
    set_up_torch()
    check_suite(suite.configs)
    plan = Plan(suite, out, device, args.trials, plugins, whole)
    dispatcher = dispatcher_for(args.workers, device, len(plan.studies))
    return _carry_out(suite, plan, dispatcher, quiet=args.quiet)


def _carry_out(suite: Suite, plan: Plan, dispatcher: Dispatcher, *, quiet: bool) -> int:
    from ..interruption import Stopped

    labels = {study.config.digest: study.config.label for study in plan.studies}

    def listen(event: Event) -> None:
        if not quiet and not event.step:
            sys.stderr.write(one_line(f"aebench: {labels[event.digest]}: {event.stage}") + "\n")

    ended: list[Done] = []
    try:
        for done in dispatcher.map(plan.studies, listen):
            ended.append(done)
            plan.write()
    except Stopped:
        made = plan.write()
        tell_failures(ended)
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
    return tell_failures(ended)

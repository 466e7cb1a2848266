"""``aebench run``: train and evaluate the runs of a suite."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunFailed, UserError, number_of, one_line
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
    from collections.abc import Mapping

    from ..runs.dispatch import Dispatcher
    from ..runs.ray_cluster import Cluster
    from ..runs.tensorboard import TensorBoard
    from ..runs.work import Listener, SuiteWork
    from ..suites.suite import Suite


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser(
        "run",
        help="train and evaluate the runs of a suite",
        description="Trains and scores the runs of a suite. Those that are whole are not done "
        "again; after a stop the same command goes on.",
    )
    add_common_words(parser)
    parser.add_argument("--seeds", metavar="0,1,2", help="seeds in the place of the suite's")
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="the I-th of N shares of the runs"
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="what carries out the runs"
    )
    parser.add_argument(
        "--address", metavar="auto|HOST:PORT", help="a Ray cluster; default: one of its own, here"
    )
    parser.add_argument(
        "--gpu-share",
        type=float,
        metavar="F",
        help="part of a GPU for each run on Ray; default: 1",
    )
    parser.add_argument(
        "--deterministic", action="store_true", help="deterministic algorithms on a GPU, slower"
    )
    parser.add_argument(
        "--eager", action="store_true", help="take steps one by one on a GPU, without graphs"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list the runs, check them and stop"
    )
    parser.add_argument(
        "--track", choices=("tensorboard",), help="write curves and scores for a tracker, too"
    )
    parser.add_argument(
        "--rerun-stale", action="store_true", help="train again what other code trained"
    )
    parser.add_argument(
        "--retrain",
        action="store_true",
        help="train runs of which only the committed rows are here, too",
    )


def run(args: argparse.Namespace) -> int:
    """Carries out the suite.

    Raises:
        UserError: Something the user gave cannot be used; nothing has been written.
        RunFailed: A run failed or diverged, or the work was interrupted.
    """
    return until_stopped(lambda: _run(args), "run")


def _run(args: argparse.Namespace) -> int:
    from ..suites.command import folder_name
    from ..suites.shard import Shard
    from ..suites.suite import load_suite

    shard = Shard.parse(args.shard)
    plugins = plugins_of(args)
    suite = load_suite(
        args.suite,
        settings=dotted_settings(args.set),
        only=key_values("--only", args.only),
        seeds=_seeds(args.seeds),
    )
    share = replace(suite, configs=shard.of(suite.configs))
    if args.dry_run:
        _list_runs(share)
    from ..runs.dispatch import ask_for_determinism, set_up_torch

    if args.workers is not None and args.workers < 1:
        raise UserError(f"'--workers' is {args.workers}; expected at least 1.")
    out = args.out or Path("results") / folder_name(suite.name, suite.scale)
    check_writable(out)
    cluster = _cluster(args)
    own = chosen_device("auto" if cluster else args.device)
    device = cluster.device(args.device) if cluster else own
    if cluster and not args.dry_run:
        cluster.check(out)
    from ..runs.preflight import check_suite
    from ..runs.request import Request
    from ..runs.tensorboard import TensorBoard
    from ..runs.work import SuiteWork
    from ..training.engine import decline_graphs

    if args.deterministic:
        ask_for_determinism()
    if args.eager:
        decline_graphs()
    set_up_torch()
    requests = [Request(c, out, device, args.rerun_stale, plugins) for c in share.configs]
    todays = check_suite(share.configs)
    _tell_notes(share)
    if args.dry_run:
        return 0
    # References serve all runs on a data set, so every shard gives them the whole suite's metrics.
    everything = [Request(c, out, own, args.rerun_stale) for c in suite.configs]
    work = SuiteWork(everything, requests, todays, retrain=args.retrain)
    _tell_doubts(work.doubts)
    track = TensorBoard(work.rest) if args.track else None
    if cluster:
        from ..runs.ray_engine import Tasks

    dispatcher = (
        Tasks(cluster, device) if cluster else dispatcher_for(args.workers, device, len(work.rest))
    )
    return _carry_out(suite, work, dispatcher, track, quiet=args.quiet)


def _cluster(args: argparse.Namespace) -> Cluster | None:
    """Returns the Ray cluster that was asked for, if one was.

    Raises:
        UserError: Words do not go together, or it cannot be used.
    """
    if args.engine == "local":
        for word, given in (("address", args.address), ("gpu-share", args.gpu_share)):
            if given is not None:
                raise UserError(f"'--{word}' is '{given}'; it needs --engine ray.")
        return None
    if args.workers is not None:
        raise UserError(
            f"'--workers' is {args.workers}; with --engine ray the cluster's cores decide how "
            "many runs go on at once, so leave it out."
        )
    from ..runs.ray_cluster import Cluster

    return Cluster(args.address, args.gpu_share)


def _carry_out(
    suite: Suite,
    work: SuiteWork,
    dispatcher: Dispatcher,
    track: TensorBoard | None,
    *,
    quiet: bool,
) -> int:
    from ..interruption import Stopped
    from .progress import Display

    started = time.monotonic()
    try:
        with Display(work.rest, quiet=quiet) as display:
            listeners: list[Listener] = [display, *([track] if track else [])]
            try:
                work.carry_out(dispatcher, listeners)
            finally:
                if track:
                    track.close()
        lost = _lost_references(work)
    except Stopped:
        _tell_ends(work)
        raise RunFailed(
            f"Stopped. {work.whole} of {work.count} runs are whole; "
            "the same command goes on from here."
        ) from None
    code = _conclude(suite, work, time.monotonic() - started)
    if told := work.failed_scores():
        sys.stderr.write(f"aebench: {one_line(told)}\n")
    if lost:
        raise RunFailed(str(lost)) if code == 1 else lost
    return code


def _lost_references(work: SuiteWork) -> RunFailed | UserError | None:
    """Scores the references; returns what went wrong, which is told after the runs."""
    try:
        work.score_references()
    except (RunFailed, UserError) as error:
        return error
    return None


def _tell_doubts(found: Mapping[str, str]) -> None:
    for reason, count in Counter(found.values()).items():
        sys.stderr.write(
            f"aebench: {count} runs without a directory are on record, but not known by their "
            f"rows, and are trained again. {one_line(reason)}\n"
        )


def _tell_notes(suite: Suite) -> None:
    from ..runs.runner import dataset

    for name, split in dict.fromkeys((c.dataset, c.split) for c in suite.configs):
        if note := dataset(name, split).note:
            sys.stderr.write(f"aebench: {name}: {note}.\n")


def _tell_ends(work: SuiteWork) -> int:
    """Writes a line for each run that diverged or failed; returns the exit code."""
    diverged = work.divergences()
    for told in diverged:
        sys.stderr.write(f"aebench: {one_line(told)}\n")
    return tell_failures(work.ended, "run ") or int(bool(diverged))


def _conclude(suite: Suite, work: SuiteWork, seconds: float) -> int:
    from ..runs.known import WEIGHTLESS

    counts = Counter(done.outcome for done in work.ended)
    told = ", ".join(_counted(outcome, count) for outcome, count in sorted(counts.items()))
    told = told or "no run"
    sys.stderr.write(f"aebench: suite '{suite.name}': {told} in {seconds:.0f} s.\n")
    weightless = counts[WEIGHTLESS]
    if weightless:
        sys.stderr.write(
            f"aebench: scores of {number_of(weightless, 'run')} are by other code, settings or "
            "weights of an extractor than here, and the models' own weights are not here; "
            "restore one of these, or train again by --rerun-stale.\n"
        )
    if sum(n for outcome, n in counts.items() if outcome.startswith("stale")) > weightless:
        sys.stderr.write(
            "aebench: stale runs were trained by other code than today's; "
            "--rerun-stale trains them again.\n"
        )
    return _tell_ends(work)


def _counted(outcome: str, count: int) -> str:
    return f"{count} {outcome.replace(' its ', ' their ') if count > 1 else outcome}"


def _list_runs(suite: Suite) -> None:
    examples = [c.training.steps * c.training.batch_size for c in suite.configs]
    for config, count in zip(suite.configs, examples, strict=True):
        steps = config.training.steps
        sys.stdout.write(f"{config.digest}  {config.label}  {steps:,} steps, {count:,} examples\n")
    steps = sum(config.training.steps for config in suite.configs)
    sys.stdout.write(
        f"{len(examples)} runs, {steps:,} steps, {sum(examples):,} examples, scale {suite.label}\n"
    )


def _seeds(given: str | None) -> list[int] | None:
    if given is None:
        return None
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and len(part) <= 10 for part in parts):
        raise UserError(f"'--seeds' is '{given}'; expected whole numbers such as 0,1,2.")
    return sorted({int(part) for part in parts})

"""A whole suite from Python, and result rows as a data frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.backbones.backbone import BACKBONES
from ...models.objectives.objective import OBJECTIVES
from ..cli.progress import Display
from ..cli.words import check_writable, chosen_device, dispatcher_for
from ..comparison.labels import REFERENCES
from ..errors import RunFailed, UserError
from ..interruption import Stopped, stop_on_signals
from ..pages.report import suite_folders
from ..records.code import source_of
from ..records.results import joined, read_results
from ..runs.plugins import load_plugins
from ..runs.preflight import check_suite
from ..runs.request import Request
from ..runs.work import SuiteWork
from ..suites.command import folder_name
from ..suites.config import Config
from ..suites.suite import load_suite
from .given import dictionary, whole_number
from .session import session
from .settings import plain

if TYPE_CHECKING:
    import pandas as pd


def run(
    suite: str | Path | Mapping[str, Any],
    *,
    name: str = "",
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    only: Mapping[str, str] | None = None,
    seeds: Iterable[int] | None = None,
    device: str = "auto",
    workers: int = 1,
    plugins: str | Path | Iterable[str | Path] | None = None,
    rerun_stale: bool = False,
    retrain: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Trains and evaluates the runs of a suite, as ``aebench run`` does, and returns their rows.

    Runs that are whole in the folder are not done again, and one that was interrupted goes on.
    One that diverged has a row that says so.

    Args:
        suite: Name of a packaged suite, path of a TOML file, or a dictionary of such a file's
            keys, in which relative paths start at the present folder.
        name: What the results of a dictionary are called by.
        out: Results folder; ``results/SUITE`` when not given, at another scale than full
            ``results/SUITE-SCALE``.
        settings: Values by dotted key, such as ``{"training.steps": 500}``.
        only: Patterns by factor, such as ``{"objective": "rae*"}``.
        seeds: Seeds in the place of the suite's own.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: Runs at once, each in a process of its own where there are several. A script
            then needs its ``if __name__ == "__main__":``.
        plugins: Python files that register an objective, a metric or the like, as ``--plugin``.
        rerun_stale: Whether runs of older training code are trained again.
        retrain: Whether runs of which the rows alone are here are trained, too.
        progress: Whether a bar is shown, on a terminal and in a notebook.

    Returns:
        The rows of the suite's runs and of its references, as `results` gives them.

    Raises:
        UserError: Something given cannot be used.
        RunFailed: A run failed, or the work was interrupted; what was finished is kept.
    """
    files = [plugins] if isinstance(plugins, str | Path) else plugins or ()
    loaded = load_plugins(Path(file) for file in files)
    chosen = load_suite(
        plain(suite) if isinstance(suite, Mapping) else _spelt(suite),
        name=name,
        settings=plain(dictionary(settings, "settings")),
        only={key: str(pattern) for key, pattern in dictionary(only, "only").items()},
        seeds=None if seeds is None else _distinct(seeds),
    )
    workers = whole_number(workers, "workers", 1)
    folder = Path("results") / folder_name(chosen.name, chosen.scale) if out is None else Path(out)
    check_writable(folder)
    device = chosen_device(device)
    requests = [Request(c, folder, device, rerun_stale, loaded) for c in chosen.configs]
    with session():
        todays = check_suite(chosen.configs)
        check_sources(chosen.configs)
        work = SuiteWork(requests, requests, todays, retrain=retrain)
        _carry_out(work, device, workers, progress)
    _tell(work)
    rows = results(folder)
    mine = rows["run"].isin({config.digest for config in chosen.configs})
    return rows[mine | rows["objective"].isin(REFERENCES)].reset_index(drop=True)


def results(folder: str | Path) -> pd.DataFrame:
    """Returns the result rows of a folder, one line for each score of each run.

    Columns are those of `aebench.bench.records.rows.Row`, and ``settings``: what the row's
    recipe stands for. What cannot be used of the files is a warning.

    Args:
        folder: Results of a suite, or a folder of such folders.

    Raises:
        UserError: There is no such folder, or no whole row in it.
    """
    found = [read_results(own) for own in suite_folders(Path(folder))]
    for text in (text for each in found for text in each.warnings):
        warnings.warn(text, stacklevel=2)
    return found[0].rows if len(found) == 1 else joined(each.rows for each in found)


def check_sources(configs: Sequence[Config]) -> None:
    """Checks that all code that trains is in files, by which stored runs are known.

    Raises:
        UserError: A class was defined in a notebook's cell or at a prompt.
    """
    for config in configs:
        for kind in (OBJECTIVES.get(config.objective), BACKBONES.get(config.backbone)):
            if not source_of(kind.__module__):
                raise UserError(
                    f"'{kind.__name__}' is defined in no file, so a later change of it would go "
                    "unseen by the results folder; put it into a module, or use `fit`."
                )


def _carry_out(work: SuiteWork, device: str, workers: int, progress: bool) -> None:
    dispatcher = dispatcher_for(workers, device, len(work.rest))
    try:
        with stop_on_signals(), Display(work.rest, quiet=not progress) as display:
            work.carry_out(dispatcher, [display])
            work.score_references()
    except Stopped:
        whole = f"{work.whole} of {work.count} runs are whole"
        told = f"Stopped. {whole}; the same call goes on from here. {_failures(work)}"
        raise RunFailed(told.rstrip()) from None
    if told := _failures(work):
        errors = [done.error for done in work.ended if done.error is not None]
        raise (UserError if all(isinstance(e, UserError) for e in errors) else RunFailed)(told)


def _failures(work: SuiteWork) -> str:
    """Returns how many runs failed, and why the first did; empty where none did."""
    failed = [done for done in work.ended if done.error is not None]
    if not failed:
        return ""
    first = f"run '{failed[0].request.config.label}': {failed[0].error}"
    return f"{len(failed)} of {work.count} runs failed; the first: {first}"


def _tell(work: SuiteWork) -> None:
    stale = sum(done.outcome.startswith("stale") for done in work.ended)
    if stale:
        warnings.warn(
            f"{stale} runs were trained or scored by other code than today's; "
            "rerun_stale=True trains them again.",
            stacklevel=3,
        )
    if failed := work.failed_scores():
        warnings.warn(failed, stacklevel=3)
    for reason in sorted(set(work.doubts.values())):
        warnings.warn(f"Runs that are on record were trained again: {reason}", stacklevel=3)


def _distinct(seeds: Iterable[int]) -> list[int]:
    several = isinstance(seeds, Iterable) and not isinstance(seeds, str)
    found = {whole_number(seed, "seeds", 0) for seed in seeds} if several else set()
    if not found:
        raise UserError(f"'seeds' is {seeds!r}; expected several, such as [0, 1, 2].")
    return sorted(found)


def _spelt(suite: str | Path) -> str:
    """Returns a suite as the command line has it; a `Path` is never a packaged suite's name."""
    if isinstance(suite, Path) and suite.parent == Path():
        return f"./{suite}"
    return str(suite)

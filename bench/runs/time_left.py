"""How long the runs of a folder still take, from what others of them have taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from .folder import Standing

AHEAD = ("running", "stopped", "waiting")


def seconds_left(runs: Sequence[Standing]) -> float | None:
    """Returns the seconds until all runs have ended, if as many as now go on at once.

    A step costs what this training's own steps have cost, else the mean of whole trainings of
    its method, else the mean of all in the folder; scores cost the median of whole runs, since a
    run that was scored again later looks as if that had taken all the time in between.

    Returns:
        0 where nothing is ahead; none where no run goes on, or where neither a whole run nor a
        saved state says what a step costs.
    """
    ahead = [run for run in runs if run.state in AHEAD]
    if not ahead:
        return None if any(run.state == "begun" for run in runs) else 0.0
    workers = sum(run.state == "running" for run in runs)
    rates = _rates(runs)
    scoring = median([run.scoring for run in runs if run.scoring is not None] or [0.0])
    costs = []
    for run in ahead:
        rate = run.rate or rates.get(_method(run)) or rates.get("")
        if rate is None or not run.steps:
            return None
        costs.append(max(0, run.steps - run.step) * rate + scoring)
    return max(sum(costs) / workers, max(costs)) if workers else None


def _rates(runs: Iterable[Standing]) -> dict[str, float]:
    """Returns the mean seconds of a step by method, and of all under an empty name."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if run.rate is not None:
            found.setdefault(_method(run), []).append(run.rate)
            found.setdefault("", []).append(run.rate)
    return {method: fmean(rates) for method, rates in found.items()}


def _method(run: Standing) -> str:
    return run.label.rpartition(" s=")[0]

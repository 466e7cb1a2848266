"""The page of a tuning: what was tried for each method, and what was chosen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

from ..suites.config import Config
from ..suites.trials import UNTUNABLE, Trial, Trials, best_of

HEAD = ("objective", "data", "d", "trials", "lost", "default", "best", "chosen", "ranges")
TEXT = """# Tuning

A trial is a short training from a seed that no run has. It is judged on validation data, never
on test data. Trial 0 is the default setting, and of equals the first is chosen. What an
objective does not declare as tunable keeps its default. All trials are in `tuning.csv`.

± is the standard error of that one score: how far other images or strings, as many as these, would
move it. All trials of an objective share one seed, and from seed to seed scores mostly differ by
more than that, so that a small gain may be chance.

A chosen value is marked where it is within 5 % of its range from an end, on the range's own
scale: a better one may lie outside.

"""
NEAR = 0.05  # Of a range, from an end.


def page_text(trials: Trials, configs: Iterable[Config]) -> str:
    """Returns the page as Markdown.

    Args:
        trials: All trials there are.
        configs: The runs of the suite, of which some may have no trial.
    """
    methods = [_cells(own) for own in trials.methods.values()]
    lines = [HEAD, ["---"] * len(HEAD), *methods]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    untried = trials.untried(configs)
    told = f" Without a trial, although they have ranges: {'; '.join(untried)}." if untried else ""
    return f"{TEXT}{_conditions(trials)}{told}\n\n{table}\n"


def _conditions(trials: Trials) -> str:
    """Returns a sentence on the criterion, and one on the number of trials."""
    tried = [trial for trial in trials.all if trial.state != UNTUNABLE]
    texts = sorted(
        {
            f"{t.criterion}, {t.images:,} of them, after {t.steps:,} steps; {t.better} is better"
            for t in tried
        }
    )
    counts = sorted({len(o) for o in trials.methods.values() if o[0].state != UNTUNABLE})
    if not counts:
        some = "what is listed has nothing to tune" if trials.all else "none has been made yet"
        return f"There are no trials: {some}."
    equal = f"Each objective listed here that has ranges was given {counts[0]} trials."
    unequal = f"Those listed were given from {counts[0]} to {counts[-1]} trials: not equal yet."
    return f"Criterion: {' | '.join(texts)}. {equal if len(counts) == 1 else unequal}"


def _cells(own: Sequence[Trial]) -> list[str]:
    first, best = own[0], best_of(own)
    start = [first.label, first.dataset, str(first.latent_dim)]
    if first.state == UNTUNABLE:
        return [*start, "0", "0", "-", "-", "default: nothing to tune", "-"]
    lost = sum(trial.value is None for trial in own)
    ends = json.loads(first.ranges).items()
    ranges = ", ".join(f"{k} {low:g} to {high:g}{' (log)' * log}" for k, (low, high, log) in ends)
    default = _value(first if first.trial == 0 else None)
    return [*start, str(len(own)), str(lost), default, _value(best), _chosen(best), ranges]


def _value(trial: Trial | None) -> str:
    if trial is None or trial.value is None:
        return "lost"
    error = "" if trial.stderr is None else f" ± {trial.stderr:.2g}"
    return " ".join(filter(None, (f"{trial.value:.5g}{error}", trial.density)))


def _chosen(best: Trial | None) -> str:
    if best is None:
        return "default: every trial was lost"
    ranges = json.loads(best.ranges)
    options = [
        f"{k}={v:g}{' (near an end of its range)' * _is_near_end(v, *ranges[k])}"
        for k, v in json.loads(best.options).items()
    ]
    return ", ".join(options) or "default: no trial was better"


def _is_near_end(value: float, low: float, high: float, log: bool) -> bool:
    at, first, last = (math.log(v) if log else v for v in (value, low, high))
    return min(at - first, last - at) < NEAR * (last - first)

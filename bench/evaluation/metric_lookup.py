"""Finds metrics by name and calls them with the outputs that they need."""

from __future__ import annotations

import copy
import inspect
import math
import reprlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...metrics.devices import lacks_memory
from ...metrics.registry import METRICS, Estimate, Metric, import_plugins
from ...models.registry import UnknownName, unknown_name

# What only a run over texts has.
GENERATED_TEXTS = frozenset({"generated_texts"})
PAIRED_TEXTS = frozenset({"reconstructed_texts", "reconstructed_symbols"})
TEXTS = GENERATED_TEXTS | PAIRED_TEXTS
TEXTS |= {"real_texts", "real_symbols", "training_texts", "posterior_mean", "posterior_log_sigma"}
ROUNDING = 1e-6  # By so much a share may be off 0 and 1: sums of its parts are.
SCORES = "expected scores by name, each a number or an Estimate, such as {'energy': 0.5}"


def metrics() -> dict[str, Metric]:
    """Returns all metrics by name, sorted, those of other packages included."""
    import_plugins("aebench.metrics", "aebench.metrics")
    return dict(sorted(METRICS.items()))


def find_metric(name: str) -> Metric:
    """Returns the metric called ``name``.

    Raises:
        UnknownName: There is none; the message has the near match and the list.
    """
    known = metrics()
    if name not in known:
        raise UnknownName(unknown_name("metric", name, list(known)))
    return known[name]


@dataclass(frozen=True)
class Score:
    """One score with what a table shows of it.

    Attributes:
        metric: The score's name, such as ``fd``; the metric's where there is no score.
        value: The score, or ``None`` where it does not apply.
        stderr: Its standard error, or ``None`` where none is known.
        unit: Its unit in words.
        better: Which direction is better.
        status: ``ok``, ``failed`` or ``not applicable``.
        reason: Why it does not apply, or a warning about the value.
    """

    metric: str
    value: float | None
    stderr: float | None
    unit: str
    better: str
    status: Literal["ok", "failed", "not applicable"]
    reason: str = ""


def compute_scores(
    metric: Metric, outputs: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> list[Score]:
    """Computes the scores of one metric from the outputs that are there.

    Args:
        metric: The metric.
        outputs: Arrays by the name that a metric's parameter has.
        options: Values for parameters with a default, such as ``seed``; those that the metric
            does not have are left out.

    Returns:
        One or several scores; a single one that is *not applicable* where a need is absent. A
        value that is not finite is *not applicable* as well.

    Raises:
        ValueError: The metric refuses the outputs, or one of another package fails, returns no
            scores, or shares that are none.
    """
    absent = [need for need in metric.needs if need not in outputs]
    if absent:
        return [not_applicable(metric, f"needs {', '.join(absent)}")]
    parameters = inspect.signature(metric.function).parameters
    chosen = {name: outputs[name] for name in parameters if name in outputs}
    if not _is_ours(metric):  # It may change its arrays, and the next metric needs them.
        chosen = {name: _copied(value) for name, value in chosen.items()}
    chosen |= {name: value for name, value in (options or {}).items() if name in parameters}
    try:
        scores = metric.function(**chosen)
    except (ValueError, OSError, ImportError):
        raise
    except (Exception, SystemExit) as error:
        if _is_ours(metric) or lacks_memory(error):
            raise
        raise ValueError(_failure(metric, error)) from error
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError(f"returns {reprlib.repr(scores)}; {SCORES}")
    found = [_score(metric, name, _estimate(name, value)) for name, value in scores.items()]
    for score in found:
        outside = score.value is not None and not -ROUNDING <= score.value <= 1 + ROUNDING
        if outside and metric.unit == "share" and not _is_ours(metric):
            told = reprlib.repr({score.metric: score.value})
            raise ValueError(f"returns {told}; its unit is 'share': expected numbers from 0 to 1")
    return found


def not_applicable(metric: Metric, reason: str) -> Score:
    """Returns the score of a metric that does not apply."""
    return Score(metric.name, None, None, metric.unit, metric.better, "not applicable", reason)


def _is_ours(metric: Metric) -> bool:
    """Says whether a metric is the project's own, of which a failure is a bug to be seen whole."""
    return metric.function.__module__.startswith("aebench.")


def _copied(value: Any) -> Any:  # noqa: ANN401
    return value.clone() if hasattr(value, "clone") else copy.deepcopy(value)


def _failure(metric: Metric, error: BaseException) -> str:
    """Returns what went wrong in which line of a metric's file."""
    path = getattr(sys.modules.get(metric.function.__module__), "__file__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if frame.filename == path]
    where = f"'{Path(path).name}', line {own[-1]}: " if path and own else ""
    return f"{where}{type(error).__name__}: {error}"


def _estimate(name: object, value: object) -> Estimate:
    """Returns a score as plain numbers.

    Raises:
        ValueError: It is no number, or its name no text.
    """
    given = value if isinstance(value, Estimate) else Estimate(value)  # type: ignore[arg-type]
    numbers = (given.value, 0.0 if given.stderr is None else given.stderr)
    try:
        if not isinstance(name, str) or any(isinstance(n, str | bytes) for n in numbers):
            raise TypeError
        found, error = map(float, numbers)
    except (TypeError, ValueError):
        told = reprlib.repr({name: value})
        raise ValueError(f"returns {told}; {SCORES}") from None
    return Estimate(found, error, given.reason)


def _score(metric: Metric, name: str, estimate: Estimate) -> Score:
    if not math.isfinite(estimate.value):
        reason = estimate.reason or f"the value is {estimate.value}"
        return Score(name, None, None, metric.unit, metric.better, "not applicable", reason)
    return Score(
        *(name, estimate.value, estimate.stderr, metric.unit, metric.better),
        status="ok",
        reason=estimate.reason,
    )

"""What a metric is: a keyword-only function whose parameter names are the outputs it needs."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .arrays import Floats

BELOW_ZERO = "below 0 by more than chance allows, as with copies of real images"
Better = Literal["higher", "lower", "closer", "none"]


@dataclass(frozen=True)
class Estimate:
    """A score with what is known about its reliability.

    Attributes:
        value: The score, in the metric's unit.
        stderr: Its standard error, in the same unit, or ``None`` where none can be given. One
            of 0 says that the sample shows no spread, which is not to know the error: ``None``.
        reason: A warning that goes into the row, empty where there is none.
    """

    value: float
    stderr: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.stderr is not None and not 0.0 < self.stderr < math.inf:
            object.__setattr__(self, "stderr", None)

    @classmethod
    def of_mean(cls, values: Floats) -> Estimate:
        """Returns the mean of independent values, with its standard error from two values on."""
        error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
        return cls(float(values.mean()), error)

    @classmethod
    def of_distance(cls, value: float, stderr: float | None, reason: str = "") -> Estimate:
        """Returns an unbiased distance; its error is not known where chance does not explain it.

        Distances of independent samples fall below 0 by chance alone. Where a value is further
        below than three standard errors, the rows are copies in part, and the error is wrong.
        """
        if stderr is not None and value < -3.0 * stderr:
            return cls(value, None, reason or BELOW_ZERO)
        return cls(value, stderr, reason)

    @classmethod
    def of_share(cls, share: float, count: int) -> Estimate:
        """Returns a share of ``count`` rows with its binomial standard error."""
        return cls(share, float((share * (1.0 - share) / count) ** 0.5))


Scores = Mapping[str, "float | Estimate"]


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        name: The name on the command line.
        function: Keyword-only; takes the outputs named by its parameters, returns scores.
        unit: The unit of every score that it returns, in words.
        better: Which direction is better.
        needs: The names of the outputs that the function takes.
    """

    name: str
    function: Callable[..., Scores]
    unit: str
    better: Better
    needs: tuple[str, ...] = field(default=())


METRICS: dict[str, Metric] = {}


def register(
    name: str, *, unit: str, better: Better
) -> Callable[[Callable[..., Scores]], Callable[..., Scores]]:
    """Returns a decorator that files a metric under ``name``.

    Raises:
        ValueError: The function takes positional parameters, or the name is taken.
    """

    def file(function: Callable[..., Scores]) -> Callable[..., Scores]:
        parameters = inspect.signature(function).parameters.values()
        if any(p.kind is not inspect.Parameter.KEYWORD_ONLY for p in parameters):
            raise ValueError(
                f"Metric '{name}' takes positional parameters; expected keyword-only."
            )
        needs = tuple(p.name for p in parameters if p.default is inspect.Parameter.empty)
        if name in METRICS:
            refuse_second("Metric", name, METRICS[name].function, function)
        METRICS[name] = Metric(name, function, unit, better, needs)
        return function

    return file


def refuse_second(kind: str, name: str, known: Any, new: Any) -> None:  # noqa: ANN401
    """Checks that what is registered under a taken name is the same again, as a reload gives.

    Raises:
        ValueError: It is defined elsewhere: scores would be taken for those of the other one.
    """
    origins = [
        f"{entry.__module__}.{getattr(entry, '__qualname__', type(entry).__qualname__)}"
        for entry in (known, new)
    ]
    if origins[0] != origins[1]:
        raise ValueError(f"{kind} '{name}' is registered twice: by {' and by '.join(origins)}.")


@functools.cache
def import_plugins(package: str, group: str) -> None:
    """Imports the modules of a package, not its folders, and a group of entry points."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.ispkg:
            importlib.import_module(f"{package}.{module.name}")
    for entry_point in entry_points(group=group):
        entry_point.load()

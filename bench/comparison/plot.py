"""What a plot is, and all that are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...models.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What each plot's function yields: a file name without ending, and the figure.
Plots = Iterator[tuple[str, "Figure"]]
# Each takes the rows and the files of their runs, and yields figures with their files' names.
PLOTS: Registry[Callable[[Any, Any], Plots]] = Registry(
    "plot", folder="aebench.bench.figures", group="aebench.figures"
)

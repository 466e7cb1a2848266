"""What a run is asked for with, and how one that was trained stands to that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ..errors import UserError
from ..records.equivalence import same_training_code
from ..suites.config import Config

if TYPE_CHECKING:
    from ..training.trainer import Progress
    from .plugins import Plugin

Outcome = Literal["trained", "evaluated", "complete", "stale", "diverged"]


class Work(Protocol):
    """What a request asks for, with all that it needs at hand."""

    def execute(
        self,
        report: Callable[[str], None],
        watch: Callable[[Progress], None] | None = None,
    ) -> str:
        """Does what is not done yet, and returns how that ended."""
        ...


@dataclass(frozen=True)
class Request:
    """What a worker needs: a config, where to write, and how.

    Attributes:
        config: The run.
        out: The suite's results folder.
        device: ``cpu`` or ``cuda``.
        rerun_stale: Whether a run of older training code is trained again.
        plugins: The user's own files, which a worker loads first.
    """

    config: Config
    out: Path
    device: str = "cpu"
    rerun_stale: bool = False
    plugins: tuple[Plugin, ...] = ()

    @property
    def folder(self) -> Path:
        """The run's directory."""
        return self.out / "runs" / self.config.digest

    def opened(self) -> Work | None:
        """Returns what carries the request out, where that is not a `Run`."""
        return None


@dataclass(frozen=True)
class Today:
    """What a training depends on beside its config.

    Attributes:
        training_code: Digest of the code that trains.
        structure: Structural hash of the backbone.
        data: Digest of the data set.
    """

    training_code: str
    structure: str
    data: str


def standing(request: Request, then: Today, today: Today, where: str) -> Outcome:
    """Says whether a run would be trained today as it was: ``complete``, or how it is stale.

    Args:
        request: The run.
        then: What it was trained by and on.
        today: What it would be trained by and on now.
        where: Where the training is on record, for an error.

    Raises:
        UserError: Data or backbone are others now, and training again was not asked for.
    """
    structure, data = then.structure != today.structure, then.data != today.data
    if not structure and not data:
        alike = same_training_code(then.training_code, today.training_code)
        return "complete" if alike else "stale"
    if request.rerun_stale:
        return "stale"
    raise UserError(
        f"Run '{request.config.label}' in {where} was trained on another "
        f"{'backbone' if structure else 'data'} than is here now; --rerun-stale trains it again."
    )

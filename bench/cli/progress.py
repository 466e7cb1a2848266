"""Progress on stderr: one bar for the suite with what is going on; silent off a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from ..runs.dispatch import Done, Event
    from ..runs.request import Request


class Display:
    """A bar over all steps of all runs, with rate and time left.

    Args:
        requests: The runs.
        quiet: Whether to show nothing.
    """

    def __init__(self, requests: Sequence[Request], *, quiet: bool) -> None:
        self.labels = {r.config.digest: r.config.label for r in requests}
        self.total = {r.config.digest: r.config.training.steps for r in requests}
        self.steps = dict.fromkeys(self.total, 0)
        self.bar = tqdm(
            total=sum(self.total.values()),
            unit="step",
            disable=quiet or not sys.stderr.isatty(),
            dynamic_ncols=True,
            smoothing=0.05,
        )

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.close()

    def listen(self, event: Event) -> None:
        """Shows a stage or a step of one run."""
        label = self.labels[event.digest]
        if event.step:
            self._advance(event.digest, event.step)
            self.bar.set_postfix_str(f"loss {event.loss:.4g}, {event.rate:.0f} images/s")
            self.bar.set_description_str(label, refresh=False)
        else:
            self.bar.set_description_str(f"{label}: {event.stage}")

    def finish(self, done: Done) -> None:
        """Counts a run as done."""
        digest = done.request.config.digest
        self._advance(digest, self.total[digest])

    def _advance(self, digest: str, step: int) -> None:
        self.bar.update(step - self.steps[digest])
        self.steps[digest] = step

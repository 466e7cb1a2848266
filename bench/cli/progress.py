"""Progress on stderr: one bar for the suite on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from ..runs.dispatch import Done, Event
    from ..runs.request import Request


FIRST_SECONDS, LINE_SECONDS = 30.0, 300.0
"""When the first line is written where there is no terminal, and how long later each other."""


def in_notebook() -> bool:
    """Says whether this is a notebook, which shows bars on stderr although it is no terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class Display:
    """A bar over all steps of all runs, with rate and time left; where none can be seen, lines.

    Where they cannot be written, as once their reader is gone, nothing more is shown.

    Args:
        requests: The runs.
        quiet: Whether to show nothing.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        *,
        quiet: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quiet, self.clock, self.done = quiet, clock, 0
        self.next_line = clock() + FIRST_SECONDS
        self.labels = {r.config.digest: r.config.label for r in requests}
        self.total = {r.config.digest: r.config.training.steps for r in requests}
        self.steps = dict.fromkeys(self.total, 0)
        # The pace is that of steps taken here: not of those before a stop, nor of whole runs.
        self.training: set[str] = set()
        self.taken, self.since = 0, 0.0
        self.bar = tqdm(
            total=sum(self.total.values()),
            unit="step",
            disable=quiet or not (sys.stderr.isatty() or in_notebook()),
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
        with self._hidden_once_unread():
            self.bar.close()

    def listen(self, event: Event) -> None:
        """Shows a stage or a step of one run."""
        with self._hidden_once_unread():
            self._show(event)

    def finish(self, done: Done) -> None:
        """Counts a run as done."""
        digest = done.request.config.digest
        with self._hidden_once_unread():
            self._pass_over(digest, self.total[digest])
        self.done += 1

    @contextlib.contextmanager
    def _hidden_once_unread(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.quiet = self.bar.disable = True

    def _show(self, event: Event) -> None:
        label = self.labels[event.digest]
        if event.step:
            self._step(event.digest, event.step)
            self.bar.set_postfix_str(f"loss {event.loss:.4g}, {event.rate:.0f} examples/s")
            self.bar.set_description_str(label, refresh=False)
        else:
            self.bar.set_description_str(f"{label}: {event.stage}")
        if self.bar.disable and not self.quiet and self.clock() >= self.next_line:
            self.next_line = self.clock() + LINE_SECONDS
            sys.stderr.write(self._line(event, label))
            sys.stderr.flush()

    def _line(self, event: Event, label: str) -> str:
        steps, total = sum(self.steps.values()), sum(self.total.values())
        now = f"step {event.step} of {self.total[event.digest]}" if event.step else event.stage
        told = f"aebench: {self.done} of {len(self.total)} runs ended, {steps} of {total} steps"
        told += f"; now {label}: {now}"
        if self.taken > 0:
            # Scoring goes on between trainings, so its time is in the pace so far.
            minutes = (self.clock() - self.since) * (total - steps) / self.taken / 60
            told += f"; about {minutes:.0f} min left" if minutes >= 1 else "; under a minute left"
        return f"{told}.\n"

    def _step(self, digest: str, step: int) -> None:
        if digest not in self.training:  # It may have gone on from a saved state.
            self.since = self.since if self.training else self.clock()
            self.training.add(digest)
            self._pass_over(digest, step)
            return
        more = step - self.steps[digest]
        self.bar.update(more)
        self.taken += more
        self.steps[digest] = step

    def _pass_over(self, digest: str, step: int) -> None:
        """Goes on to a step without a part in the pace."""
        more = step - self.steps[digest]
        self.steps[digest] = step
        if not self.bar.disable:
            self.bar.initial += more
            self.bar.last_print_n += more
            self.bar.n += more
            self.bar.refresh()

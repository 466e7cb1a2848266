"""What a training costs, whatever else the machine does: CPU seconds or device seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch


class ComputeClock:
    """Counts the seconds that the work inside its blocks takes.

    On a CPU these are the process's CPU seconds, of all its threads: of this process alone, and
    so of one run alone, since a process carries out one run at a time. On a GPU they are the
    seconds on the device from the first to the last kernel of a block; waits between blocks do
    not count. Neither grows when the machine is busy with other things, unlike wall seconds.

    Args:
        device: Where the work is done.

    Attributes:
        seconds: What was counted, as far as it was read; none where the part before an
            interruption is not known.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: float | None = 0.0
        self._blocks: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Counts what is done inside, also where it fails."""
        if self.device.type != "cpu":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            self._blocks.append((begin, end))
            try:
                yield
            finally:
                end.record()
            return
        begun = time.process_time()
        try:
            yield
        finally:
            self._add(time.process_time() - begun)

    def read(self) -> float | None:
        """Returns the seconds so far; waits for the device."""
        for begin, end in self._blocks:
            end.synchronize()
            self._add(begin.elapsed_time(end) / 1000)
        self._blocks.clear()
        return self.seconds

    def _add(self, seconds: float) -> None:
        if self.seconds is not None:
            self.seconds += seconds

"""TensorBoard beside a dispatcher: what runs log, as event files; no training knows of it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from ..errors import UserError
from .directory import RunDirectory
from .dispatch import Done, Event
from .request import Request

LOGGER = logging.getLogger("aebench")
FOLDER = "tensorboard"


class TensorBoard:
    """Turns the logs and rows of runs that this command carries out into event files.

    They lie in ``tensorboard/<name>-<digest>`` of the results folder. A log is read anew where it
    was cut back, and then the run's former events go, so they always say what the log says.
    Whatever goes wrong here is told once, and ends the tracking, never a run.

    Args:
        requests: The runs.

    Raises:
        UserError: The package is missing.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        if find_spec("tensorboard") is None:
            raise UserError(
                "'--track' is 'tensorboard', whose package is missing; "
                "`pip install aebench[tensorboard]` gets it."
            )
        self._requests = {request.config.digest: request for request in requests}
        self._curves: dict[str, Curves] = {}
        self._works = True

    def listen(self, event: Event) -> None:
        """Reads on in the log of a run that told something."""
        self._follow(event.digest, None)

    def finish(self, done: Done) -> None:
        """Reads the rest of a run's log, and its rows."""
        # Runs that were whole before are in the folder since they were carried out.
        if done.outcome in ("trained", "evaluated", "diverged", "failed"):
            self._follow(done.request.config.digest, done)

    def close(self) -> None:
        """Writes out what runs that were stopped have logged."""
        for digest in [*self._curves]:
            self._follow(digest, None)
        for curves in self._curves.values():
            self._attempt(curves.close)

    def _follow(self, digest: str, done: Done | None) -> None:
        self._attempt(lambda: self._read(digest, done))

    def _attempt(self, work: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            work()
        except Exception as error:
            self._works = False
            LOGGER.warning(
                "aebench: TensorBoard's files cannot be written (%s: %.200s); the runs go on "
                "without them.",
                type(error).__name__,
                error,
            )

    def _read(self, digest: str, done: Done | None) -> None:
        if digest not in self._curves:
            self._curves[digest] = Curves(self._requests[digest])
        self._curves[digest].read()
        if done is not None:
            self._curves[digest].add_rows()
            self._curves.pop(digest).close()


class Curves:
    """The event files of one run."""

    def __init__(self, request: Request) -> None:
        name = re.sub(r"[^\w.=-]+", "_", request.config.label)
        self.folder = request.out / FOLDER / f"{name}-{request.config.digest}"
        self.run, self.steps = request.folder, request.config.training.steps
        self._at, self._last = 0, b""
        self._writer: Any = None

    def read(self) -> None:
        """Adds the lines that the log got since."""
        for entry in self._new_lines():
            step, split = int(entry.pop("step")), entry.pop("split")
            for name, value in entry.items():
                if value is not None:
                    self._writer.add_scalar(f"{name}/{split}", value, step)

    def add_rows(self) -> None:
        """Adds the scores of the run's rows, at the last step."""
        for row in RunDirectory(self.run).rows():
            if row["value"] is not None:
                names = (row["metric"], row["images"], row["density"], row["kind"], row["model"])
                name = "/".join(["scores", *filter(None, names)])
                self._writer.add_scalar(name, row["value"], row["steps"])

    def close(self) -> None:
        """Writes what is still held in memory."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _new_lines(self) -> Iterator[dict[str, Any]]:
        log = self.run / "log.jsonl"
        content = log.read_bytes() if log.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if self._writer is None or whole[: self._at] != self._last:
            self._start_anew()
        new = whole[self._at :]
        self._at, self._last = len(whole), whole
        yield from map(json.loads, new.splitlines())

    def _start_anew(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        for former in self.folder.glob("events.out.tfevents.*"):
            former.unlink()
        self._at, self._last = 0, b""
        self._writer = SummaryWriter(str(self.folder))

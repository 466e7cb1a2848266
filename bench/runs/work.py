"""The runs of a whole suite: which are known, which are to do, and doing these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..errors import RunFailed, number_of
from .asked import write_asked
from .directory import RunDirectory
from .dispatch import Dispatcher, Done, Event
from .floor import write_floors
from .known import KnownRows, sort_out
from .request import Request, Today


class Listener(Protocol):
    """Is told how runs go on and how each ended."""

    def listen(self, event: Event) -> None:
        """Takes what a run tells while it goes on."""
        ...

    def finish(self, done: Done) -> None:
        """Takes how a run ended."""
        ...


class SuiteWork:
    """The runs of a suite, or of a share of it.

    Args:
        everything: All runs of the suite, at least one: references serve all of them.
        requests: The runs of this share.
        todays: For each of these what it would be trained by and on.
        retrain: Whether runs of which the rows alone are here are trained, too.

    Attributes:
        rest: The runs to carry out.
        ended: How the others ended; `carry_out` adds the rest.
        doubts: Why runs that are on record are not known by their rows, by run.

    Raises:
        UserError: The record of equivalent code is damaged.
    """

    def __init__(
        self,
        everything: Sequence[Request],
        requests: Sequence[Request],
        todays: Sequence[Today],
        *,
        retrain: bool = False,
    ) -> None:
        self._everything, self._requests = everything, requests
        self._known = None if retrain else KnownRows(everything[0].out)
        self.ended: list[Done] = []
        self.rest = list(requests)
        if self._known is not None:
            self.ended, self.rest = sort_out(requests, todays, self._known)
        self.doubts = self._known.doubts if self._known else {}
        self.count = len(requests)

    @property
    def whole(self) -> int:
        """How many runs have ended and did not fail."""
        return sum(done.error is None for done in self.ended)

    def carry_out(self, dispatcher: Dispatcher, listeners: Sequence[Listener]) -> None:
        """Carries out the rest; a run that fails stops no other.

        Raises:
            Stopped: A stop was asked for; what was done so far is saved.
            OSError: The results folder cannot be written.
        """
        if self.rest:
            write_asked(self._everything[0].out, [r.config for r in self._everything])

        def listen(event: Event) -> None:
            for listener in listeners:
                listener.listen(event)

        for done in dispatcher.map(self.rest, listen):
            self.ended.append(done)
            for listener in listeners:
                listener.finish(done)

    def divergences(self) -> list[str]:
        """Returns for each run that diverged a line that says which it is, and why."""
        told = []
        for request in (done.request for done in self.ended if done.outcome == "diverged"):
            rows = RunDirectory(request.folder).rows()
            if not rows and self._known is not None:
                rows = self._known.rows(request.config.digest)
            reasons = [row["reason"] for row in rows if row["status"] == "diverged"]
            told.append(f"run '{request.config.label}' diverged: {'; '.join(reasons)}")
        return told

    def failed_scores(self) -> str:
        """Returns how many scores of the runs carried out failed and why; empty where none did."""
        done = [d.request for d in self.ended if d.outcome in ("trained", "evaluated")]
        rows = (row for request in done for row in RunDirectory(request.folder).rows())
        failed = [row for row in rows if row["status"] == "failed"]
        if not failed:
            return ""
        reasons = sorted({f"'{row['metric']}': {row['reason']}" for row in failed})
        more = f"; and {number_of(len(reasons) - 1, 'more reason')}, which the report names"
        told = f"{number_of(len(failed), 'score')} failed. {reasons[0]}"
        return told + more * (len(reasons) > 1)

    def score_references(self) -> None:
        """Scores real images of this share's data, whole and damaged, where that was not done.

        Raises:
            Stopped: A stop was asked for; what was scored is kept.
            RunFailed: Memory does not suffice, or the rows cannot be written.
            UserError: Data or the output folder cannot be used.
        """
        # The data sets of other shares may not be on this machine.
        here = {(r.config.dataset, r.config.split) for r in self._requests}
        served = [r for r in self._everything if (r.config.dataset, r.config.split) in here]
        try:
            write_floors(served, self._known)
        except OSError as error:
            raise RunFailed(
                f"floor of the scores: {error.strerror or error}: '{error.filename}'."
            ) from error

"""Runs that are known by their rows: committed, whole, and the same as those asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..evaluation.identity import CHOICES, evaluation_identity, has_other_weights
from ..files.storage import canonical_json
from ..records.equivalence import known_pairs, same_scores
from ..records.figure_file import FigureFile
from ..records.per_image import PerImage, ScoreKey, by_run, read_per_image
from ..records.results import Record, checksum, read_results, records_of
from ..records.trainings import (
    ARRAYS,
    COMMITTED,
    ROWS,
    Origin,
    arrays_digest,
    read_committed,
    read_origin,
    rows_by_run,
    rows_digest,
)
from ..suites.config import Config, Evaluation
from .dispatch import Done
from .request import Request, Today, standing

KNOWN = "known by its rows"
REFERENCE = ("metrics", "features", "images")  # All settings that a reference depends on.
WEIGHTLESS = "stale (needs its weights)"


class KnownRows:
    """What is committed in a results folder beside the runs that are there.

    Args:
        out: The results folder.

    Attributes:
        doubts: Why runs that are on record are not known by their rows, by run.
        idle: Whether no run is carried out, so that nothing is scored that would be compared.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.doubts: dict[str, str] = {}
        self.idle = False

    def origin(self, run: str) -> Origin | None:
        """Returns what a run without a directory was made from, if all of it is whole."""
        if (self.out / "runs" / run).is_dir():
            return None
        rows = self.rows(run)
        try:
            found = self._trainings.get(run, {})
            if not rows:
                if found:
                    table = self.out / "results.csv"
                    self.doubts[run] = f"'{table}' lacks their rows; restore it to keep them."
                return None
            arrays = arrays_digest(run, self._figures, self._scores.get(run, {}))
        except UserError as error:
            if rows:
                self.doubts[run] = str(error)
            return None
        if not found.get("evaluation") and not self._diverged(run):
            self.doubts[run] = f"'{self.out / COMMITTED}' does not say what they were made from."
        elif found.get(ROWS) != rows_digest(map(checksum, rows)):
            self.doubts[run] = f"'{self.out / 'results.csv'}' is not as it was written."
        elif found.get(ARRAYS) != arrays:
            self.doubts[run] = f"The files in '{self.out / 'arrays'}' are not as written."
        else:
            return found
        return None

    def rows(self, run: str) -> list[Record]:
        """Returns the committed rows of a run."""
        return self._rows.get(run, [])

    def has_reference(self, run: str, settings: Evaluation, identity: Mapping[str, Any]) -> bool:
        """Returns whether a reference of the scores asked for is here by its rows alone."""
        found = self.origin(run)
        if found is None:
            return False
        # One that was scored like the runs beside it stays with them.
        same = found["data"] == identity["data"]
        record, rows = settings.record(), self._rows[run]
        asked = {name: record[name] for name in REFERENCE}
        return self.idle or (same and _is_asked_for(found, rows, asked, str(identity["code"])))

    def evaluated(self, run: str) -> Mapping[str, Any]:
        """Returns the settings by which a run on record was scored; empty where none are known."""
        try:
            found = read_origin(self.out / "runs" / run) or self._trainings.get(run, {})
        except UserError:  # The committed record is damaged.
            return {}
        settings: Mapping[str, Any] = found.get("evaluation", {}).get("settings", {})
        return settings

    def outcome(self, request: Request, today: Today) -> str:
        """Returns how a run stands by its rows alone; empty where it has to be carried out.

        Raises:
            UserError: Data or backbone are others now, and training again was not asked for.
        """
        found = self.origin(request.config.digest)
        if found is None:
            return ""
        then = Today(*(str(found.get(field.name)) for field in dataclasses.fields(Today)))
        outcome: str = standing(request, then, today, str(self.out / "results.csv"))
        if outcome == "complete":
            outcome = self._scored(request.config, found, today)
        return "" if outcome.startswith("stale") and request.rerun_stale else outcome

    def _scored(self, config: Config, found: Origin, today: Today) -> str:
        if self._diverged(config.digest):
            return "diverged"
        settings, rows = config.evaluation, self._rows[config.digest]
        code = str(evaluation_identity(settings, today.data)["code"])
        asked = _is_asked_for(found, rows, settings.record(), code)
        return KNOWN if asked else WEIGHTLESS

    def _diverged(self, run: str) -> bool:
        return any(row["status"] == "diverged" for row in self._rows[run])

    @cached_property
    def _rows(self) -> dict[str, list[Record]]:
        try:
            return rows_by_run(records_of(read_results(self.out).rows))
        except UserError:  # No row is here.
            return {}

    @cached_property
    def _trainings(self) -> dict[str, Origin]:
        return read_committed(self.out / COMMITTED)

    @cached_property
    def _figures(self) -> FigureFile:
        return FigureFile(self.out, [])

    @cached_property
    def _scores(self) -> dict[str, dict[ScoreKey, PerImage]]:
        return by_run(read_per_image(self.out))


def sort_out(
    requests: Sequence[Request], todays: Sequence[Today], known: KnownRows
) -> tuple[list[Done], list[Request]]:
    """Returns the runs that are known by their rows, as ended, and those to carry out.

    Args:
        requests: All runs.
        todays: For each what it would be trained by and on.
        known: What is committed.

    Raises:
        UserError: The record of equivalent code is damaged.
    """
    known_pairs()  # Read here, so that damage is said once and not by every run.
    ended: list[Done] = []
    rest: list[Request] = []
    for request, today in zip(requests, todays, strict=True):
        try:
            outcome = known.outcome(request, today)
        except UserError as error:
            ended.append(Done(request, "failed", error))
            continue
        if outcome:
            ended.append(Done(request, outcome))
        else:
            rest.append(request)
    known.idle = not rest
    return ended, rest


def _is_asked_for(
    found: Origin, rows: Sequence[Record], now: Mapping[str, Any], code: str
) -> bool:
    """Returns whether rows hold every score that settings ask for, as they would give it."""
    then = found["evaluation"]
    old = then["settings"]
    values = {name for name in now if name not in CHOICES}
    same = all(canonical_json(now[name]) == canonical_json(old.get(name)) for name in values)
    choices = [name for name in CHOICES if isinstance(now.get(name), tuple)]
    asked = same and all({*now[name]} <= {*old.get(name, ())} for name in choices)
    kept = asked and not has_other_weights(rows, now["features"])
    return kept and same_scores(then["code"], code, rows, old)

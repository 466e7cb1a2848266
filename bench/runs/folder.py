"""How each run of a results folder stands, from the folder alone and without writing into it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import UserError
from ..files.checkpoint import read_record
from ..files.locking import is_held
from ..records.encoding import Record, decode_result
from ..records.figure_file import read_object
from ..records.rows import BadRow
from ..records.table_rows import read_table
from .asked import Asked, read_asked

State = Literal["running", "begun", "stopped", "waiting", "done", "failed", "diverged"]
RUN = re.compile(r"[0-9a-f]{16}")  # References of real images have other names.
TAIL_BYTES = 4096


@dataclass(frozen=True)
class Standing:
    """How one run stands.

    Attributes:
        run: Its digest.
        label: Its name in words; empty where nothing in the folder says it.
        state: ``running``: a process holds its lock, here or on another machine. ``stopped``: it
            was begun and nobody holds it. ``begun``: either, where the file system does not say
            who holds a lock. ``waiting``: asked for, and not begun. ``done``, ``diverged`` and
            ``failed`` have rows; all rows of a failed run say that they failed.
        stage: ``training`` or ``evaluation`` of a run that was begun and has not ended.
        step: The last step in its log.
        steps: Steps of the whole training; 0 where that is not known.
        rate: Seconds of a training step, by the rows or else by the last saved state.
        scoring: Seconds from the weights to the rows.
        silent: Seconds since a run that was begun and has not ended last wrote something.
        reason: Why it diverged or failed.
    """

    run: str
    label: str
    state: State
    stage: str = ""
    step: int = 0
    steps: int = 0
    rate: float | None = None
    scoring: float | None = None
    silent: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Overview:
    """All runs of a folder.

    Attributes:
        runs: Each run, sorted by label and digest.
        is_listed: Whether the folder says which runs were asked for.
        warnings: One line for each thing that could not be used.
    """

    runs: tuple[Standing, ...]
    is_listed: bool
    warnings: tuple[str, ...]


class ResultsFolder:
    """Reads how the runs of a folder stand; a run that has ended is read once.

    Args:
        folder: The results folder of one suite.

    Raises:
        UserError: There is no such folder, or neither run nor row nor list of runs in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ended: dict[str, tuple[int, Standing]] = {}
        self._table: tuple[int, dict[str, Standing], list[str]] = (0, {}, [])
        if not folder.is_dir():
            raise UserError(
                f"No results folder at '{folder}'; expected the --out of `aebench run`."
            )
        if not self.look().runs:
            raise UserError(f"No run in '{folder}'; expected the --out of `aebench run`.")

    def look(self) -> Overview:
        """Returns how every run stands now."""
        asked, warnings = read_asked(self.folder)
        known, told = self._known()
        found = {run: Standing(run, a.label, "waiting", steps=a.steps) for run, a in asked.items()}
        found |= known
        runs = self.folder / "runs"
        for path in runs.iterdir() if runs.is_dir() else ():
            if RUN.fullmatch(path.name) and path.is_dir():
                found[path.name] = self._standing(path, asked.get(path.name), warnings)
        named = (
            replace(s, label=asked[run].label) if run in asked else s for run, s in found.items()
        )
        ordered = tuple(sorted(named, key=lambda own: (own.label, own.run)))
        return Overview(ordered, bool(asked), (*sorted(warnings), *told))

    def _known(self) -> tuple[dict[str, Standing], list[str]]:
        """Returns the runs in ``results.csv``."""
        path = self.folder / "results.csv"
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        if changed != self._table[0]:
            warnings: list[str] = []
            rows: dict[str, list[Record]] = {}
            for record in read_table(path, warnings, {}):
                if RUN.fullmatch(record["run"]):
                    rows.setdefault(record["run"], []).append(record)
            self._table = changed, {run: _ended(own) for run, own in rows.items()}, warnings
        return self._table[1:]

    def _standing(self, run: Path, asked: Asked | None, warnings: list[str]) -> Standing:
        # Files come into a run's directory by renaming, which is seen at the directory.
        changed = run.stat().st_mtime_ns
        if run.name in self._ended and self._ended[run.name][0] == changed:
            return self._ended[run.name][1]
        times = _times(run)
        ended = _result(run, times, warnings)
        # A run that is trained again has rows, and a log that is newer.
        whole = ended is not None and times["result.json"] >= times.get("log.jsonl", 0)
        held = False if whole else is_held(run)
        if ended is not None and not held:
            self._ended[run.name] = changed, ended
            return ended
        return _unfinished(
            run, "begun" if held is None else "running" if held else "stopped", times, asked
        )


def _result(run: Path, times: Mapping[str, float], warnings: list[str]) -> Standing | None:
    """Returns how a run ended by its ``result.json``, nothing where there is no whole one."""
    if "result.json" not in times:
        return None
    path = run / "result.json"
    try:
        rows, _ = decode_result(path.read_text(encoding="utf-8"), run)
    except (OSError, BadRow, UnicodeDecodeError) as error:
        warnings.append(f"'{path}': {error}; `aebench run` evaluates the run again.")
        return None
    weights = times.get("checkpoint.safetensors")
    scoring = None if weights is None else max(0.0, times["result.json"] - weights)
    return replace(_ended(rows), run=run.name, scoring=scoring) if rows else None


def _ended(rows: Sequence[Record]) -> Standing:
    by_status = {row["status"]: row for row in rows}
    state: State = "done"
    if "diverged" in by_status:
        state = "diverged"
    elif set(by_status) == {"failed"}:
        state = "failed"
    row, done = by_status.get(state, rows[0]), state == "done"
    rate = row["train_seconds"] / row["steps"] if row["steps"] and done else None
    reason = "" if done else row["reason"]
    options = row["variant"]
    return Standing(
        row["run"], _label(row, options), state, steps=row["steps"], rate=rate, reason=reason
    )


def _unfinished(
    run: Path, state: State, times: Mapping[str, float], asked: Asked | None
) -> Standing:
    found = read_object(run / "config.json").get("config")
    config = found if isinstance(found, Mapping) else {}
    steps = asked.steps if asked else int(config.get("training", {}).get("steps", 0))
    written = max(times.values(), default=None)
    # A file's date is one of the clock that can be set; its age can be told by no other.
    now = datetime.now(UTC).timestamp()
    silent = None if written is None else max(0.0, now - written)
    begun = Standing(run.name, _label(config, ""), state, "training", steps=steps, silent=silent)
    if times.get("checkpoint.safetensors", -1.0) >= times.get("log.jsonl", 0.0):
        return replace(begun, stage="evaluation", step=steps)
    saved = read_record(run / "state.safetensors")
    rate = saved["seconds"] / saved["step"] if saved.get("step") else None
    return replace(begun, step=_last_step(run / "log.jsonl"), rate=rate)


def _label(values: Mapping[str, Any], options: str) -> str:
    """Returns a run's name from its row or its config; empty where neither says it."""
    if not {"objective", "dataset", "latent_dim", "seed"} <= values.keys():
        return ""
    variant = f" {options}" if options else ""
    place = f"{values['dataset']} d={values['latent_dim']} s={values['seed']}"
    return f"{values['objective']}{variant} {place}"


def _times(run: Path) -> dict[str, float]:
    """Returns when each file of a run was last written, by name; not those half written."""
    found = {}
    for path in run.iterdir():
        if not path.name.startswith("."):
            try:
                found[path.name] = path.stat().st_mtime
            except FileNotFoundError:  # A state was removed meanwhile.
                continue
    return found


def _last_step(log: Path) -> int:
    """Returns the step in the last whole line of a log, 0 where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            lines = file.read().split(b"\n")
        return int(json.loads(lines[-2])["step"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return 0

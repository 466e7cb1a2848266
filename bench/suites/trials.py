"""The file of trials that ``aebench tune`` writes, and the settings that a suite takes from it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files.csv_cells import csv_text, from_cell
from ..files.storage import canonical_json, write_atomically
from .config import Config

if TYPE_CHECKING:
    from ...models.objectives.objective import Objective
    from ...models.options import Range

OK, LOST, UNTUNABLE = STATES = ("ok", "lost", "nothing to tune")
# Of a run that names no space, data that are no images decide, before the objective.
DATA_SPACES = ("real", "sequence")
PAGE = "tuning.md"  # What is written beside a file of trials, for readers.
RUN_TUNE = "Trials come from `aebench tune SUITE --trials N`"


@dataclass(frozen=True)
class Trial:
    """One trial of one method: which settings were tried, and what they gave.

    Attributes:
        suite: Name of the suite.
        scale: Its scale.
        dataset: Name of the data set.
        split: Which images train, validate and test.
        backbone: Name of the networks, with their options as canonical JSON.
        latent_dim: Dimensions of a latent code.
        objective: Name of the objective.
        space: The space that it was trained in.
        noise_sigma: Noise of the denoising protocol.
        given: Options that the suite sets itself, canonical JSON; they are not tuned.
        trial: 0 for the default setting, then counted up.
        options: The options tried, canonical JSON; none in the default setting.
        state: ``ok``; ``lost`` where it diverged or has no score; ``nothing to tune`` for the
            one line of an objective without ranges.
        value: The criterion.
        stderr: Its standard error, where one is known.
        criterion: What the value is.
        better: ``lower`` or ``higher``.
        density: Where the best samples, or the best likelihood, came from.
        images: Validation images that were compared with.
        steps: Optimiser steps.
        seed: The trial's seed, which no run of the suite has.
        ranges: The ranges, canonical JSON: low, high and whether logarithmic, by option.
        study: Digest of all conditions but the options: settings, data, code, ranges.
        reason: Why it was lost.
        device: The device in words.
        commit: The git commit of the code.
        versions: Versions of the libraries, canonical JSON.
        date: UTC.
    """

    suite: str
    scale: str
    dataset: str
    split: str
    backbone: str
    latent_dim: int
    objective: str
    space: str
    noise_sigma: float
    given: str
    trial: int
    options: str
    state: str
    value: float | None
    stderr: float | None
    criterion: str
    better: str
    density: str
    images: int
    steps: int
    seed: int
    ranges: str
    study: str
    reason: str
    device: str
    commit: str
    versions: str
    date: str

    @property
    def method(self) -> tuple[Any, ...]:
        """What is tuned: all its trials share this, and no other's do."""
        network = network_of(self.backbone)
        place = (self.dataset, self.split, network, self.latent_dim, self.noise_sigma)
        return (*place, self.objective, self.space, self.given)

    @property
    def label(self) -> str:
        """The method as messages and tables name it."""
        return f"{self.objective} ({self.space}){'' if self.given == '{}' else ' ' + self.given}"


COLUMNS = {field.name: str(field.type) for field in fields(Trial)}


class Trials:
    """All trials of a file, in order.

    Args:
        path: What an error names.
        trials: In any order.

    Raises:
        UserError: Two are the same, or trials of one method were made under other conditions.
    """

    def __init__(self, path: Path, trials: Iterable[Trial]) -> None:
        self.path = path
        self.all = sorted(trials, key=lambda t: (*map(str, t.method), t.trial))
        self.methods: dict[tuple[Any, ...], list[Trial]] = {}
        for trial in self.all:
            self.methods.setdefault(trial.method, []).append(trial)
        for own in self.methods.values():
            if len({trial.trial for trial in own}) < len(own):
                raise UserError(f"'{path}' has two trials of {own[0].label} with one number.")
            if len({trial.study for trial in own}) > 1:
                raise UserError(
                    f"'{path}' has trials of {own[0].label} from two studies, which cannot be "
                    "compared; name another folder with --out."
                )

    @classmethod
    def read(cls, path: Path) -> Trials:
        """Returns the trials of a file.

        Raises:
            UserError: It cannot be read, or is no such file.
        """
        try:
            lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
        except OSError as error:
            told = f"File of trials '{path}' cannot be read: {error.strerror}. {RUN_TUNE}."
            raise UserError(told) from error
        except (ValueError, csv.Error) as error:
            raise UserError(f"'{path}' is no file of trials: {error}. {RUN_TUNE}.") from error
        if not lines or lines[0] != list(COLUMNS):
            raise UserError(f"'{path}' is no file of trials: its columns are others. {RUN_TUNE}.")
        counted = enumerate(lines[1:], start=2)
        return cls(path, [_parsed(line, f"'{path}', line {at}") for at, line in counted])

    def write(self) -> None:
        """Writes the file, atomically."""
        write_atomically(self.path, csv_text([list(COLUMNS), *map(astuple, self.all)]))

    def best_options(self, config: Config) -> dict[str, Any]:
        """Returns what the best trial of a run's method sets; nothing where that is the default.

        Raises:
            UserError: There are no trials of it, or its ranges have changed since.
        """
        kind, default = _objective(config)
        own = self._of(config, default)
        if not own:
            if not kind.ranges(config.options):
                return {}
            raise self._lacking(config, default)
        kind, _ = _objective(config, own[0].space)
        ranges = ranges_text(kind.ranges(config.options))
        if own[0].ranges != ranges:
            raise UserError(
                f"'{self.path}': the ranges of {own[0].label} have changed since its trials: "
                f"from {own[0].ranges} to {ranges}; tune it again, with another --out."
            )
        best = best_of(own)
        return json.loads(best.options) if best is not None else {}

    def untried(self, configs: Iterable[Config]) -> list[str]:
        """Returns the methods that have ranges and no trial, in order, with data and code size.

        Args:
            configs: Runs of a suite; one whose objective is not known here is passed over.
        """
        found: dict[str, dict[str, None]] = {}
        for config in configs:
            with suppress(UserError, ValueError):
                kind, default = _objective(config)
                if kind.ranges(config.options) and not self._of(config, default):
                    given = f" {canonical_json(config.options)}" if config.options else ""
                    space = f" ({config.space})" if config.space else ""
                    place = f"{config.dataset}, d = {config.latent_dim}"
                    found.setdefault(place, {})[f"{config.objective}{space}{given}"] = None
        return [f"{', '.join(names)} ({place})" for place, names in found.items()]

    def _lacking(self, config: Config, space: str) -> UserError:
        """Returns the error that says which trials are missing, and which are there."""
        if not self.all:
            return UserError(f"'{self.path}' has no trials yet. {RUN_TUNE}.")
        place = _place(config)
        here = sorted({trial.label for trial in self.all if _place(trial) == place})
        there = here or sorted({_place(trial) for trial in self.all})
        return UserError(
            f"'{self.path}' has no trials of {config.objective} ({space}) on {place}; "
            f"it has those {'of' if here else 'on'} {'; '.join(there)}. {RUN_TUNE}."
        )

    def _of(self, config: Config, default: str) -> list[Trial]:
        """Returns the trials of a run's method."""
        network = network_of(config.network)
        spaces = (default,) if config.space else (*DATA_SPACES, default)
        place = (config.dataset, config.split, network, config.latent_dim)
        wanted = (*place, config.training.noise_sigma, config.objective)
        given = canonical_json(config.options)
        tried = [(*wanted, space, given) for space in spaces]
        return next((self.methods[method] for method in tried if method in self.methods), [])


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Returns the best of one method's trials; of equals the first, so the default one.

    A lost trial is never the best.
    """

    def rank(trial: Trial) -> tuple[float, int]:
        value = math.inf if trial.value is None else trial.value
        return (value if trial.better == "lower" else -value), trial.trial

    return min((t for t in trials if t.state == OK), key=rank, default=None)


def read_known(path: Path) -> list[Trial]:
    """Returns the trials of a file, in order; none where there is no file.

    Raises:
        UserError: It is no file of trials, or damaged.
    """
    return Trials.read(path).all if path.exists() else []


def ranges_text(ranges: Mapping[str, Range]) -> str:
    """Returns ranges as canonical JSON."""
    return canonical_json({k: [float(r.low), float(r.high), r.log] for k, r in ranges.items()})


def network_of(backbone: str) -> str:
    """Returns a backbone without its width, in which the scales of a suite differ."""
    name, _, options = backbone.partition(" ")
    kept = {k: v for k, v in json.loads(options or "{}").items() if k != "width"}
    return f"{name} {canonical_json(kept)}" if kept else name


def _objective(config: Config, space: str = "") -> tuple[type[Objective], str]:
    """Returns the class of a run's objective in a space, and that space; by default its own."""
    from ...models.objectives.objective import OBJECTIVES

    named = OBJECTIVES.get(config.objective)
    space = space or config.space or named.default_space
    try:
        return named.in_space(space), space
    except ValueError as error:
        raise UserError(f"Run '{config.label}': {error}") from error


def _place(what: Trial | Config) -> str:
    backbone = network_of(what.backbone if isinstance(what, Trial) else what.network)
    return f"{what.dataset}, split '{what.split}', {backbone}, d = {what.latent_dim}"


def _parsed(line: list[str], where: str) -> Trial:
    """Returns one line's trial.

    Raises:
        UserError: A cell is missing or does not fit its column.
    """
    try:
        cells = zip(COLUMNS.items(), line, strict=True)
        values: dict[str, Any] = {name: from_cell(text, kind) for (name, kind), text in cells}
        trial = Trial(**values)
        tried, ranges = json.loads(trial.options), json.loads(trial.ranges)
        _ = json.loads(trial.given), trial.method
        if trial.state not in STATES or trial.better not in ("lower", "higher"):
            raise ValueError(f"'state' is '{trial.state}' and 'better' is '{trial.better}'")
        if trial.state == OK and (trial.value is None or not math.isfinite(trial.value)):
            raise ValueError(f"'value' is {trial.value} in a trial that is ok")
        for name, value in tried.items():
            low, high, _ = ranges[name]
            if not low <= float(value) <= high:
                raise ValueError(f"'{name}' is {value}, outside its range {low} to {high}")
        return trial
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: no trial can be read: {error}.") from error

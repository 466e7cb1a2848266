"""From a suite to its studies: one for each method, all under the same conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..errors import UserError
from ..files.locking import held
from ..files.storage import canonical_json, write_atomically
from ..runs.plugins import Plugin
from ..suites.config import Config
from ..suites.suite import Suite
from ..suites.trials import PAGE, UNTUNABLE, Trial, Trials, read_known
from .criterion import Outcome
from .journal import Journal
from .page import page_text
from .study import FILE, FOLDER, Search, Study

# Far from the seeds that suites have, so that no trial sees what a run of the study is made of.
APART = 2**31
# Where two lines of one method differ if they cannot be compared, as far as a reader can see it.
VISIBLE = ("steps", "images", "seed", "scale", "backbone", "ranges", "criterion")


class Plan:
    """The studies of a suite, and the lines of objectives with nothing to tune.

    Args:
        suite: With the default settings.
        out: The folder of its trials.
        device: ``cpu`` or ``cuda``.
        trials: How many each method shall have.
        plugins: What a worker loads first.
        whole: All runs of the suite, where only a part of them is tuned now.

    Raises:
        UserError: A run cannot be built or judged, or there are trials under other conditions.
    """

    def __init__(
        self,
        suite: Suite,
        out: Path,
        device: str,
        trials: int,
        plugins: tuple[Plugin, ...] = (),
        whole: Sequence[Config] = (),
    ) -> None:
        self.out, self.path = out, out / FILE
        self._whole = whole or suite.configs
        self.studies: list[Study] = []
        self.untunable: list[Trial] = []
        self._searches: list[Search] = []
        lines, known = [], read_known(self.path)
        on_file = {trial.study for trial in known}
        for config in _methods(suite.configs):
            search = Search(Study(config, out, device, plugins=plugins, trials=trials))
            search.study = replace(search.study, name=search.name(on_file))
            lines.append(search.line(0, {}, Outcome()))
            if lines[-1].state == UNTUNABLE:
                self.untunable.append(lines[-1])
                continue
            self.studies.append(search.study)
            self._searches.append(search)
        _refuse_others(lines, known, self.path)

    def finished(self) -> Iterator[Trial]:
        """Yields the finished trials of all studies that no worker is busy with."""
        for study, search in zip(self.studies, self._searches, strict=True):
            if not study.journal.exists():
                continue
            # A journal that is opened loses a line without an end, which may be in the making.
            with held(study.folder) as free:
                if free:
                    better = search.criterion.better
                    yield from Journal(study.journal, search.ranges, better).trials

    def write(self) -> Trials:
        """Writes all trials and their page; those of other methods on file are kept."""
        (self.out / FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(self.out / FOLDER / ".lock"):
            kept = {(t.method, t.trial): t for t in read_known(self.path)}
            kept |= {(t.method, t.trial): t for t in self.finished()}
            # What is on file stays, date and all.
            kept = {(t.method, t.trial): t for t in self.untunable} | kept
            trials = Trials(self.path, kept.values())
            trials.write()
            write_atomically(self.out / PAGE, page_text(trials, self._whole))
        return trials


def _methods(configs: Sequence[Config]) -> Iterator[Config]:
    """Yields a trial's settings for each method: shorter than a run, from a seed of its own.

    Raises:
        UserError: A suite trains one method in several ways.
    """
    seed = min(config.seed for config in configs) ^ APART
    found: dict[str, Config] = {}
    for config in configs:
        training = replace(config.training, steps=config.tuning.steps)
        trial = replace(config, seed=seed, training=training)
        record = trial.training_record()
        method = canonical_json({**record, "training": training.noise_sigma})
        if method not in found:
            found[method] = trial
        elif found[method].training_record() != record:
            raise UserError(
                f"Suite '{config.suite}' trains '{config.label}' with several settings of "
                "'training'; expected one, choose it with --set."
            )
    yield from found.values()


def _refuse_others(lines: Iterable[Trial], known: Iterable[Trial], path: Path) -> None:
    """Checks that each method has one set of conditions, those of its trials on file.

    Raises:
        UserError: It has not, and its trials could not be compared.
    """
    today: dict[tuple[Any, ...], Trial] = {}
    for line in lines:
        first = today.setdefault(line.method, line)
        if first.study != line.study:
            both = [f"{n} {getattr(first, n)} and {getattr(line, n)}" for n in _apart(first, line)]
            raise UserError(
                f"Suite '{line.suite}' trains {line.label} under two sets of conditions that "
                f"trials do not tell apart ({'; '.join(both) or 'code, data or a setting'}); "
                "expected one, leave the other to a suite of its own."
            )
    for trial in known:
        line = today.get(trial.method, trial)
        if line.study == trial.study:
            continue
        changes = [
            f"{name} was {getattr(trial, name)}, is {getattr(line, name)}"
            for name in _apart(trial, line)
        ]
        raise UserError(
            f"'{path}' has trials of {trial.label} made under other conditions "
            f"({'; '.join(changes) or 'code, data or another setting'}); "
            "name another folder with --out."
        )


def _apart(one: Trial, other: Trial) -> list[str]:
    """Returns in which of the visible conditions two trials differ."""
    return [name for name in VISIBLE if getattr(one, name) != getattr(other, name)]

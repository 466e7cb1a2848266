"""Optuna's journal of one method's trials, and the settings that it suggests next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from ...models.streams import stream_seed
from ..errors import UserError
from ..records.encoding import checksum
from ..suites.trials import OK, Trial

if TYPE_CHECKING:
    from ...models.options import Range

optuna.logging.set_verbosity(optuna.logging.WARNING)
NAME = "trials"
DIRECTIONS = {"lower": StudyDirection.MINIMIZE, "higher": StudyDirection.MAXIMIZE}
# The published setting, and draws from the whole of the ranges; then the sampler has a say.
UNGUIDED = 5


class _Held:
    """In the place of Optuna's lock: whoever writes here holds the folder's lock already."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class Journal:
    """The finished trials of one method; one that was killed is not in it.

    Args:
        path: The file; it is made if it is not there.
        ranges: The ranges of the options.
        better: ``lower`` or ``higher``.

    Raises:
        UserError: The file is damaged.
    """

    def __init__(self, path: Path, ranges: Mapping[str, Range], better: str) -> None:
        self.path = path
        self._ranges = {k: FloatDistribution(r.low, r.high, log=r.log) for k, r in ranges.items()}
        self._bounds = ranges
        self._direction = DIRECTIONS[better]
        _cut_last_line(path)
        try:
            storage = JournalStorage(JournalFileBackend(str(path), _Held()))  # type: ignore[arg-type]
            self._study = optuna.create_study(
                storage=storage, study_name=NAME, direction=self._direction, load_if_exists=True
            )
            self.trials = [_read(each.number, each.user_attrs) for each in self._study.trials]
        # Optuna says in many ways that a journal does not fit together.
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise self._damaged(error) from error
        except optuna.exceptions.OptunaError as error:
            raise self._damaged(error) from error

    def add(self, trial: Trial, options: Mapping[str, float]) -> None:
        """Adds a finished trial, at once or not at all.

        Args:
            trial: Its line.
            options: The options in force, also the published ones.
        """
        record = asdict(trial)
        done = trial.state == OK
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if done else TrialState.FAIL,
                value=trial.value if done else None,
                params={k: self._bounds[k].clamp(float(options[k])) for k in self._ranges},
                distributions=dict(self._ranges),
                user_attrs={"trial": record, "checksum": checksum(record)},
            )
        )
        self.trials.append(trial)

    def suggest(self, seed: int) -> dict[str, float]:
        """Returns options for the next trial: a function of seed and finished trials alone."""
        number = len(self.trials)
        # A sampler of its own for each: one that went on would remember what a kill forgets.
        sampler = optuna.samplers.TPESampler(
            seed=stream_seed(seed, f"tuning/{number}") % 2**32, n_startup_trials=UNGUIDED
        )
        study = optuna.create_study(direction=self._direction, sampler=sampler)
        study.add_trials(self._study.trials)
        asked = study.ask(dict(self._ranges)).params
        # Three digits can be read, and no score can tell them from more.
        return {k: self._bounds[k].clamp(float(f"{v:.3g}")) for k, v in asked.items()}

    def _damaged(self, error: Exception) -> UserError:
        return UserError(
            f"Journal '{self.path}' is damaged ({type(error).__name__}: {error}); remove it to "
            "make these trials again."
        )


def _read(number: int, attributes: Mapping[str, Any]) -> Trial:
    record = attributes["trial"]
    if attributes["checksum"] != checksum(record) or record["trial"] != number:
        raise ValueError(f"trial {number} is not what was written")
    return Trial(**record)


def _cut_last_line(path: Path) -> None:
    """Removes what a killed writer has left of a line; its trial is made again."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)

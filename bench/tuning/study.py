"""The trials of one method, one after the other: what a worker carries out for `aebench tune`."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...metrics.bigrams import bigram_distance
from ..evaluation.identity import evaluation_identity
from ..evaluation.text_outputs import TextOutputs
from ..files.storage import canonical_json
from ..interruption import check_stop
from ..records.code import METRICS, code_digest
from ..records.equivalence import training_alike
from ..records.provenance import commit, device_name, now, versions
from ..runs.request import Request
from ..runs.runner import Run
from ..suites.trials import (
    LOST,
    OK,
    UNTUNABLE,
    Trial,
    ranges_text,
    read_known,
)
from ..training.term_sums import Diverged
from ..training.trainer import Progress, Trainer
from .criterion import Criterion, Outcome, criterion_of
from .journal import UNGUIDED, Journal

if TYPE_CHECKING:
    from ...models.options import Range

FILE = "tuning.csv"
TEXT_CODE = (bigram_distance.__module__, TextOutputs.__module__)  # By which strings are judged.
FOLDER = "tuning"


@dataclass(frozen=True)
class Study(Request):
    """The trials of one method.

    Attributes:
        config: Of each trial, but for its options.
        trials: How many there shall be.
        name: Digest of all conditions but the options; `Search.name` gives it.
    """

    trials: int = 1
    name: str = ""

    @property
    def folder(self) -> Path:
        """The study's directory: its journal, and the trial that is going on."""
        return self.out / FOLDER / self.name

    @property
    def journal(self) -> Path:
        """Optuna's journal."""
        return self.folder / "journal.log"

    def opened(self) -> Search:
        """Returns what makes the trials."""
        return Search(self)


class Search:
    """Makes the trials that a study lacks.

    Args:
        study: Which, and how many.

    Raises:
        UserError: The run cannot be built.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.config = study, study.config
        published = Run(study)
        self.data = published.data
        self.space = published.objective.space.name
        self.published: dict[str, Any] = published.objective.hyperparameters
        self.ranges: Mapping[str, Range] = type(published.objective).ranges(self.config.options)
        self.criterion: Criterion = criterion_of(self.config, self.data)
        self.code = published.training_code

    def name(self, on_file: Collection[str]) -> str:
        """Returns the study's name: a digest of what makes two of its trials comparable.

        Args:
            on_file: Names of studies that there are. One of them that code made which is on
                record as equivalent to today's is the same study.
        """
        code = str(self._evaluation["code"])
        own = self._digest(self.code, code)
        if own in on_file or not on_file:
            return own
        pairs = product(training_alike(self.code), self.criterion.scoring_codes(code))
        return min({self._digest(*pair) for pair in pairs} & {*on_file}, default=own)

    def _digest(self, training_code: str, scoring_code: str) -> str:
        about = {
            "training": self.config.training_record(),
            "code": training_code,
            "evaluation": self._evaluation | {"code": scoring_code},
            "criterion": [self.criterion.text, self.criterion.fitted, self.criterion.images],
            "densities": self.criterion.settings.densities,
            "ranges": ranges_text(self.ranges),
            "unguided": UNGUIDED,
            **({"texts": code_digest(TEXT_CODE, (METRICS,))} if self.data.form else {}),
        }
        return hashlib.sha256(canonical_json(about).encode()).hexdigest()[:16]

    @cached_property
    def _evaluation(self) -> dict[str, Any]:
        return evaluation_identity(self.criterion.settings, self.data.digest)

    def execute(
        self,
        report: Callable[[str], None],
        watch: Callable[[Progress], None] | None = None,
    ) -> str:
        """Makes trials up to the wanted number; those that are finished are not made again.

        Args:
            report: Called with a line for each trial.
            watch: Called at each validation.

        Raises:
            Stopped: A stop was asked for; finished trials are kept.
            UserError: The journal is damaged.
        """
        journal = Journal(self.study.journal, self.ranges, self.criterion.better)
        for trial in self._written()[len(journal.trials) :]:
            journal.add(trial, self.published | json.loads(trial.options))
        if len(journal.trials) >= self.study.trials:
            return "complete"
        while (number := len(journal.trials)) < self.study.trials:
            check_stop()
            options = journal.suggest(self.config.seed) if number else {}
            outcome = self._try_out(options, watch)
            trial = self.line(number, options, outcome)
            journal.add(trial, self.published | options)
            report(told(trial, self.study.trials))
        return "tuned"

    def line(self, number: int, options: Mapping[str, float], outcome: Outcome) -> Trial:
        """Returns the line of a trial; that of an objective without ranges has no value."""
        config = self.config
        state = OK if outcome.value is not None else LOST
        return Trial(
            suite=config.suite,
            scale=config.scale,
            dataset=config.dataset,
            split=config.split,
            backbone=config.network,
            latent_dim=config.latent_dim,
            objective=config.objective,
            space=self.space,
            noise_sigma=config.training.noise_sigma,
            given=canonical_json(config.options),
            trial=number,
            options=canonical_json(dict(options)),
            state=state if self.ranges else UNTUNABLE,
            value=outcome.value,
            stderr=outcome.stderr,
            criterion=self.criterion.text,
            better=self.criterion.better,
            density=outcome.density,
            images=self.criterion.images,
            steps=config.training.steps,
            seed=config.seed,
            ranges=ranges_text(self.ranges),
            study=self.study.name,
            reason=outcome.reason,
            device=device_name(self.study.device),
            commit=commit(),
            versions=_versions(),
            date=now(),
        )

    def _try_out(
        self, options: Mapping[str, float], watch: Callable[[Progress], None] | None
    ) -> Outcome:
        """Trains and judges one setting; what it wrote is gone afterwards."""
        folder = self.study.folder / "trial"
        config = replace(self.config, options={**self.config.options, **options})
        run = Run(Request(config, folder, self.study.device))
        shutil.rmtree(folder, ignore_errors=True)  # Of a trial that was killed.
        folder.mkdir(parents=True)
        trainer = Trainer(
            run.objective,
            config.training,
            train=self.data.train,
            validation=self.data.validation,
            seed=config.seed,
            folder=folder,
        )
        try:
            trainer.run(watch)
            run.objective.load_state_dict(trainer.selected_weights())
            return self.criterion.judge(run.objective, config, self.data)
        except Diverged as error:
            return Outcome(reason=str(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _written(self) -> list[Trial]:
        """Returns the study's trials in the folder's file: all there is on another machine."""
        known = read_known(self.study.out / FILE)
        own = [trial for trial in known if trial.study == self.study.name]
        return [trial for at, trial in enumerate(own) if trial.trial == at]


def told(trial: Trial, trials: int) -> str:
    """Returns a finished trial as a line of progress."""
    options = ", ".join(f"{k} = {v:g}" for k, v in json.loads(trial.options).items())
    found = trial.reason if trial.value is None else f"{trial.value:.5g} {trial.density}".strip()
    return f"trial {trial.trial + 1} of {trials}, {options or 'default'}: {found}"


@cache
def _versions() -> str:
    import optuna

    return canonical_json({**json.loads(versions()), "optuna": optuna.__version__})

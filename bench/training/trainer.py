"""Training of one run: the step, the validation, the choice of weights, the whole state."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...metrics.devices import lacks_memory
from ...models.objectives.objective import Objective
from ...models.streams import stream
from ..errors import UserError
from ..interruption import check_stop, stop_requested
from ..suites.config import Training
from .batches import Batches
from .clock import ComputeClock
from .engine import Engine, recorder_for
from .plateau import Plateau
from .precision import computing_in, lay_out
from .state import (
    LOGGER,
    SavedStates,
    TrainingLog,
    adam,
    optimiser_tensors,
    part,
    restore_optimiser,
    save_seconds,
    set_rate,
)
from .step import TrainingStep
from .term_sums import Diverged, TermSums

# Of a run, where its settings leave it open: the best of one or two weights is no choice.
LEAST_VALIDATIONS = 10


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows: step, last validation loss, images a second."""

    step: int
    loss: float
    rate: float


class Trainer:
    """Trains one objective; a killed trainer goes on from its state with the same result.

    The batch order is a function of seed and epoch alone, noise comes from one generator whose
    state is saved, and the log is cut back to where the saved state left it.

    Args:
        objective: Freshly built, on the device that it is trained on.
        training: The settings.
        train: Stored training data (N, C, H, W), uint8 for images.
        validation: Stored validation data.
        seed: The run's one seed.
        folder: Where ``log.jsonl`` and the state are kept.
        identity: What the run is; a state of something else is not resumed.
        seconds_to_save: Least time between two saved states; that of `save_seconds` if None.

    Raises:
        ValueError: The batch is larger than the training data.
    """

    def __init__(
        self,
        objective: Objective,
        training: Training,
        *,
        train: Tensor,
        validation: Tensor,
        seed: int,
        folder: Path,
        identity: str = "",
        seconds_to_save: float | None = None,
    ) -> None:
        device = next(objective.parameters()).device
        lay_out(objective, training.precision)
        self.objective, self.training, self.seed = objective, training, seed
        self.validation = validation.to(device)
        own = train[: training.train_images or None].to(device)
        self.batches = Batches(own, training.batch_size, seed)
        self.device = device
        self.save_seconds = save_seconds() if seconds_to_save is None else seconds_to_save
        self.states = SavedStates(folder, identity)
        self.log = TrainingLog(folder / "log.jsonl")
        often = max(1, training.steps // LEAST_VALIDATIONS)
        self.validate_every = training.validate_every or min(self.batches.per_epoch, often)
        self.optimiser = adam(objective.parameters(), training.learning_rate, device)
        self.plateau = Plateau(training.plateau_patience, training.plateau_threshold)
        self.noise = stream(seed, "noise", device)
        self.step, self.seconds = 0, 0.0
        self.clock = ComputeClock(device)
        self.best: dict[str, Tensor] = {}
        self.best_loss, self.best_step = float("inf"), 0
        self.sums = TermSums(device)
        pixels = own[: training.batch_size].clone()
        self.work = TrainingStep(
            objective, training, pixels, self.optimiser, self.noise, self.sums
        )
        # Of the step alone, not of the trainer: a trainer is freed with its last reference, and
        # with it the data, the recorded step and its memory.
        self.engine = Engine(self.work.take, self.work.tensors, self.noise, recorder_for(device))

    def run(self, report: Callable[[Progress], None] | None = None) -> None:
        """Trains to the last step, from the saved state if there is one.

        Raises:
            Diverged: A loss term is not finite.
            Stopped: A stop was asked for; the state is saved.
            OSError: The state or the log cannot be written.
        """
        if not self._resume():
            self.log.path.unlink(missing_ok=True)
            self._initialise()
        with computing_in(self.training.precision, self.objective.backbone):
            self._go_on(report)
        self.engine.forget()
        lay_out(self.objective)

    def _go_on(self, report: Callable[[Progress], None] | None) -> None:
        started = saved = time.monotonic()
        first, before = self.step, self.seconds
        while self.step < self.training.steps:
            with self.clock.running():
                self.train_step()
            last = self.step == self.training.steps
            self.seconds = before + time.monotonic() - started
            if self.step % self.validate_every == 0 or last:
                with self.clock.running():
                    loss = self._validate()
                self.clock.read()  # The validation has waited for the device anyway.
                if report is not None:
                    done = (self.step - first) * self.training.batch_size
                    rate = done / max(time.monotonic() - started, 1e-9)
                    report(Progress(self.step, loss, rate))
            if not last and (stop_requested() or time.monotonic() - saved >= self.save_seconds):
                self.save()
                saved = time.monotonic()
                check_stop()
        self.seconds = before + time.monotonic() - started

    def selected_weights(self) -> dict[str, Tensor]:
        """Returns the weights to be evaluated."""
        if self.training.selection == "last step":
            return self.objective.state_dict()
        return self.best

    def save(self) -> None:
        """Writes the whole state; the one before it is kept until the next."""
        self.log.sync()
        tensors = {f"model.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"optimiser.{k}": v for k, v in optimiser_tensors(self.optimiser).items()}
        tensors["noise"] = self.noise.get_state()
        tensors["sums"], tensors["first_bad"] = self.sums.sums, self.sums.first_bad
        self.states.write(tensors, self._record())

    def _initialise(self) -> None:
        pixels = self.batches.at(self.step)
        with torch.no_grad():
            # A stream of its own: data-dependent initialisation must not shift the training's
            # noise.
            generator = stream(self.seed, "init/space", self.device)
            self.objective.initialise(self.work.prepare(pixels, generator), generator)

    def train_step(self) -> None:
        """Takes one step on the next batch, without validation or a saved state.

        Raises:
            Diverged: The objective cannot be computed.
        """
        if not self.objective.training:
            self.objective.train()
        self.batches.at(self.step, out=self.work.pixels)
        with self._told():
            self.engine.step()
        self.step += 1

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Says where a training diverged if that is why something inside failed."""
        try:
            yield
        except FloatingPointError as error:
            raise Diverged(f"{error} Step {self.step + 1}.") from error
        # A library may refuse nan weights with an error of its own; then the term that went wrong
        # first is what the user should hear of.
        except (ValueError, RuntimeError) as error:
            if lacks_memory(error):
                raise
            self.sums.check()
            lost = [n for n, p in self.objective.named_parameters() if not p.isfinite().all()]
            if not lost:
                raise
            raise Diverged(
                f"Weights '{lost[0]}' are not finite after step {self.step}, and so no term is."
            ) from error

    def _validate(self) -> float:
        self.sums.check()
        training = self.sums.take_means((self.step - 1) % self.validate_every + 1)
        terms = self._validation_terms()
        loss = sum(terms.values())
        for name, value in terms.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"Term '{name}' of the validation loss is {value} at step {self.step}."
                )
        # Strictly better only: of equal losses the earlier weights stay, on every machine.
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            weights = self.objective.state_dict()
            self.best = {k: v.detach().clone() for k, v in weights.items()}
        rate = float(self.optimiser.param_groups[0]["lr"])
        self.log.write({"step": self.step, "split": "train", "learning_rate": rate, **training})
        watched = {"loss": loss, **terms, **self._diagnostics()}
        self.log.write({"step": self.step, "split": "validation", **watched})
        set_rate(self.optimiser, self.training.learning_rate * self.plateau.step(loss))
        return loss

    @torch.no_grad()
    def _validation_terms(self) -> dict[str, float]:
        self.objective.eval()
        generator = stream(self.seed, "evaluation/validation", self.device)
        totals: dict[str, Tensor] = {}
        count = 0
        for data in self.validation.split(self.training.batch_size):
            # Batch statistics need two images; a last single one is left out, as in the training.
            if len(data) < min(2, self.training.batch_size) and count:
                continue
            with self._told(), self.work.checks():
                terms = self.objective.terms(self.work.prepare(data, generator), generator)
            for name, value in terms.items():
                totals[name] = totals.get(name, value.new_zeros((), dtype=torch.float64))
                totals[name] = totals[name] + value.double().sum()
            count += len(data)
        return {name: total / count for name, total in _numbers(totals).items()}

    @torch.no_grad()
    def _diagnostics(self) -> dict[str, float | None]:
        data = self.validation[: self.training.batch_size]
        with self.work.checks():
            x = self.work.prepare(data, stream(self.seed, "evaluation/diagnostics", self.device))
            values = _numbers(self.objective.diagnostics(x))
        return {k: v if math.isfinite(v) else None for k, v in values.items()}

    def _record(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "compute_seconds": self.clock.read(),
            "log_bytes": self.log.size,
            "best_loss": repr(self.best_loss),
            "best_step": self.best_step,
            "names": self.sums.names,
            "rate": repr(float(self.optimiser.param_groups[0]["lr"])),
            "plateau": self.plateau.state(),
        }

    def _resume(self) -> bool:
        for tensors, record in self.states.read():
            try:
                if self.log.cut(int(record["log_bytes"])):
                    self._restore(tensors, record)
                    return True
            except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
                raise UserError(
                    f"A saved state beside {self.log.path} does not fit its run ({error!r:.100}); "
                    "remove that folder to train the run again."
                ) from error
            LOGGER.warning("aebench: %s is shorter than a saved state says.", self.log.path)
        return False

    def _restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        self.objective.load_state_dict(part(tensors, "model"))
        self.best = {k: v.to(self.device) for k, v in part(tensors, "best").items()}
        restore_optimiser(self.optimiser, part(tensors, "optimiser"), float(record["rate"]))
        self.noise.set_state(tensors["noise"])
        self.step = int(record["step"])
        self.sums.restore(tensors["sums"], tensors["first_bad"], list(record["names"]), self.step)
        self.seconds = float(record["seconds"])
        self.clock.seconds = record.get("compute_seconds")
        self.best_loss, self.best_step = float(record["best_loss"]), int(record["best_step"])
        self.plateau.load_state(record["plateau"])


def _numbers(values: dict[str, Tensor]) -> dict[str, float]:
    """Returns scalars as numbers; the host waits for the device once."""
    if not values:
        return {}
    joined = torch.stack([value.double() for value in values.values()])
    return dict(zip(values, joined.tolist(), strict=True))

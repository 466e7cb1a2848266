"""Training of one run: the step, the validation, the choice of weights, the whole state."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...models.objectives.denoising import add_noise
from ...models.objectives.objective import Objective
from ...models.streams import stream
from ...models.switches import VALUE_CHECKS
from ..errors import UserError
from ..interruption import check_stop, stop_requested
from ..suites.config import Training
from .batches import Batches
from .engine import Engine, recorder_for
from .plateau import Plateau
from .precision import computing_in
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
from .term_sums import Diverged, TermSums


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
        if device.type == "cuda":
            objective.to(memory_format=torch.channels_last)
        self.objective, self.training, self.seed = objective, training, seed
        self.validation = validation.to(device)
        own = train[: training.train_images or None].to(device)
        self.batches = Batches(own, training.batch_size, seed)
        # One tensor that every batch is copied into: a recorded step reads the same address each
        # time.
        self.pixels = own[: training.batch_size].clone()
        self.device = device
        self.save_seconds = save_seconds() if seconds_to_save is None else seconds_to_save
        self.states = SavedStates(folder, identity)
        self.log = TrainingLog(folder / "log.jsonl")
        self.validate_every = training.validate_every or self.batches.per_epoch
        self.parameters = list(objective.parameters())
        self.optimiser = adam(self.parameters, training.learning_rate, device)
        self.plateau = Plateau(training.plateau_patience, training.plateau_threshold)
        self.noise = stream(seed, "noise", device)
        self.step, self.seconds = 0, 0.0
        self.best: dict[str, Tensor] = {}
        self.best_loss, self.best_step = float("inf"), 0
        self.sums = TermSums(device)
        self.engine = Engine(self._step, self._state, self.noise, recorder_for(device))

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

    def _go_on(self, report: Callable[[Progress], None] | None) -> None:
        started = saved = time.monotonic()
        first, before = self.step, self.seconds
        while self.step < self.training.steps:
            self.train_step()
            last = self.step == self.training.steps
            self.seconds = before + time.monotonic() - started
            if self.step % self.validate_every == 0 or last:
                loss = self._validate()
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
            self.objective.initialise(self._prepare(pixels, generator), generator)

    def train_step(self) -> None:
        """Takes one step on the next batch, without validation or a saved state.

        Raises:
            Diverged: The objective cannot be computed.
        """
        if not self.objective.training:
            self.objective.train()
        self.batches.at(self.step, out=self.pixels)
        self.engine.step()
        self.step += 1

    def _step(self) -> None:
        """One step on ``pixels``: on the device alone, so that it can be replayed."""
        with self._checks():
            terms = self._terms(self._prepare(self.pixels, self.noise), self.noise)
        loss = self.objective.total(terms).mean()
        for parameter in self.parameters:
            # By assignment: the optimiser's own method does the same with bookkeeping for each
            # parameter.
            parameter.grad = None
        loss.backward()
        if self.training.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(
                self.parameters, self.training.gradient_clip, foreach=True
            )
        self.optimiser.step()
        self.sums.add(terms)

    def _checks(self) -> contextlib.AbstractContextManager[None]:
        # On a GPU each check makes the host wait; all terms are looked at at each validation.
        return contextlib.nullcontext() if self.device.type == "cpu" else VALUE_CHECKS.off()

    def _state(self) -> dict[str, Tensor]:
        """Returns all that a step changes, the tensors themselves."""
        values = {f"weight.{k}": v.detach() for k, v in self.objective.named_parameters()}
        values |= {f"buffer.{k}": v for k, v in self.objective.named_buffers()}
        values |= {f"optimiser.{k}": v for k, v in optimiser_tensors(self.optimiser).items()}
        return values | self.sums.tensors()

    def _terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        try:
            return self.objective.terms(x, generator)
        except FloatingPointError as error:
            raise Diverged(f"{error} Step {self.step + 1}.") from error
        # A library may refuse nan weights with an error of its own; then the term that went wrong
        # first is what the user should hear of.
        except (ValueError, RuntimeError) as error:
            self.sums.check()
            lost = [n for n, p in self.objective.named_parameters() if not p.isfinite().all()]
            if not lost:
                raise
            raise Diverged(
                f"Weights '{lost[0]}' are not finite after step {self.step}, and so no term is."
            ) from error

    def _prepare(self, data: Tensor, generator: torch.Generator) -> Tensor:
        x = self.objective.space.prepare(data, generator)
        if self.training.noise_sigma > 0:
            x = add_noise(x, self.training.noise_sigma, generator)
        return x

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
            if len(data) < 2 and count:
                continue
            terms = self._terms(self._prepare(data, generator), generator)
            for name, value in terms.items():
                totals[name] = totals.get(name, value.new_zeros((), dtype=torch.float64))
                totals[name] = totals[name] + value.double().sum()
            count += len(data)
        return {name: float(total) / count for name, total in totals.items()}

    @torch.no_grad()
    def _diagnostics(self) -> dict[str, float | None]:
        data = self.validation[: self.training.batch_size]
        x = self._prepare(data, stream(self.seed, "evaluation/diagnostics", self.device))
        values = {k: float(v) for k, v in self.objective.diagnostics(x).items()}
        return {k: v if math.isfinite(v) else None for k, v in values.items()}

    def _record(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
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
        self.best_loss, self.best_step = float(record["best_loss"]), int(record["best_step"])
        self.plateau.load_state(record["plateau"])

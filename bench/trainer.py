"""Training of one run: the step, the validation, the choice of weights, exact resumption."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models.objective import Objective
from ..models.streams import stream
from .checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint
from .config import Training
from .plateau import Plateau
from .storage import canonical_json

NEVER = 2**62


class Diverged(Exception):
    """A loss term is not finite; the message names term, objective and step."""


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
        save_seconds: Least time between two saved states.

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
        save_seconds: float = 30.0,
    ) -> None:
        device = next(objective.parameters()).device
        train = train[: training.train_images or None]
        if training.batch_size > len(train):
            raise ValueError(
                f"'training.batch_size' is {training.batch_size}; "
                f"expected at most the {len(train)} training images."
            )
        self.objective, self.training, self.seed, self.folder = objective, training, seed, folder
        self.train, self.validation = train.to(device), validation.to(device)
        self.device, self.save_seconds, self.identity = device, save_seconds, identity
        self.epoch_steps = len(train) // training.batch_size
        self.validate_every = training.validate_every or self.epoch_steps
        self.optimiser = torch.optim.Adam(
            objective.parameters(), lr=training.learning_rate, fused=True
        )
        self.plateau = Plateau(training.plateau_patience, training.plateau_threshold)
        self.noise = stream(seed, "noise", device)
        self.step, self.seconds, self.log_bytes = 0, 0.0, 0
        self.best: dict[str, Tensor] = {}
        self.best_loss, self.best_step = float("inf"), 0
        self.names: list[str] = []
        self.sums = torch.zeros(0, device=device)
        self.first_bad = torch.zeros(0, dtype=torch.int64, device=device)
        self.order = torch.zeros(0, dtype=torch.int64, device=device)
        self.order_epoch = -1

    def run(self, report: Callable[[Progress], None] | None = None) -> None:
        """Trains to the last step, from the saved state if there is one.

        Raises:
            Diverged: A loss term is not finite.
        """
        if not self._resume():
            self._log_path().unlink(missing_ok=True)
            self._initialise()
        started, saved, first = time.monotonic(), time.monotonic(), self.step
        before = self.seconds
        while self.step < self.training.steps:
            self.objective.train()
            self._train_step()
            self.step += 1
            last = self.step == self.training.steps
            if self.step % self.validate_every == 0 or last:
                loss = self._validate()
                now = time.monotonic()
                if report is not None:
                    done = (self.step - first) * self.training.batch_size
                    report(Progress(self.step, loss, done / max(now - started, 1e-9)))
            if time.monotonic() - saved >= self.save_seconds and not last:
                self.seconds = before + time.monotonic() - started
                self.save()
                saved = time.monotonic()
        self.seconds = before + time.monotonic() - started

    def selected_weights(self) -> dict[str, Tensor]:
        """Returns the weights to be evaluated."""
        if self.training.selection == "last step":
            return self.objective.state_dict()
        return self.best

    def save(self) -> None:
        """Writes the whole state; the one before it is kept until the next."""
        path = self._state_path()
        if path.exists():
            path.replace(self._previous_path())
        tensors = {f"model.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        state = self.optimiser.state_dict()
        for index, entries in state["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in entries.items()}
        tensors["noise"] = self.noise.get_state()
        tensors["sums"], tensors["first_bad"] = self.sums, self.first_bad
        save_checkpoint(path, tensors, self._record())

    def remove_state(self) -> None:
        """Deletes what only a resumption needs."""
        self._state_path().unlink(missing_ok=True)
        self._previous_path().unlink(missing_ok=True)

    def _initialise(self) -> None:
        pixels = self.train[self._batch_indices()]
        with torch.no_grad():
            generator = stream(self.seed, "init/space", self.device)
            self.objective.initialise(self._prepare(pixels, generator), generator)

    def _train_step(self) -> None:
        x = self._prepare(self.train[self._batch_indices()], self.noise)
        terms = self.objective.terms(x, self.noise)
        loss = self.objective.total(terms).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.training.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(
                self.objective.parameters(), self.training.gradient_clip, foreach=True
            )
        self.optimiser.step()
        self._record_terms(terms)

    def _record_terms(self, terms: dict[str, Tensor]) -> None:
        with torch.no_grad():
            values = torch.stack([t.detach().float().mean() for t in terms.values()])
            if not self.names:
                self.names = list(terms)
                if len(self.sums) != len(self.names):
                    self.sums = torch.zeros_like(values, dtype=torch.float64)
                    self.first_bad = torch.full_like(values, NEVER, dtype=torch.int64)
            self.sums += values
            bad = ~torch.isfinite(values)
            self.first_bad = self.first_bad.minimum(torch.where(bad, self.step + 1, NEVER))

    def _prepare(self, data: Tensor, generator: torch.Generator) -> Tensor:
        x = self.objective.space.prepare(data, generator)
        if self.training.noise_sigma > 0:
            noise = torch.randn(x.shape, generator=generator, device=x.device)
            x = (x + self.training.noise_sigma * noise).clamp(0, 1)
        return x

    def _batch_indices(self) -> Tensor:
        epoch, position = divmod(self.step, self.epoch_steps)
        if epoch != self.order_epoch:
            order = torch.randperm(len(self.train), generator=stream(self.seed, f"data/{epoch}"))
            self.order, self.order_epoch = order.to(self.device), epoch
        size = self.training.batch_size
        return self.order[position * size : (position + 1) * size]

    def _validate(self) -> float:
        first = int(self.first_bad.min())
        if first < NEVER:
            name = self.names[int(self.first_bad.argmin())]
            raise Diverged(f"Term '{name}' of the loss is not finite at step {first}.")
        steps = (self.step - 1) % self.validate_every + 1
        training = dict(zip(self.names, (self.sums / steps).tolist(), strict=True))
        self.sums.zero_()
        terms = self._validation_terms()
        loss = sum(terms.values())
        for name, value in terms.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"Term '{name}' of the validation loss is {value} at step {self.step}."
                )
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            weights = self.objective.state_dict()
            self.best = {k: v.detach().clone() for k, v in weights.items()}
        rate = self.optimiser.param_groups[0]["lr"]
        self._log({"split": "train", "rate": rate, **training})
        self._log({"split": "validation", "loss": loss, **terms, **self._diagnostics()})
        for group in self.optimiser.param_groups:
            group["lr"] = self.training.learning_rate * self.plateau.step(loss)
        return loss

    @torch.no_grad()
    def _validation_terms(self) -> dict[str, float]:
        self.objective.eval()
        generator = stream(self.seed, "evaluation/validation", self.device)
        totals: dict[str, Tensor] = {}
        count = 0
        for data in self.validation.split(self.training.batch_size):
            if len(data) < 2 and count:
                continue
            terms = self.objective.terms(self._prepare(data, generator), generator)
            for name, value in terms.items():
                totals[name] = totals.get(name, value.new_zeros((), dtype=torch.float64))
                totals[name] = totals[name] + value.double().sum()
            count += len(data)
        return {name: float(total) / count for name, total in totals.items()}

    @torch.no_grad()
    def _diagnostics(self) -> dict[str, float]:
        data = self.validation[: self.training.batch_size]
        x = self._prepare(data, stream(self.seed, "evaluation/diagnostics", self.device))
        return {k: float(v) for k, v in self.objective.diagnostics(x).items()}

    def _log(self, values: dict[str, Any]) -> None:
        line = canonical_json({"step": self.step, **values}) + "\n"
        with self._log_path().open("a", encoding="utf-8") as file:
            file.write(line)
        self.log_bytes += len(line.encode())

    def _record(self) -> dict[str, Any]:
        return {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
            "log_bytes": self.log_bytes,
            "best_loss": repr(self.best_loss),
            "best_step": self.best_step,
            "names": self.names,
            "rate": repr(self.optimiser.param_groups[0]["lr"]),
            "plateau": self.plateau.state(),
        }

    def _resume(self) -> bool:
        for path in (self._state_path(), self._previous_path()):
            try:
                tensors, record = load_checkpoint(path)
                if record["identity"] != self.identity:
                    continue
                self._restore(tensors, record)
                return True
            except (BadCheckpoint, KeyError, RuntimeError, ValueError, json.JSONDecodeError):
                continue
        return False

    def _restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        parts = {p: _part(tensors, p) for p in ("model", "best", "optimiser")}
        self.objective.load_state_dict(parts["model"])
        self.best = {k: v.to(self.device) for k, v in parts["best"].items()}
        entries: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimiser"].items():
            index, _, key = name.partition(".")
            entries.setdefault(int(index), {})[key] = value
        state = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**state, "state": entries})
        for group in self.optimiser.param_groups:
            group["lr"] = float(record["rate"])
        self.noise.set_state(tensors["noise"])
        self.sums = tensors["sums"].to(self.device)
        self.first_bad = tensors["first_bad"].to(self.device)
        self.names, self.step = list(record["names"]), int(record["step"])
        self.seconds, self.log_bytes = float(record["seconds"]), int(record["log_bytes"])
        self.best_loss, self.best_step = float(record["best_loss"]), int(record["best_step"])
        self.plateau.load_state(record["plateau"])
        with self._log_path().open("ab") as file:
            file.truncate(self.log_bytes)

    def _log_path(self) -> Path:
        return self.folder / "log.jsonl"

    def _state_path(self) -> Path:
        return self.folder / "state.safetensors"

    def _previous_path(self) -> Path:
        return self.folder / "state.previous.safetensors"


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

"""What a killed training goes on from: its last two saved states and its log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files.checkpoint import BadCheckpoint, OtherCheckpoint, load_checkpoint, save_checkpoint
from ..files.storage import canonical_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module, Parameter
    from torch.optim import Adam, Optimizer

VARIABLE = "AEBENCH_SAVE_SECONDS"
SAVE_SECONDS = 30.0
LOGGER = logging.getLogger("aebench")


def save_seconds() -> float:
    """Returns the least time between two saved states: ``AEBENCH_SAVE_SECONDS``, or 30."""
    try:
        return float(os.environ.get(VARIABLE, SAVE_SECONDS))
    except ValueError:
        return SAVE_SECONDS


class SavedStates:
    """The last two states of one training, the newer one first.

    Args:
        folder: The run's directory.
        identity: What the run is; a state of something else is not used.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.identity = identity
        self.newest = folder / "state.safetensors"
        self.previous = folder / "state.previous.safetensors"
        self._whole = False

    def write(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Writes a state; the one before it is kept, unless it is damaged.

        Raises:
            OSError: The folder cannot be written or the disk is full; the older state is whole.
        """
        # Only a state that was read or written whole may push out the one before.
        if self._whole and self.newest.exists():
            self.newest.replace(self.previous)
        save_checkpoint(self.newest, tensors, {"identity": self.identity, **record})
        self._whole = True

    def read(self) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
        """Yields the usable states, the newest first; one that cannot be used is told.

        Raises:
            UserError: A state is of another version.
        """
        for path in (self.newest, self.previous):
            if not path.exists():
                continue
            try:
                tensors, record = load_checkpoint(path)
            except OtherCheckpoint as error:
                raise UserError(str(error)) from error
            except BadCheckpoint as error:
                LOGGER.warning("aebench: %s An older state is used, or none.", error)
                continue
            if record.get("identity") != self.identity:
                LOGGER.warning(
                    "aebench: %s belongs to another run, other data or other training code; "
                    "it is not used.",
                    path,
                )
                continue
            self._whole = self._whole or path == self.newest
            yield tensors, record

    def remove(self) -> None:
        """Deletes both states."""
        self.newest.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)


class TrainingLog:
    """The file ``log.jsonl``: one JSON object a line, cut back when an older state is used."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0

    def write(self, values: dict[str, Any]) -> None:
        """Appends one line."""
        line = (canonical_json(values) + "\n").encode()
        with self.path.open("ab") as file:
            file.write(line)
        self.size += len(line)

    def sync(self) -> None:
        """Makes sure that the lines written so far survive a power failure."""
        if self.path.exists():
            with self.path.open("ab") as file:
                os.fsync(file.fileno())

    def cut(self, size: int) -> bool:
        """Cuts the log to its first ``size`` bytes; returns False if it has fewer."""
        if (self.path.stat().st_size if self.path.exists() else 0) < size:
            return False
        with self.path.open("ab") as file:
            file.truncate(size)
        self.size = size
        return True


def adam(parameters: Iterable[Parameter], rate: float, device: torch.device) -> Adam:
    """Returns the optimiser; on a GPU its rate and its steps live there, for recorded steps."""
    from torch import tensor
    from torch.optim import Adam

    # The fused kernel is one call instead of one for each parameter.
    if device.type == "cpu":
        return Adam(parameters, lr=rate, fused=True)
    return Adam(parameters, lr=tensor(rate, device=device), fused=True, capturable=True)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Sets the learning rate, in place where it is a tensor."""
    for group in optimiser.param_groups:
        if hasattr(group["lr"], "fill_"):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """Returns an optimiser's state by ``parameter.entry``."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{key}": value for i, entries in state.items() for key, value in entries.items()}


def training_tensors(module: Module, optimiser: Optimizer) -> dict[str, Tensor]:
    """Returns weights, buffers and the optimiser's state by name, the tensors themselves."""
    values = {f"weight.{k}": v.detach() for k, v in module.named_parameters()}
    values |= {f"buffer.{k}": v for k, v in module.named_buffers()}
    return values | {f"optimiser.{k}": v for k, v in optimiser_tensors(optimiser).items()}


def restore_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor], rate: float) -> None:
    """Puts back what `optimiser_tensors` returned, and the learning rate."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = _laid_out_as(parameters[int(index)], value)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})
    set_rate(optimiser, rate)


def _laid_out_as(parameter: Parameter, value: Tensor) -> Tensor:
    """Returns a moment in its parameter's layout, which a file does not keep."""
    from torch import empty_like

    if value.shape != parameter.shape:
        return value
    return empty_like(parameter.detach(), dtype=value.dtype).copy_(value)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose name begins with ``prefix`` and a dot, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

"""The directory of one run: its training's record and weights, and its rows."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files.checkpoint import BadCheckpoint, OtherCheckpoint, load_checkpoint, save_checkpoint
from ..files.storage import canonical_json, write_atomically
from ..records.encoding import Record, decode_result, encode_result
from ..records.recipe import Settings
from ..records.rows import BadRow, OtherSchema
from ..records.trainings import Origin

if TYPE_CHECKING:
    from torch import Tensor

LOGGER = logging.getLogger("aebench")


@dataclass(frozen=True)
class TrainingRecord:
    """What is recorded of a training, beside its weights.

    Attributes:
        diverged: The term and the step at which it diverged; empty where it did not.
        training_code: Digest of the code that trained.
        data: Digest of the data set.
        structure: Structural hash of the backbone.
        steps: Steps taken.
        seconds: Seconds of training.
        device: The device in words.
        commit: The git commit of the code.
        versions: Versions of the libraries, canonical JSON.
        best_step: Step with the lowest validation loss.
        best_loss: That loss, as ``repr`` writes it.
        compute_seconds: CPU seconds of the process, on a GPU device seconds; none in records
            of before they were measured.
    """

    diverged: str
    training_code: str
    data: str
    structure: str
    steps: int
    seconds: float
    device: str
    commit: str
    versions: str
    best_step: int = 0
    best_loss: str = ""
    compute_seconds: float | None = None


class RunDirectory:
    """Reads and writes what a run leaves; everything is whole or absent.

    Args:
        path: ``runs/<digest>`` of a results folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self._result = path / "result.json"

    def describe(self, description: dict[str, Any]) -> None:
        """Writes ``config.json``."""
        write_atomically(self.path / "config.json", canonical_json(description))

    def save_training(self, weights: dict[str, Tensor], training: TrainingRecord) -> None:
        """Writes weights and record of a training that ended."""
        save_checkpoint(self.checkpoint, weights, asdict(training))

    def training(self) -> tuple[dict[str, Tensor], TrainingRecord | None]:
        """Returns the weights and the record of the training; none where there is no whole one.

        Raises:
            UserError: The checkpoint is of another version.
        """
        if not self.checkpoint.exists():
            return {}, None
        try:
            weights, record = load_checkpoint(self.checkpoint)
            known = {field.name for field in fields(TrainingRecord)}
            return weights, TrainingRecord(**{k: v for k, v in record.items() if k in known})
        except OtherCheckpoint as error:
            raise UserError(str(error)) from error
        except BadCheckpoint as error:
            why = str(error)
        except TypeError:  # The record lacks something that every run has.
            why = f"{self.checkpoint} is not the checkpoint of a run."
        LOGGER.warning("aebench: %s The run is trained again.", why)
        return {}, None

    def rows(self) -> list[Record]:
        """Returns the rows in ``result.json``, none where it is not whole.

        Raises:
            UserError: A newer version wrote it.
        """
        try:
            return decode_result(self._result.read_text(encoding="utf-8"), self.path)[0]
        except OtherSchema as error:
            if error.newer:
                raise UserError(f"'{self._result}' has {error}.") from error
            return []
        except (OSError, BadRow, UnicodeDecodeError):
            return []

    def write_rows(self, rows: list[Record], settings: Settings, origin: Origin) -> None:
        """Writes ``result.json``: rows, what their recipe stands for, what they are made from."""
        write_atomically(self._result, encode_result(self.path.name, rows, settings, origin))

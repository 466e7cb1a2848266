"""The finished rounds of one trial on disk, from which a killed search goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files.checkpoint import BadCheckpoint, OtherCheckpoint, load_checkpoint, save_checkpoint
from .candidates import TENSORS, Candidates

LOGGER = logging.getLogger("aebench")


@dataclass(frozen=True)
class SavedRounds:
    """One file of candidates.

    Attributes:
        path: The file; it need not be there.
        identity: What the rounds depend on; those of another identity are not used.
    """

    path: Path
    identity: str

    def write(self, candidates: Candidates) -> None:
        """Writes all rounds so far, at once or not at all.

        Raises:
            OSError: The folder cannot be written or the disk is full; the older file is whole.
        """
        record: dict[str, Any] = {
            "identity": self.identity,
            "texts": list(candidates.texts),
            "rounds": list(candidates.rounds),
        }
        save_checkpoint(self.path, {n: getattr(candidates, n) for n in TENSORS}, record)

    def read(self) -> Candidates | None:
        """Returns the rounds on disk, or none if there are none that can be used.

        Raises:
            UserError: They were written by another version.
        """
        if not self.path.exists():
            return None
        try:
            tensors, record = load_checkpoint(self.path)
        except OtherCheckpoint as error:
            raise UserError(str(error)) from error
        except BadCheckpoint as error:
            LOGGER.warning("aebench: %s The search starts again.", error)
            return None
        if record.get("identity") != self.identity:
            LOGGER.warning(
                "aebench: %s is of another model, other settings or other code; "
                "the search starts again.",
                self.path,
            )
            return None
        return Candidates(texts=tuple(record["texts"]), rounds=tuple(record["rounds"]), **tensors)

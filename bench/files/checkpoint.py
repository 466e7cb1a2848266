"""Checkpoints: tensors in safetensors, the rest as JSON in its header, one checksum over both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .storage import canonical_json, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1
LARGEST_BYTES = 8 << 30
LARGEST_HEADER = 100 << 20  # As safetensors allows.


class BadCheckpoint(ValueError):
    """A file that is not a whole checkpoint of this version; the message says why."""


class OtherCheckpoint(BadCheckpoint):
    """A whole checkpoint of another version, which is not to be written over."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
    """Writes tensors and a JSON record to one file, atomically.

    Raises:
        OSError: The folder cannot be written or the disk is full; an older file stays whole.
    """
    from safetensors.torch import save

    ready = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    text = canonical_json({"schema": SCHEMA, **record})
    header = {"record": text, "sha256": _checksum(ready, text)}
    write_atomically(path, save(ready, metadata=header))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns tensors and record of a checkpoint.

    Raises:
        OtherCheckpoint: The file is of another version.
        BadCheckpoint: The file is missing, truncated, altered or of another form.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise BadCheckpoint(f"{path} is larger than {LARGEST_BYTES} bytes.")
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        text = header.get("record", "")
        found = _checksum(tensors, text)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise BadCheckpoint(f"{path} is not a whole checkpoint: {error}") from error
    if header.get("sha256") != found:
        raise BadCheckpoint(f"{path} does not match its checksum; it was cut short or altered.")
    try:
        record = json.loads(text)
        schema = record.get("schema")
    except (ValueError, AttributeError, RecursionError) as error:
        raise BadCheckpoint(
            f"{path} was not written by aebench: its record is {text!r:.60}."
        ) from error
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise OtherCheckpoint(
            f"{path} has checkpoint schema {schema}; expected {SCHEMA}. "
            "Remove it to train the run again"
            f"{', or `pip install --upgrade aebench`' if newer else ''}."
        )
    return tensors, record


def read_record(path: Path) -> dict[str, Any]:
    """Returns the record of a checkpoint from its first bytes alone; empty where it has none.

    The tensors are not read, so the checksum is not checked: for what is shown, not for results.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, LARGEST_HEADER)))
        return dict(json.loads(header["__metadata__"]["record"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    import torch

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

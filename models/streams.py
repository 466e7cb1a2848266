"""Named random streams, all derived from the one seed of a run."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def stream_seed(seed: int, name: str) -> int:
    """Returns the 63-bit seed of the stream called ``name``.

    Example:
        >>> stream_seed(0, "data") == stream_seed(0, "noise")
        False
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Returns a fresh generator for the stream called ``name``."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, name))


@contextlib.contextmanager
def initialised_from(seed: int, name: str) -> Iterator[None]:
    """Makes the layers that are built inside draw their weights from one named stream.

    torch's layers initialise themselves from the global generator; its state is put back
    afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` would seed the GPUs too, whose states nobody puts back.
        torch.default_generator.manual_seed(stream_seed(seed, name))
        yield

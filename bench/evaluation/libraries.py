"""Whether the libraries of feature extractors work together as they are installed."""

from __future__ import annotations

from importlib.metadata import version

from ...metrics.extractor import Extractor, NetworkExtractor
from ..errors import UserError, one_line


def check_libraries(extractor: Extractor) -> None:
    """Checks before the long work that an extractor's network can be built.

    Raises:
        UserError: torchvision was built for another torch, as where torch is for CPUs alone and
            torchvision came from PyPI.
    """
    if not isinstance(extractor, NetworkExtractor):
        return
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            f"torchvision {version('torchvision')} does not work with torch {version('torch')} "
            f"({one_line(error):.80}), and '{extractor.name}' needs it. Install both from one "
            "place, as https://pytorch.org/get-started/locally says."
        ) from error

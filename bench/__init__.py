"""Suites, training, evaluation and reports of generative autoencoders."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ..models.moved import Moved

if TYPE_CHECKING:
    from .errors import RunFailed as RunFailed
    from .errors import UserError as UserError
    from .python.fitting import fit as fit
    from .python.running import results as results
    from .python.running import run as run
    from .python.scoring import evaluate as evaluate

    __version__: str

_HOMES = {
    "errors": ("RunFailed", "UserError"),
    "python.fitting": ("fit",),
    "python.running": ("results", "run"),
    "python.scoring": ("evaluate",),
}
__all__ = [name for names in _HOMES.values() for name in names]

# Last, so that nothing that exists is hidden.
sys.meta_path.append(
    Moved(
        __name__,
        {"data": "data_", "files": "", "records": "", "suites": ""},
        {"content": "data.source"},
    )
)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports a public name on first use, and with it what it needs."""
    if name == "__version__":
        from importlib.metadata import version

        return version("aebench")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"Module 'aebench.bench' has no attribute '{name}'.")

"""Data sets, one file each, and the readers of their file formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dataset import DATASETS as DATASETS
    from .dataset import Dataset as Dataset
    from .dataset import Source as Source
    from .dataset import load_dataset as load_dataset
    from .dataset import register as register
    from .source import Content as Content
    from .source import Part as Part

__all__ = ["DATASETS", "Content", "Dataset", "Part", "Source", "load_dataset", "register"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports a public name on first use."""
    if name not in __all__:
        raise AttributeError(f"Module 'aebench.bench.data' has no attribute '{name}'.")
    from . import dataset

    return getattr(dataset, name)

"""Objectives, backbones, data spaces and ex-post densities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .building import build as build

__all__ = ["build"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports `build`, and with it torch, on first use."""
    if name != "build":
        raise AttributeError(f"Module 'aebench.models' has no attribute '{name}'.")
    from .building import build

    return build

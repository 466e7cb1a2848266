"""Invertible maps over vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows import Flow as Flow
    from .flows import FlowStack as FlowStack
    from .flows import NoFlow as NoFlow
    from .flows import build_flow as build_flow

__all__ = ["Flow", "FlowStack", "NoFlow", "build_flow"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports a public name on first use; in the flat layout this was their module."""
    if name not in __all__:
        raise AttributeError(f"Module 'aebench.models.flows' has no attribute '{name}'.")
    from . import flows

    return getattr(flows, name)

"""Objectives, backbones, data spaces, ex-post densities and forms of texts."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from .moved import Moved

if TYPE_CHECKING:
    from .backbones.backbone import BACKBONES as BACKBONES
    from .backbones.backbone import Backbone as Backbone
    from .backbones.pretrained import AUTOENCODERS as AUTOENCODERS
    from .building import build as build
    from .densities.density import DENSITIES as DENSITIES
    from .densities.density import Density as Density
    from .gaussian import gaussian_kl as gaussian_kl
    from .objectives.objective import OBJECTIVES as OBJECTIVES
    from .objectives.objective import Objective as Objective
    from .objectives.objective import squared_error as squared_error
    from .objectives.vae import VAE as VAE
    from .options import Range as Range
    from .sequences.forms import form as form
    from .sequences.forms import grammar as grammar
    from .spaces.space import SPACES as SPACES
    from .spaces.space import Space as Space

_HOMES = {
    "backbones.backbone": ("BACKBONES", "Backbone"),
    "backbones.pretrained": ("AUTOENCODERS",),
    "building": ("build",),
    "densities.density": ("DENSITIES", "Density"),
    "gaussian": ("gaussian_kl",),
    "objectives.objective": ("OBJECTIVES", "Objective", "squared_error"),
    "objectives.vae": ("VAE",),
    "options": ("Range",),
    "sequences.forms": ("form", "grammar"),
    "spaces.space": ("SPACES", "Space"),
}
__all__ = [name for names in _HOMES.values() for name in names]

# Last, so that nothing that exists is hidden.
sys.meta_path.append(
    Moved(
        __name__,
        {
            "objectives": "",
            "flows": "",
            "spaces": "space_",
            "densities": "density_",
            "backbones": "backbone_",
        },
        {"determinants": "checks", "partition": "objectives.masks"},
    )
)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports a public name on first use, and with most of them torch."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"Module 'aebench.models' has no attribute '{name}'.")

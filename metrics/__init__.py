"""Scores of generative models, each computed from outputs alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Imported at once and not on demand: a function may bear its module's name, and a later import of
# the module would put the module in its place. These modules import numpy and nothing heavier.
from .bits_per_dim import bits_per_dim
from .density_coverage import density_coverage, expected_coverage
from .expressions import expression_score
from .frechet import frechet_distance, frechet_distance_from_moments
from .frechet_inf import frechet_distance_infinite
from .kernel import kernel_distance
from .molecules import penalised_logp
from .prd import prd_curve, prd_f_beta, prd_from_histograms
from .precision_recall import precision_recall
from .strings import string_scores

if TYPE_CHECKING:
    from .extractor import build_extractor as build_extractor
    from .extractor import extractor_names as extractor_names

__all__ = [
    "bits_per_dim",
    "build_extractor",
    "density_coverage",
    "expected_coverage",
    "expression_score",
    "extractor_names",
    "frechet_distance",
    "frechet_distance_from_moments",
    "frechet_distance_infinite",
    "kernel_distance",
    "penalised_logp",
    "prd_curve",
    "prd_f_beta",
    "prd_from_histograms",
    "precision_recall",
    "string_scores",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports the way to extractors on first use, and with it torch."""
    if name in ("build_extractor", "extractor_names"):
        return getattr(importlib.import_module(".extractor", __name__), name)
    raise AttributeError(f"Module 'aebench.metrics' has no attribute '{name}'.")

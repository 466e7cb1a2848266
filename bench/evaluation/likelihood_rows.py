"""Likelihood rows: the one estimator's scores of a run's own model and of its completions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..likelihood.annealing import Annealing
from ..likelihood.model import CHUNK, CHUNK_ON_GPU
from ..likelihood.scorer import LikelihoodScorer, LikelihoodSettings
from ..records.provenance import now
from ..records.results import Record
from ..records.rows import Row

if TYPE_CHECKING:
    from .outputs import Outputs

NATIVE = ""
TUNING = 64


class LikelihoodRows:
    """Computes the likelihood rows of one run, density by density.

    Args:
        outputs: What the run produces.
        base: The columns that all rows of the run share.
    """

    def __init__(self, outputs: Outputs, base: Mapping[str, Any]) -> None:
        self.outputs, self.base = outputs, dict(base)

    def densities(self) -> list[str]:
        """Returns the densities with a likelihood; the empty name is the model's own."""
        if self.outputs.settings.likelihood_images == 0:
            return []
        own = [NATIVE] if self.outputs.objective.likelihood != "none" else []
        return own + [d for d in self.outputs.densities if self._scorer.completes(d)]

    def rows(self, density: str) -> list[Record]:
        """Returns the rows of the model with one density."""
        if density == NATIVE:
            scores = self._scorer.native()
        else:
            scores = self._scorer.completed(density, self.outputs.density(density))
        shared = {**self.base, "images": "test", "date": now()}
        return [Row(**shared, **dataclasses.asdict(score)).as_dict() for score in scores]

    @cached_property
    def _scorer(self) -> LikelihoodScorer:
        wanted, data = self.outputs.settings, self.outputs.data
        images = min(wanted.likelihood_images, len(data.test))
        validation = min(wanted.likelihood_validation_images, len(data.validation))
        settings = LikelihoodSettings(
            images=images,
            samples=wanted.likelihood_samples,
            k_images=min(wanted.likelihood_k_images, images),
            k_samples=wanted.likelihood_k_samples,
            annealing_images=min(wanted.annealing_images, images),
            simulated_images=min(wanted.annealing_images, 20),
            annealing=Annealing(chains=wanted.annealing_chains, steps=wanted.annealing_steps),
            tuning_images=min(TUNING, validation),
            noise_images=max(2, validation),
            chunk=CHUNK if self.outputs.device.type == "cpu" else CHUNK_ON_GPU,
        )
        has_bits = data.native and data.default_space != "real"
        dims = math.prod(data.image_shape) if has_bits else None
        return LikelihoodScorer(
            self.outputs.objective,
            data.test,
            data.validation,
            settings,
            self.outputs.seed,
            dims,
        )

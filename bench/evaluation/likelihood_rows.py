"""Likelihood rows: the one estimator's scores of a run's own model and of its completions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.linalg import LinAlgError

from ..errors import UserError
from ..likelihood.annealing import Annealing
from ..likelihood.model import CHUNK, rows_on_gpu
from ..likelihood.scorer import LikelihoodScorer, LikelihoodSettings
from ..likelihood.scores import LikelihoodScore, unavailable
from ..records.per_image import (
    BRACKET,
    PerImage,
    ScoreKey,
    key_of,
    of_row,
    read_file,
    write_per_image,
)
from ..records.provenance import now
from ..records.results import Record
from ..records.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

    from .outputs import Outputs

NATIVE = ""
TUNING = 64


class LikelihoodRows:
    """Computes the likelihood rows of one run, density by density.

    Args:
        outputs: What the run produces.
        base: The columns that all rows of the run share.
        path: The file of single images' log-likelihoods.
    """

    def __init__(self, outputs: Outputs, base: Mapping[str, Any], path: Path) -> None:
        self.outputs, self.base, self.path = outputs, dict(base), path

    def densities(self) -> list[str]:
        """Returns the densities with a likelihood; the empty name is the model's own."""
        if self.outputs.settings.likelihood_images == 0:
            return []
        own = [NATIVE] if self.outputs.objective.likelihood != "none" else []
        return own + [d for d in self.outputs.densities if self._scorer.completes(d)]

    def rows(self, density: str) -> list[Record]:
        """Returns the rows of the model with one density; writes those of single images."""
        scores = self.scores(density)
        shared = {**self.base, "images": "test", "date": now()}
        rows = [Row(**shared, **score.columns()).as_dict() for score in scores]
        found = {
            key: _per_image(score, score.each)
            for row, score in zip(rows, scores, strict=True)
            if score.each is not None and (key := key_of(row))
        }
        # Written before the rows are on record, so that rows there have theirs.
        others = {key: kept for key, kept in self._kept().items() if key.density != density}
        write_per_image(self.path, others | found)
        return rows

    def scores(self, density: str) -> list[LikelihoodScore]:
        """Returns the scores of the model with one density, failed ones where it has none."""
        try:
            if density == NATIVE:
                return self._scorer.native()
            return self._scorer.completed(density, self.outputs.density(density))
        except (ValueError, LinAlgError) as error:
            model = "completed" if density else "native"
            return unavailable(model, density, str(error).splitlines()[0], "failed")

    def have_images(self, rows: Iterable[Record]) -> bool:
        """Returns whether the log-likelihoods of single images are kept for some rows."""
        kept = self._kept()
        return all(of_row(row, kept) is not None for row in rows if key_of(row))

    def keep(self, rows: Iterable[Record]) -> None:
        """Leaves in the file what belongs to these rows, all that the run has."""
        keys = {key_of(row) for row in rows}
        if keys - {None}:
            kept = self._kept()
            write_per_image(self.path, {key: kept[key] for key in kept if key in keys})
        else:
            self.path.unlink(missing_ok=True)

    def _kept(self) -> dict[ScoreKey, PerImage]:
        try:
            return read_file(self.path)
        except UserError:  # Damaged: what it held is computed anew.
            return {}

    @cached_property
    def _scorer(self) -> LikelihoodScorer:
        wanted, data = self.outputs.settings, self.outputs.data
        images = min(wanted.likelihood_images, len(data.test))
        validation = min(wanted.likelihood_validation_images, len(data.validation))
        on_cpu = self.outputs.device.type == "cpu"
        settings = LikelihoodSettings(
            images=images,
            samples=wanted.likelihood_samples,
            k_images=min(wanted.likelihood_k_images, len(data.test)),
            k_samples=wanted.likelihood_k_samples,
            annealing_images=min(wanted.annealing_images, images),
            simulated_images=min(wanted.annealing_images, 20),
            annealing=Annealing(chains=wanted.annealing_chains, steps=wanted.annealing_steps),
            tuning_images=min(TUNING, validation),
            noise_images=max(2, validation),
            chunk=CHUNK if on_cpu else rows_on_gpu(self.outputs.objective),
        )
        has_bits = data.native and data.default_space == "unit"
        dims = math.prod(data.image_shape) if has_bits else None
        return LikelihoodScorer(
            self.outputs.objective,
            data.test,
            data.validation,
            settings,
            self.outputs.seed,
            dims,
        )


def _per_image(score: LikelihoodScore, each: Tensor) -> PerImage:
    import numpy as np

    upper = None if score.upper is None else score.upper.float().cpu().numpy()
    images = np.arange(len(each), dtype=np.int32)
    values = each.float().cpu().numpy()
    return PerImage(images, values, score.kind or BRACKET, score.trusted, upper)

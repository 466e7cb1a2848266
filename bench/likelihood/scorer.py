"""The likelihood scores of one trained model: exact, or bounded by one estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor

from ...metrics.devices import in_batches
from ...models.densities.density import Density
from ...models.objectives.objective import Objective
from ...models.streams import stream
from ..errors import RunFailed
from .annealing import annealed_bound, bracket
from .annealing_path import Annealing
from .completion import completed, fit_noise
from .importance import Bound, check_finite, choose_proposal, importance_bound
from .model import CHUNK, LatentModel, Observed, native, observe
from .scores import (
    LikelihoodScore,
    annealing_scores,
    bound_scores,
    bracket_scores,
    doubt_of_annealing,
    doubt_of_bracket,
    log_prob_scores,
    unavailable,
)

EXACT_BATCH = 250


@dataclass(frozen=True)
class LikelihoodSettings:
    """Counts of the likelihood evaluation.

    Args:
        images: Test images, the first of the test set.
        samples: Importance samples K for each.
        k_images: Test images of a second bound; 0 leaves it out.
        k_samples: Its K.
        annealing_images: Test images for annealing; 0 leaves annealing and bracket out.
        simulated_images: Data simulated from the model for the bracket; 0 leaves it out.
        annealing: How to anneal.
        tuning_images: Validation images that the proposal is chosen on.
        noise_images: Validation images that a completed model's noise is fitted to.
        chunk: Most rows decoded at once.
    """

    images: int = 500
    samples: int = 500
    k_images: int = 50
    k_samples: int = 5000
    annealing_images: int = 50
    simulated_images: int = 20
    annealing: Annealing = field(default_factory=Annealing)
    tuning_images: int = 64
    noise_images: int = 500
    chunk: int = CHUNK


class LikelihoodScorer:
    """The scores of one objective, model by model.

    Args:
        objective: Trained, on the device to compute on; put into evaluation mode.
        test: Stored test data (N, C, H, W).
        validation: Stored validation data, for proposals and noise.
        settings: The counts.
        seed: The run's one seed; all noise comes from its streams.
        dims: D where bits per dimension apply, else none (real vectors, padded views, strings).
    """

    def __init__(
        self,
        objective: Objective,
        test: Tensor,
        validation: Tensor,
        settings: LikelihoodSettings,
        seed: int,
        dims: int | None,
    ) -> None:
        self.objective = objective.eval()
        self.test, self.validation = test, validation
        self.settings, self.seed, self.dims = settings, seed, dims
        self.device = next(objective.parameters()).device

    @cached_property
    def tested(self) -> Observed:
        """The first test images, dequantised once; the same noise for every objective."""
        count = max(self.settings.images, self.settings.k_images)
        return self._observed(self.test, count, "test")

    @cached_property
    def held_out(self) -> Observed:
        """The first validation images, dequantised once."""
        count = max(self.settings.tuning_images, self.settings.noise_images)
        return self._observed(self.validation, count, "validation")

    def completes(self, density: str) -> bool:
        """Returns whether a density makes a model of its own.

        ``prior`` does not where it is already the native model's, nor does anything for an
        objective that is exact: its codes do not determine the image.
        """
        kind = self.objective.likelihood
        return kind == "none" or (kind == "bound" and density != "prior")

    def native(self) -> list[LikelihoodScore]:
        """Returns the scores of the objective's own likelihood, none if it has none."""
        if self.objective.likelihood == "none":
            return []
        if self.objective.likelihood == "exact":
            return self._attempt("native", "", self._exact)
        if self.objective.prior != "prior":
            reason = f"The prior '{self.objective.prior}' has no log density in closed form."
            return unavailable("native", "", reason, "not applicable")
        model = native(self.objective)
        return self._attempt("native", "", lambda: self._bounds(model))

    def completed(self, name: str, density: Density) -> list[LikelihoodScore]:
        """Returns the scores of the model completed by a fitted density."""
        if not density.has_log_prob:
            reason = f"Density '{name}' has no log density in closed form."
            return unavailable("completed", name, reason, "not applicable")
        if reason := self.objective.space.no_likelihood:
            return unavailable("completed", name, reason, "not applicable")

        def scores() -> Iterator[LikelihoodScore]:
            scale = self._noise(name, density) if self.objective.space.fits_noise else None
            yield from self._bounds(completed(self.objective, density, scale), name)

        return self._attempt("completed", name, scores)

    def _noise(self, name: str, density: Density) -> Tensor:
        return fit_noise(
            self.objective,
            density,
            self.held_out.part(0, self.settings.noise_images),
            self._stream(f"noise/{name}"),
            chunk=self.settings.chunk,
        )

    def _attempt(
        self, model: str, density: str, scores: Callable[[], Iterable[LikelihoodScore]]
    ) -> list[LikelihoodScore]:
        try:
            return [replace(score, model=model, density=density) for score in scores()]
        except (RunFailed, FloatingPointError, torch.linalg.LinAlgError) as error:
            reason = str(error).splitlines()[0]
            return unavailable(model, density, reason, "failed")

    @torch.no_grad()
    def _exact(self) -> list[LikelihoodScore]:
        log_prob = cast(Any, self.objective).log_prob
        x = self.tested.part(0, self.settings.images).x
        parts = in_batches(lambda start, stop: log_prob(x[start:stop]), len(x), EXACT_BATCH)
        value = torch.cat(parts).double()
        check_finite(value, "exact log-likelihood")
        return log_prob_scores(value, self.dims, kind="exact", model="native")

    def _bounds(self, model: LatentModel, name: str = "") -> Iterator[LikelihoodScore]:
        settings, chunk = self.settings, self.settings.chunk
        choice = choose_proposal(
            model,
            self.held_out.part(0, settings.tuning_images),
            self._stream(f"tuning/{name}"),
            chunk=chunk,
        )

        def bound(count: int, samples: int, label: str) -> Bound:
            data = self.tested.part(0, count)
            proposal = choice.sampler(model, data, chunk=chunk)
            generator = self._stream(f"{label}/{name}")
            return importance_bound(
                model, data, proposal, samples=samples, generator=generator, chunk=chunk
            )

        wide = bound(settings.images, settings.samples, "bound")
        yield from bound_scores(wide, choice, self.dims)
        deep = wide
        if settings.k_images:
            deep = bound(settings.k_images, settings.k_samples, "tight bound")
            yield from bound_scores(deep, choice, self.dims)
        if settings.annealing_images:
            yield from self._annealed(model, deep, wide, name)

    def _annealed(
        self, model: LatentModel, deep: Bound, wide: Bound, name: str
    ) -> Iterator[LikelihoodScore]:
        """Yields the referee's scores, along a path made finer until it can be one."""
        settings = self.settings
        count, chains = settings.annealing_images, settings.annealing.chains
        data = self.tested.part(0, count)
        enough = [bound for bound in (deep, wide) if len(bound.value) >= count]
        # More draws give a tighter bound.
        best = max(enough, key=attrgetter("samples"), default=wide)
        ends, result, doubt = None, None, ""
        for path in settings.annealing.refined():
            doubt = ""
            if settings.simulated_images:
                generator = self._stream(f"bracket/{name}")
                ends = bracket(model, settings.simulated_images, path, generator)
                if (doubt := doubt_of_bracket(ends, path)) and path.budget > 1:
                    continue
            result = annealed_bound(model, data, path, self._stream(f"annealing/{name}"))
            doubt = doubt or doubt_of_annealing(result, best, path)
            if not doubt:
                break
        if result is not None:
            yield from annealing_scores(result, best, path, self.dims, doubt)
        if ends is not None:
            yield from bracket_scores(ends, chains, doubt_of_bracket(ends, path))

    def _observed(self, stored: Tensor, count: int, name: str) -> Observed:
        noise = self._stream(name)
        x = self.objective.space.dequantise(stored[:count], noise)
        return observe(self.objective.space, x.to(self.device))

    def _stream(self, name: str) -> torch.Generator:
        return stream(self.seed, f"likelihood/{name}")

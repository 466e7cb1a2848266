"""By what a trial is judged: one score on validation images, never on test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.linalg import LinAlgError

from ...metrics.bigrams import bigram_distance
from ...metrics.extractor import Extractor, build_extractor
from ...metrics.memory import remembering
from ..data.dataset import Dataset
from ..errors import UserError
from ..evaluation.evaluation import FEATURES, STATISTICS
from ..evaluation.features import content_key, extract
from ..evaluation.likelihood_rows import NATIVE, LikelihoodRows
from ..evaluation.metric_lookup import compute_scores, find_metric
from ..evaluation.outputs import Outputs
from ..evaluation.text_outputs import TextOutputs
from ..interruption import check_stop
from ..records.equivalence import scoring_alike
from ..suites.config import Config, Evaluation, Optimisation
from ..training.engine import driven

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.objectives.objective import Objective

FRECHET, FD = "frechet", "fd"
LOG_PROB = "log_prob"


@dataclass(frozen=True)
class Outcome:
    """What a trial gave; without a value it is lost.

    Attributes:
        value: The criterion.
        stderr: Its standard error, where one is known.
        density: Where the samples, or the likelihood, came from; empty for the model's own.
        reason: Why there is no value.
    """

    value: float | None = None
    stderr: float | None = None
    density: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Criterion:
    """What is compared: the FD of samples, or the log-likelihood where a suite has no FD.

    Strings have no features; their FD is that of bigrams, for all of a suite's objectives.

    Attributes:
        text: What the value is.
        better: ``lower`` or ``higher``.
        settings: The evaluation that the score takes.
        fitted: Validation images, the first ones, that a likelihood's noise and proposals are
            fitted to; it is scored on those after them.
        images: Validation images that the score is of.
    """

    text: str
    better: str
    settings: Evaluation
    fitted: int
    images: int

    def scoring_codes(self, code: str) -> set[str]:
        """Returns the digests of evaluation code under which a score is on record as the same.

        The record is of the FD of features; any other score is of its own code alone.

        Args:
            code: Today's.
        """
        features = [_built(name, "cpu").identity for name in self.settings.features]
        rows = [
            {"images": "sample", "density": density, "features": name, "kind": "", "model": ""}
            | {"metric": FD, "status": "ok"}
            for name in features
            for density in self.settings.densities
        ]
        measured = FRECHET in self.settings.metrics
        return scoring_alike(code, rows if measured else [], self.settings.record())

    def data(self, data: Dataset, train_images: int) -> Dataset:
        """Returns a data set without test images: validation images stand in their place."""
        return replace(
            data,
            train=data.train[: train_images or None],
            test=data.validation[self.fitted :],
            validation=data.validation[: self.fitted or None],
            train_labels=None,
            validation_labels=None,
            test_labels=None,
        )

    def judge(self, objective: Objective, config: Config, data: Dataset) -> Outcome:
        """Returns the best density's score of a trained model.

        Args:
            objective: Trained, on the device to compute on.
            config: Of the trial.
            data: The whole data set.
        """
        own = self.data(data, config.training.train_images)
        given = (objective, own, self.settings, config.seed, None)
        if data.form:
            found = list(_distances(TextOutputs(*given), _of_bigrams))
        else:
            outputs = Outputs(*given, config.training.noise_sigma, driven)
            likelihoods = self.settings.likelihood_images > 0
            found = list(
                _likelihoods(outputs) if likelihoods else _distances(outputs, _of_features)
            )
        usable = [f for f in found if f.value is not None and math.isfinite(f.value)]
        if not usable:
            reasons = dict.fromkeys(f"{f.density or 'model'}: {f.reason}" for f in found)
            return Outcome(reason="; ".join(reasons) or "no density of the suite suits it")
        # The first of equals, in the order of the suite.
        sign = 1 if self.better == "lower" else -1
        return min(usable, key=lambda f: sign * (f.value or 0.0))


def criterion_of(config: Config, data: Dataset) -> Criterion:
    """Returns the criterion of a run's suite.

    Raises:
        UserError: The suite scores neither samples nor likelihoods.
    """
    wanted, there = config.evaluation, len(data.validation)
    images = min(config.tuning.images or wanted.images, there)
    if data.form:
        if images < 2:
            raise UserError(
                f"Run '{config.label}': {images} validation strings; expected at least two."
            )
        own = replace(
            wanted, metrics=(), images=images, likelihood_images=0, optimisation=Optimisation()
        )
        return Criterion("fd (bigrams) of strings to validation strings", "lower", own, 0, images)
    if FRECHET in wanted.metrics:
        features = () if data.default_space == "real" else wanted.features[:1]
        if images < 2 or (not features and data.default_space != "real"):
            raise UserError(
                f"Run '{config.label}': {images} validation images and "
                f"{len(features)} feature extractors; expected at least two images and one."
            )
        own = replace(
            wanted, metrics=(FRECHET,), features=features, images=images, likelihood_images=0
        )
        name = "".join(features) or "vectors"
        return Criterion(f"fd ({name}) of samples to validation images", "lower", own, 0, images)
    if not wanted.likelihood_images:
        raise UserError(
            f"Run '{config.label}': its suite has neither the metric '{FRECHET}' nor "
            "'evaluation.likelihood_images', so that there is nothing to tune by."
        )
    fitted = min(wanted.likelihood_validation_images, there // 2)
    images = min(config.tuning.images or wanted.likelihood_images, there - fitted)
    own = replace(
        wanted, metrics=(), likelihood_images=images, likelihood_k_images=0, annealing_images=0
    )
    return Criterion("log-likelihood of validation images, nats", "higher", own, fitted, images)


def _distances(outputs: Outputs, judge: Callable[[Any, str], Outcome]) -> Iterator[Outcome]:
    """Yields the FD of the samples of each density, at equal counts."""
    for density in outputs.densities:
        try:
            yield judge(outputs, density)
        except (ValueError, LinAlgError) as error:
            yield Outcome(density=density, reason=str(error).partition("\n")[0])


def _of_features(outputs: Outputs, density: str) -> Outcome:
    device = outputs.device.type
    sets = {
        "real": _features(outputs, outputs.real, device, kept=True),
        "generated": _features(outputs, outputs.images("sample", density), device, kept=False),
    }
    with remembering(STATISTICS):
        (score,) = compute_scores(find_metric(FRECHET), sets)
    return Outcome(score.value, score.stderr, density, score.reason)


def _of_bigrams(outputs: TextOutputs, density: str) -> Outcome:
    generated = outputs.texts(outputs.images("sample", density))
    score = bigram_distance(real_texts=outputs.texts(outputs.real), generated_texts=generated)
    return Outcome(score.value, score.stderr, density, score.reason)


def _likelihoods(outputs: Outputs) -> Iterator[Outcome]:
    """Yields the log-likelihood of the model itself, or else of each of its completions."""
    rows = LikelihoodRows(outputs, {}, Path())
    densities = rows.densities()
    for density in [NATIVE] if NATIVE in densities else densities:
        for score in rows.scores(density):
            if score.metric == LOG_PROB and score.trusted != "no":
                yield Outcome(score.value, score.stderr, density, score.reason)
            elif score.metric == LOG_PROB:
                yield Outcome(density=density, reason=score.reason or "it is not trusted")


def _features(outputs: Outputs, items: Tensor, device: str, *, kept: bool) -> Tensor:
    """Returns features (N, F); those of real images are computed once in a process."""
    if outputs.are_vectors:
        return items.flatten(1).to(device)
    extractor = _built(outputs.settings.features[0], device)
    if not kept:
        return extractor(items, lambda done: check_stop())
    key = (content_key(items, extractor), device)
    return FEATURES.get(key, lambda: extract(items, extractor))


@cache
def _built(name: str, device: str) -> Extractor:
    return build_extractor(name, device=device)

"""The frozen settings of one run and of its evaluation."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

from ..files.storage import canonical_json

Options = dict[str, Any]
LARGEST_SEED = 2**32 - 1
PRECISIONS = ("float32", "tf32", "bfloat16")
SELECTIONS = ("best validation loss", "last step")


@dataclass(frozen=True)
class Training:
    """How one run is trained; the same for every objective of a comparison.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images in a batch; the last, smaller batch of an epoch is left out.
        learning_rate: Adam's initial rate.
        plateau_patience: Validations without improvement after which the rate is halved; 0
            keeps the rate.
        plateau_threshold: Least improvement, as a share of the decrease since the first
            validation, so that neither scale nor offset of a loss matters.
        validate_every: Steps between validations; 0 means once an epoch.
        gradient_clip: Bound on the global gradient norm; 0 means none.
        selection: Which weights are evaluated.
        train_images: Use only the first so many training images; 0 means all.
        noise_sigma: Standard deviation of noise on the images of the denoising protocol.
        precision: ``float32``, ``tf32`` (rounded factors on a GPU) or ``bfloat16`` (the trunks).
    """

    steps: int = 1000
    batch_size: int = 100
    learning_rate: float = 1e-3
    plateau_patience: int = 5
    plateau_threshold: float = 1e-4
    validate_every: int = 0
    gradient_clip: float = 0.0
    selection: str = "best validation loss"
    train_images: int = 0
    noise_sigma: float = 0.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        _at_least("training.steps", self.steps, 1)
        _at_least("training.batch_size", self.batch_size, 1)
        for name in ("plateau_patience", "validate_every", "train_images"):
            _at_least(f"training.{name}", getattr(self, name), 0)
        for name in ("gradient_clip", "noise_sigma", "plateau_threshold"):
            _at_least(f"training.{name}", getattr(self, name), 0)
            _finite(f"training.{name}", getattr(self, name))
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"'training.learning_rate' is {self.learning_rate}; expected a positive number."
            )
        _one_of("training.selection", self.selection, SELECTIONS)
        _one_of("training.precision", self.precision, PRECISIONS)


@dataclass(frozen=True)
class Evaluation:
    """What is computed from a trained run.

    Attributes:
        densities: Ex-post densities; those that an objective cannot have are left out for it.
        metrics: Names of metrics.
        features: Names of feature extractors.
        images: Images in each set, real and generated.
        likelihood_images: Test images whose likelihood is estimated; 0 for none.
        likelihood_samples: Importance samples K for each.
        likelihood_k_images: Test images for the larger K; 0 for none.
        likelihood_k_samples: The larger K.
        likelihood_validation_images: Validation images that a completed model's noise is fitted
            to; the first 64 of them also choose the proposal.
        annealing_images: Test images for annealed importance sampling; 0 for none.
        annealing_steps: Temperatures of a chain.
        annealing_chains: Chains for each image.
        second_stage_steps: Upper bound on steps of the second stage; 0 means 100 epochs.
        sheet_images: Images in each part of the picture sheet.
        interpolation: Midpoint between codes: spherical, linear or rescaled.
        temperatures: Extra sample sheets at these temperatures.
    """

    densities: tuple[str, ...] = ("prior", "gaussian", "gmm-10", "second-stage")
    metrics: tuple[str, ...] = ("reconstruction", "frechet", "prd")
    features: tuple[str, ...] = ("lite0@64",)
    images: int = 1000
    likelihood_images: int = 0
    likelihood_samples: int = 500
    likelihood_k_images: int = 0
    likelihood_k_samples: int = 5000
    likelihood_validation_images: int = 500
    annealing_images: int = 0
    annealing_steps: int = 50
    annealing_chains: int = 8
    second_stage_steps: int = 0
    sheet_images: int = 8
    interpolation: str = "spherical"
    temperatures: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _at_least("evaluation.images", self.images, 2)
        for name in ("likelihood_samples", "likelihood_k_samples"):
            _at_least(f"evaluation.{name}", getattr(self, name), 1)
        for name in ("annealing_steps", "annealing_chains", "sheet_images"):
            _at_least(f"evaluation.{name}", getattr(self, name), 1)
        for name in ("likelihood_images", "likelihood_k_images", "annealing_images"):
            _at_least(f"evaluation.{name}", getattr(self, name), 0)
        _at_least("evaluation.likelihood_validation_images", self.likelihood_validation_images, 2)
        _at_least("evaluation.second_stage_steps", self.second_stage_steps, 0)
        for temperature in self.temperatures:
            _finite("evaluation.temperatures", temperature)
            if not temperature > 0:
                raise ValueError(
                    f"'evaluation.temperatures' holds {temperature}; expected positive numbers."
                )


@dataclass(frozen=True)
class Config:
    """One run: what is trained, on what, with which seed.

    Two configs with equal training settings have equal digests; the evaluation has its own.
    """

    suite: str
    scale: str
    dataset: str
    backbone: str
    objective: str
    latent_dim: int
    seed: int = 0
    split: str = "default"
    space: str = ""
    options: Options = field(default_factory=dict)
    backbone_options: Options = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        _at_least("latent_dim", self.latent_dim, 1)
        _at_least("seed", self.seed, 0)
        if self.seed > LARGEST_SEED:
            raise ValueError(f"'seed' is {self.seed}; expected at most {LARGEST_SEED}.")
        for name in ("options", "backbone_options"):
            try:
                canonical_json(getattr(self, name))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"'{name}' holds what JSON cannot: {error}; "
                    "expected finite numbers, text, truth values and lists."
                ) from error

    def training_record(self) -> dict[str, Any]:
        """Returns everything that decides the trained weights."""
        record = dataclasses.asdict(self)
        del record["evaluation"], record["suite"]
        if self.training.precision == "float32":  # As in runs from before there was a choice.
            del record["training"]["precision"]
        return record

    @property
    def digest(self) -> str:
        """The 16 hex digits that name the run's directory."""
        return _digest(self.training_record())

    @property
    def evaluation_digest(self) -> str:
        """16 hex digits of the evaluation settings."""
        return _digest(dataclasses.asdict(self.evaluation))

    @property
    def label(self) -> str:
        """A short name for progress and errors."""
        variant = f" {canonical_json(self.options)}" if self.options else ""
        space = f"/{self.space}" if self.space else ""
        noise = f" sigma={self.training.noise_sigma:g}" if self.training.noise_sigma else ""
        factors = f"d={self.latent_dim} s={self.seed}"
        return f"{self.objective}{variant} {self.dataset}{space}{noise} {factors}"


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(record).encode()).hexdigest()[:16]


def _at_least(name: str, value: float, minimum: int) -> None:
    if not value >= minimum:
        raise ValueError(f"'{name}' is {value}; expected at least {minimum}.")


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"'{name}' is {value}; expected a finite number.")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"'{name}' is '{value}'; expected one of: {', '.join(known)}.")

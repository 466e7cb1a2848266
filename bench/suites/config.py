"""The frozen settings of one run and of its evaluation."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

from ..files.storage import canonical_json

# Strict: the text "5" or true for a number is a mistake of the file, not a number.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _fits_json(options: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical_json(options)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"holds what JSON cannot: {error}; "
            "expected finite numbers, text, truth values and lists"
        ) from error
    return options


# What rows and titles say in place of "full" where no paper published a protocol.
OWN_BUDGET = "own budget"
PRETRAINED = "pretrained"  # The objective that is not trained.
Precision = Literal["float32", "tf32", "bfloat16"]
Options = Annotated[dict[str, Any], AfterValidator(_fits_json)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Positive = Annotated[float, Field(gt=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]
# TOML has no tuples, and a strict tuple takes no list. The items stay strict.
Names = Annotated[tuple[str, ...], Strict(False)]
Temperatures = Annotated[tuple[Positive, ...], Strict(False)]


def comes_with_weights(backbone: str) -> bool:
    """Returns whether a backbone comes with its weights, by its name such as ``module:NAME``."""
    return ":" in backbone


@dataclass(frozen=True, config=STRICT)
class Training:
    """How one run is trained; the same for every objective of a comparison.

    Attributes:
        steps: Optimiser steps; 0 for objective ``pretrained`` and for no other.
        batch_size: Images in a batch; the last, smaller batch of an epoch is left out.
        learning_rate: Adam's initial rate.
        plateau_patience: Validations without improvement after which the rate is halved; 0
            keeps the rate.
        plateau_threshold: Least improvement, as a share of the decrease since the first
            validation, so that neither scale nor offset of a loss matters.
        validate_every: Steps between validations; 0 means once an epoch, and at least ten times
            in all.
        gradient_clip: Bound on the global gradient norm; 0 means none.
        selection: Which weights are evaluated.
        train_images: Use only the first so many training images; 0 means all.
        noise_sigma: Standard deviation of the noise on pixels in [0, 1] that an image is trained
            to be recovered from; 0 for none.
        precision: ``float32``, ``tf32`` (rounded factors on a GPU) or ``bfloat16``
            (encoder and decoder but for their last layers).
    """

    steps: Count = 1000
    batch_size: AtLeastOne = 100
    learning_rate: Positive = 1e-3
    plateau_patience: Count = 5
    plateau_threshold: NotNegative = 1e-4
    validate_every: Count = 0
    gradient_clip: NotNegative = 0.0
    selection: Literal["best validation loss", "last step"] = "best validation loss"
    train_images: Count = 0
    noise_sigma: NotNegative = 0.0
    precision: Precision = "float32"


@dataclass(frozen=True, config=STRICT)
class Optimisation:
    """How good strings are looked for in the latent space, by Bayesian optimisation.

    Attributes:
        trials: Searches, each with draws of its own; 0 for none.
        rounds: Rounds of a trial: a surrogate is fitted anew, then a batch is proposed.
        batch: Codes proposed in a round.
        codes: Training codes that the surrogate is fitted to; 0 for all but the held-out tenth.
        inducing: Inducing points of the surrogate.
        steps: Optimiser steps of the surrogate.
        minibatch: Codes in each of these steps.
        decodes: Stochastic decodes of a proposal, of which the most frequent valid one counts.
    """

    trials: Count = 0
    rounds: AtLeastOne = 5
    batch: AtLeastOne = 50
    codes: Count = 18_000
    inducing: AtLeastOne = 200
    steps: AtLeastOne = 250
    minibatch: AtLeastOne = 500
    decodes: AtLeastOne = 25


@dataclass(frozen=True, config=STRICT)
class Evaluation:
    """What is computed from a trained run.

    Attributes:
        densities: What codes of samples are drawn from; those that an objective cannot have are
            left out for it.
        metrics: Names of metrics.
        features: Names of feature extractors.
        images: Images in each set, real and generated.
        likelihood_images: Test images whose likelihood is estimated; 0 for none.
        likelihood_samples: Importance samples for each.
        likelihood_k_images: Test images of a second estimate; 0 for none.
        likelihood_k_samples: Importance samples of the second estimate.
        likelihood_validation_images: Validation images that a completed model's noise is fitted
            to; the first 64 of them also choose where importance samples are drawn.
        annealing_images: Test images for annealed importance sampling; 0 for none.
        annealing_steps: Temperatures of a chain.
        annealing_chains: Chains for each image.
        second_stage_steps: Upper bound on steps of the second stage; 0 means 100 epochs.
        sheet_images: Images in each part of the picture sheet.
        interpolation: Midpoint between codes: spherical, linear or rescaled.
        nearest_weight: Scores of points between each code and its nearest other one, too (iFID):
            how far from the code, 0.5 in the middle; 0 for none.
        temperatures: Extra sample sheets at these temperatures.
        optimisation: The search in the latent space, for strings.
    """

    densities: Names = ("prior", "gaussian", "gmm-10", "second-stage")
    metrics: Names = ("reconstruction", "frechet", "prd")
    features: Names = ("lite0@64",)
    images: AtLeastTwo = 1000
    likelihood_images: Count = 0
    likelihood_samples: AtLeastOne = 500
    likelihood_k_images: Count = 0
    likelihood_k_samples: AtLeastOne = 5000
    likelihood_validation_images: AtLeastTwo = 500
    annealing_images: Count = 0
    annealing_steps: AtLeastOne = 50
    annealing_chains: AtLeastOne = 8
    second_stage_steps: Count = 0
    sheet_images: AtLeastOne = 8
    interpolation: str = "spherical"
    nearest_weight: BelowOne = 0.0
    temperatures: Temperatures = ()
    optimisation: Optimisation = field(default_factory=Optimisation)

    def record(self) -> dict[str, Any]:
        """Returns all settings; what came later leaves no trace in records until it is used."""
        record = dataclasses.asdict(self)
        if self.optimisation.trials == 0:
            del record["optimisation"]
        if self.nearest_weight == 0:
            del record["nearest_weight"]
        return record


@dataclass(frozen=True, config=STRICT)
class Tuning:
    """How `aebench tune` tries out settings; it changes no run.

    Attributes:
        steps: Optimiser steps of one trial.
        images: Validation images that a trial is scored on; 0 for as many as the evaluation has.
    """

    steps: AtLeastOne = 1000
    images: Count = 0


@dataclass(frozen=True, config=STRICT)
class Data:
    """How your own files become a data set; it is part of the data set's name.

    Attributes:
        size: Height and width in pixels to which the images of ``folder:PATH`` are brought: the
            largest square in the middle, resized with antialiasing (bicubic). 0 takes them as
            they are.
    """

    size: Count = 0


@dataclass(frozen=True, config=STRICT)
class Config:
    """One run: what is trained, on what, with which seed.

    Two configs that train the same weights have the same digest, however they are evaluated.

    Attributes:
        suite: Name of the suite.
        scale: Its scale: smoke, small, medium or full.
        dataset: Name of the data set, as in ``aebench list datasets``. A relative path in it
            starts at the suite's file.
        backbone: Name of the networks, as in ``aebench list backbones``; ``diffusers:FOLDER`` or
            ``module:NAME`` for an autoencoder with weights of its own. A relative folder starts
            at the suite's file.
        objective: Name of the objective, as in ``aebench list objectives``.
        latent_dim: How many numbers a code has.
        seed: Seed of weights, batches, noise and evaluation.
        split: Which images train, validate and test: ``default``, or ``aef``, which holds out a
            random share as the AEF paper does.
        space: Where pixels are modelled: ``unit`` (grey levels in [0, 1]) or ``logit`` (their
            logits); bits per dimension have a column for each. Empty for the objective's own.
        options: Options of the objective, such as weights of its loss.
        backbone_options: Options of the backbone.
        training: How it is trained.
        evaluation: How it is scored.
        own_budget: Whether the suite follows no published protocol; its rows do not say ``full``.
        tuning: How `aebench tune` tunes its options.
        tuned: File of trials that `aebench tune` wrote, beside the suite: the options are those
            of the objective's best trial. Empty for the default options.
    """

    suite: str
    scale: str
    dataset: str
    backbone: str
    objective: str
    latent_dim: AtLeastOne
    seed: Seed = 0
    split: str = "default"
    space: str = ""
    options: Options = field(default_factory=dict)
    backbone_options: Options = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    own_budget: bool = False
    tuning: Tuning = field(default_factory=Tuning)
    tuned: str = ""

    def training_record(self) -> dict[str, Any]:
        """Returns everything that decides the trained weights."""
        record = dataclasses.asdict(self)
        for name in ("evaluation", "suite", "own_budget", "tuning", "tuned"):
            del record[name]
        # Runs from before there was a choice keep their digests.
        if self.training.precision == "float32":
            del record["training"]["precision"]
        return record

    @property
    def digest(self) -> str:
        """The 16 hex digits that name the run's directory."""
        text = canonical_json(self.training_record())
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def is_given(self) -> bool:
        """Whether the backbone comes with its weights, so that nothing is trained."""
        return comes_with_weights(self.backbone)

    def check_given(self) -> None:
        """Checks that a backbone with weights, its objective and no training go together.

        Raises:
            ValueError: They do not; the message says what to write.
        """
        steps, given = self.training.steps, self.is_given
        if given and steps:
            raise ValueError(
                f"'training.steps' is {steps} and 'backbone' '{self.backbone}', which comes with "
                "its weights; expected 0: write steps = 0 under [training]"
            )
        if given != (self.objective == PRETRAINED):
            raise ValueError(
                f"'objective' is '{self.objective}' and 'backbone' '{self.backbone}'; expected "
                f"'{PRETRAINED}' with a backbone diffusers:FOLDER or module:NAME and no other"
            )
        if not given and not steps:
            raise ValueError("'training.steps' is 0; expected at least 1")

    @property
    def network(self) -> str:
        """The backbone's name, with its options as canonical JSON where there are any."""
        options = canonical_json(self.backbone_options) if self.backbone_options else ""
        return f"{self.backbone} {options}".strip()

    @property
    def label(self) -> str:
        """A short name for progress and errors."""
        variant = f" {canonical_json(self.options)}" if self.options else ""
        variant += " tuned" if self.tuned else ""
        variant += f" {self.backbone}" if self.is_given else ""
        space = f"/{self.space}" if self.space else ""
        noise = f" sigma={self.training.noise_sigma:g}" if self.training.noise_sigma else ""
        factors = f"d={self.latent_dim} s={self.seed}"
        return f"{self.objective}{variant} {self.dataset}{space}{noise} {factors}"

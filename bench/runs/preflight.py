"""Checks of a whole suite before the first step is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...metrics.extractor import build_extractor
from ...metrics.strings import string_scores
from ...models.densities.density import build_density
from ...models.densities.gaussian import FullGaussian
from ...models.densities.gmm import GaussianMixtureDensity
from ...models.objectives.objective import OBJECTIVES
from ...models.sequences.forms import form
from ..data.dataset import Dataset, find_source
from ..data.sequences import CHARACTERS, GRAMMAR
from ..errors import UserError
from ..evaluation.given_features import check_libraries
from ..evaluation.identity import asks_for_texts
from ..evaluation.interpolation import KINDS
from ..evaluation.likelihood_rows import LikelihoodRows
from ..evaluation.outputs import Outputs, suits
from ..evaluation.usual_names import find_named_metric
from ..interruption import check_stop
from ..optimisation.search import fitted_of
from ..optimisation.surrogate import check_installed
from ..suites.config import Config, Evaluation
from .objective_form import check_terms
from .request import Request, Today
from .runner import Run, dataset, space_of

MOST_COVARIANCE = 2**30  # Bytes of a density's full covariances; fitting takes several times that.
FEW = 3
PIXEL_SPACES = ("unit", "logit")
# The first word of the names of the backbones that are for a form, by which tables name models.
WORDS = {GRAMMAR: "grammar", CHARACTERS: "character"}


def check_suite(configs: Sequence[Config]) -> list[Today]:
    """Builds every different run once, so that bad input is found before the long work.

    Returns:
        For each config what it would be trained by and on.

    Raises:
        UserError: A name, size, option or file cannot be used; the message names it.
        UnknownName: A name is not registered.
    """
    built: dict[tuple[object, ...], Today] = {}
    for config in configs:
        check_stop()
        if _model(config) not in built:
            built[_model(config)] = _checked(config)
    pictured = {
        config.evaluation
        for config in configs
        if dataset(config.dataset, config.split).default_space == "unit"
    }
    for evaluation in {config.evaluation for config in configs}:
        check_evaluation(evaluation, pictured=evaluation in pictured)
    for config in configs:
        check_examples(config, dataset(config.dataset, config.split))
        _check_texts(config)
    for name in sorted(
        {config.dataset for config in configs if asks_for_texts(config.evaluation)}
    ):
        if ":" in name:  # A user's own: rdkit may reject a molecule, which then has no score.
            find_source(name).check()
    return [built[_model(config)] for config in configs]


def _checked(config: Config) -> Today:
    """Returns what a run would be trained by and on, once its objective is seen to train."""
    run = Run(Request(config, Path()))
    try:
        check_terms(run.objective, run.data.train[:FEW])
    except ValueError as error:
        raise UserError(f"Run '{config.label}': {error}") from error
    return run.today


def check_evaluation(evaluation: Evaluation, *, pictured: bool) -> None:
    """Checks the names that an evaluation asks for, and an extractor's weights and libraries.

    Args:
        evaluation: The settings.
        pictured: Whether it is of pictures: vectors and texts need no extractor's weights.

    Raises:
        UserError: A name cannot be used, or weights are missing.
        UnknownName: A metric is not registered.
    """
    if evaluation.interpolation not in KINDS:
        raise UserError(
            f"'evaluation.interpolation' is '{evaluation.interpolation}'; "
            f"expected one of: {', '.join(KINDS)}."
        )
    for key in ("metrics", "densities", "features"):
        names = getattr(evaluation, key)
        if twice := [name for at, name in enumerate(names) if name in names[:at]]:
            raise UserError(f"'evaluation.{key}' has '{twice[0]}' twice; expected it once.")
    for name in evaluation.metrics:
        find_named_metric(name)
    try:
        for name in evaluation.densities:
            build_density(name)
        for name in evaluation.features:
            extractor = build_extractor(name)
            if pictured:
                _ = extractor.identity
                check_libraries(extractor)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error


def _model(config: Config) -> tuple[object, ...]:
    return (
        *(config.dataset, config.split, config.backbone, config.objective, config.space),
        *(config.latent_dim, str(config.options), str(config.backbone_options)),
        config.training,
    )


def _check_codes(config: Config, data: Dataset) -> None:
    """Checks that a search has codes enough for its surrogate, after those that judge it.

    Raises:
        UserError: It has not.
    """
    search, count = config.evaluation.optimisation, _trained(config, data)
    fitted = min(search.codes or count, fitted_of(count))
    if fitted < search.inducing:
        raise UserError(
            f"Run '{config.label}': 'evaluation.optimisation.inducing' is {search.inducing}; "
            f"expected at most {fitted}, the training strings of {count} that its surrogate is "
            "fitted to."
        )


def _trained(config: Config, data: Dataset) -> int:
    """Returns how many examples a run trains on."""
    there = len(data.train)
    return min(config.training.train_images or there, there)


def check_examples(config: Config, data: Dataset) -> None:
    """Checks that a run's images, and those of a batch, are enough, and take its space and noise.

    Raises:
        UserError: They are not, or do not.
    """
    _check_densities(config, data)
    _check_noise(config, data)
    _check_space(config, data)
    if len(data.validation) == 1:
        _check_validation(config, data)
    if config.training.batch_size == 1 and not config.is_given:
        told = f"Run '{config.label}': 'training.batch_size' is 1; expected more"
        _check_alone(Run(Request(config, Path()), data), data.train[:1], told)


def _check_validation(config: Config, data: Dataset) -> None:
    """Checks that one validation image is enough for a run.

    Raises:
        UserError: It is not.
    """
    run = Run(Request(config, Path()), data)
    few = f"Run '{config.label}': there is 1 validation image; give more images"
    outputs = Outputs(run.objective, data, config.evaluation, config.seed)
    completed = any(LikelihoodRows(outputs, {}, Path()).densities())
    if completed and run.objective.space.fits_noise:
        raise UserError(
            f"{few}, or set 'evaluation.likelihood_images' to 0: the noise of a likelihood that "
            "a density completes is fitted to at least 2."
        )
    if not config.is_given:
        _check_alone(run, data.validation, few)


def _check_alone(run: Run, image: Tensor, told: str) -> None:
    """Checks that a run's loss can be taken of one image alone, after its first batch.

    Raises:
        UserError: It cannot; the message begins with ``told``.
    """
    objective, generator = run.objective, torch.Generator().manual_seed(0)
    prepare, first = objective.space.prepare, run.data.train[: run.config.training.batch_size]
    try:
        with torch.no_grad():
            objective.initialise(prepare(first, generator), generator)
            objective.terms(prepare(image.clone(), generator), generator)
    except ValueError as error:
        raise UserError(f"{told}. Of one alone the loss says: {error}") from error


def _check_noise(config: Config, data: Dataset) -> None:
    sigma = config.training.noise_sigma
    if sigma > 0 and space_of(config, data) == "real":
        raise UserError(
            f"Run '{config.label}': 'training.noise_sigma' is {sigma:g}, noise on pixels in "
            "[0, 1]; expected 0 in space 'real', whose values have no such bounds."
        )


def _check_space(config: Config, data: Dataset) -> None:
    space, vectors = space_of(config, data), data.default_space == "real"
    if (space == "real" and not vectors) or (space in PIXEL_SPACES and vectors):
        other = "pixels from 0 to 255" if vectors else "vectors, whose values have no bounds"
        expected = "'real'" if vectors else " or ".join(f"'{name}'" for name in PIXEL_SPACES)
        raise UserError(
            f"Run '{config.label}': 'space' is '{space}', for {other}; expected {expected} for "
            f"the {'vectors' if vectors else 'images'} of '{data.name}', or none."
        )


def _check_densities(config: Config, data: Dataset) -> None:
    images, native = _trained(config, data), OBJECTIVES.get(config.objective).prior
    for name in config.evaluation.densities:
        if not suits(name, native):
            continue
        density = build_density(name)
        full = isinstance(density, FullGaussian | GaussianMixtureDensity)
        size = getattr(density, "components", 1) * config.latent_dim**2 * 8
        if full and size > MOST_COVARIANCE:
            raise UserError(
                f"Run '{config.label}': 'evaluation.densities' has '{name}', whose covariances of "
                f"{config.latent_dim} values take {size / 2**30:.1f} GiB; expected one such as "
                "'low-rank-64' or 'low-rank-64-gmm-10'."
            )
        if images < density.least_codes:
            raise UserError(
                f"Run '{config.label}': 'evaluation.densities' has '{name}', which takes at "
                f"least {density.least_codes} training examples; there are {images}."
            )


def _check_texts(config: Config) -> None:
    """Checks what only a run over texts can have, and what it cannot.

    Raises:
        UserError: A setting does not suit the data, or a package is missing.
    """
    form_name, search = dataset(config.dataset, config.split).form, config.evaluation.optimisation
    if not form_name:
        if search.trials:
            raise UserError(
                f"Run '{config.label}': 'evaluation.optimisation' searches for strings; data set "
                f"'{config.dataset}' has none."
            )
        return
    if config.training.noise_sigma > 0:
        raise UserError(
            f"Run '{config.label}': 'training.noise_sigma' is {config.training.noise_sigma:g}; "
            "strings take no noise."
        )
    if config.evaluation.temperatures:
        raise UserError(
            f"Run '{config.label}': 'evaluation.temperatures' is "
            f"{list(config.evaluation.temperatures)}; strings have no sample sheets at "
            "temperatures, leave it out."
        )
    word, wanted = config.backbone.partition("-")[0], WORDS[form_name.rpartition("-")[2]]
    if word != wanted and word in WORDS.values():
        raise UserError(
            f"Run '{config.label}': 'backbone' is '{config.backbone}'; expected '{wanted}-gru' "
            f"for '{config.dataset}', whose strings are written as '{form_name}'. To run a "
            f"suite's blocks of that backbone alone, add: --only backbone={wanted}-gru"
        )
    if search.trials:
        check_installed()
        _check_codes(config, dataset(config.dataset, config.split))
    if asks_for_texts(config.evaluation):
        try:
            string_scores([], form(form_name).task)
        except ImportError as error:
            raise UserError(str(error)) from error

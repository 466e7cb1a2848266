"""The weights that the RAE paper's authors released, as this package puts them beside sums.

The numbers are those of the released code (per-pixel means), times D = H W C for a weight beside
the squared error and 2 D / L for one beside half the squared code of L values. They are typed
here once more, so that a slip of one digit in a model is noticed.
"""

from __future__ import annotations

import dataclasses

import pytest
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.outputs import Outputs
from aebench.bench.suites.config import Evaluation
from aebench.models import build
from aebench.models.densities.second_stage import SecondStage

# The papers' images and code sizes, padded digits as there.
PLACES = {"mnist": ((1, 32, 32), 16), "cifar10": ((3, 32, 32), 128), "celeba": ((3, 64, 64), 64)}
RELEASED_GP = {"penalty": "released"}
# Objective, its options, the weight, then its value on MNIST, CIFAR-10 and CelebA.
TABLE = [
    ("rae", {}, "beta", 0.064, 0.48, 0.0384),
    ("rae-l2", {}, "beta", 0.0128, 0.048, 0.0384),
    ("rae-l2", {}, "l2", 1.024e-4, 3.072e-3, 1.2288e-3),
    ("rae-gp", {}, "beta", 0.0128, 0.0432, 0.0384),
    ("rae-gp", RELEASED_GP, "gp", 5.12e-5, 0.0, 1.2288e-3),
    ("rae-sn", {}, "beta", 1.152, 1.44, 0.9216),
    ("ae", {}, "beta", 0.0, 0.0, 0.0),
    ("ae-l2", {}, "beta", 0.0, 0.0, 0.0),
    ("ae-l2", {}, "l2", 1.024e-4, 3.072e-3, 1.2288e-2),
    ("vae", {}, "beta", 0.312, 0.072, 0.27072),
    ("cv-vae", {}, "beta", 0.039, 0.0027, 0.03),
    ("cv-vae", {}, "sigma", 0.7, 0.7, 0.7),
    ("wae-mmd", {}, "mmd", 30.72, 18.432, 2000.0),
    ("wae-mmd", {}, "input_noise", 0.0, 0.0, 0.01),
]
CASES = [
    (objective, preset, options, weight, value)
    for objective, options, weight, *values in TABLE
    for preset, value in zip(PLACES, values, strict=True)
]


@pytest.mark.parametrize(("objective", "preset", "options", "weight", "value"), CASES)
def test_a_preset_has_the_released_weight(objective, preset, options, weight, value):
    shape, latent = PLACES[preset]
    model = build(
        objective,
        backbone="tiny",
        image_shape=shape,
        latent_dim=latent,
        preset=preset,
        **options,
    )
    assert model.hyperparameters[weight] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("preset", "beta"), [("mnist", 1.5e-3), ("cifar10", 1e-3), ("celeba", 2e-3)]
)
def test_the_second_stage_of_a_run_has_the_weight_released_for_its_data(preset, beta, monkeypatch):
    monkeypatch.setattr(SecondStage, "fit", lambda self, codes, seed: None)
    data = dataclasses.replace(load_dataset("digits"), preset=preset)
    model = build("vae", backbone="tiny", image_shape=data.image_shape, latent_dim=2)
    outputs = Outputs(model, data, Evaluation(images=20), seed=0)
    assert outputs.density("second-stage").beta == beta


def test_a_preset_without_a_default_for_an_option_is_told_with_the_option_and_the_remedies():
    with pytest.raises(ValueError, match="'preset' is 'svhn', for which 'beta' has no") as told:
        build("vae", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2, preset="svhn")
    remedies = "give 'beta' itself, or one of the presets: celeba, cifar10, mnist."
    assert str(told.value).endswith(remedies)

"""What a fitted model takes and returns, whatever its data and whatever the caller set."""

from __future__ import annotations

import numpy as np
import pytest
from aebench.bench import UserError, fit

TINY = {"backbone": "tiny", "latent_dim": 3, "steps": 6, "batch_size": 20, "progress": False}


@pytest.mark.parametrize(
    ("name", "form"), [("linear-gaussian", (6,)), ("decoder-images", (1, 4, 4))]
)
def test_a_model_of_a_named_set_of_vectors_takes_what_it_returns_and_its_own_data(name, form):
    model = fit("vae", name, backbone="mlp", steps=2, progress=False)
    made = model.sample(4)
    assert made.shape == (4, *form) and model.reconstruct(made).shape == made.shape
    stored = model.data.test[:4]
    codes = model.encode(stored)
    assert codes.shape == (4, 2)
    np.testing.assert_array_equal(model.encode(stored.reshape(4, -1)), codes)
    with pytest.raises(UserError, match="'images' are 1x1x3 each; the model was trained on 1x"):
        model.encode(np.zeros((2, 3)))


@pytest.mark.parametrize("named", [("images", "labels"), ("x_train", "x_test")])
def test_the_order_of_a_dictionary_does_not_change_the_form_of_images(named):
    images = np.random.default_rng(0).random((30, 8, 8, 1))
    second = np.arange(30) if named[1] == "labels" else images[:, None, :, :, 0]
    given = {named[1]: second, named[0]: images}
    assert fit("ae", given, **TINY).sample(2).shape == (2, 8, 8, 1)

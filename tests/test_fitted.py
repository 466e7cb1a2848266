"""What a fitted model takes and returns, whatever its data and whatever the caller set."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from aebench.bench import RunFailed, UserError, fit
from aebench.bench.data.dataset import load_dataset

TINY = {"backbone": "tiny", "latent_dim": 3, "steps": 6, "batch_size": 20, "progress": False}


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").train[:300, 0].numpy()


@pytest.fixture(scope="module")
def model(digits):
    return fit("rae", digits, **TINY)


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


def test_reconstructions_in_space_logit_are_those_of_the_codes(digits):
    model = fit("ae", digits, **TINY, space="logit")
    again = model.decode(model.encode(digits[:9]))
    np.testing.assert_array_equal(model.reconstruct(digits[:9]), again)


def test_what_the_caller_set_torch_to_changes_no_number_and_stays(digits):
    expected = fit("ae", digits, **TINY).sample(4)
    try:
        torch.set_default_dtype(torch.float64)
        for mode in (torch.no_grad(), torch.inference_mode()):
            with mode:
                model = fit("ae", digits, **TINY)
                np.testing.assert_array_equal(model.sample(4), expected)
                assert model.reconstruct(digits[:3]).shape == (3, 8, 8)
                assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_codes_that_lead_out_of_the_range_of_numbers_are_one_line(model):
    with pytest.raises(UserError, match="'codes' has values that are not finite in float32"):
        model.decode(np.full((2, 3), 1e300))
    with torch.no_grad():
        weights = copy.deepcopy(model.objective.state_dict())
        try:
            for each in model.objective.parameters():
                each.mul_(1e30)
            for call in (
                lambda: model.decode(np.full((2, 3), 1e38)),
                lambda: model.reconstruct(np.ones((2, 8, 8))),
            ):
                with pytest.raises(RunFailed, match=r"Images have .* values; expected numbers"):
                    call()
        finally:
            model.objective.load_state_dict(weights)

"""Which pixels are the core."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aebench.models import build
from aebench.models.objectives.masks import center_order, corner_order, given_order, split

RULES = {"center": center_order, "corner": corner_order}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 4, 4), (2, 6, 6), (1, 10, 10)])
def test_every_position_is_taken_once_on_even_squares(rule, shape):
    assert sorted(RULES[rule](shape)) == list(range(shape[0] * shape[1] * shape[2]))


def test_center_rule_walks_down_right_up_left_from_the_middle():
    walked = [divmod(position, 28) for position in center_order((1, 28, 28))[:9]]
    assert walked == [
        (13, 13), (14, 13), (14, 14), (13, 14), (12, 14), (12, 13), (12, 12), (13, 12), (14, 12),
    ]  # fmt: skip


def test_corner_rule_takes_the_four_corners_of_a_channel_first():
    walked = [divmod(position, 32 * 32) for position in corner_order((3, 32, 32))[:6]]
    assert walked == [(0, 0), (0, 31), (0, 992), (0, 1023), (1, 0), (1, 31)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(5, 5), (4, 6), (3, 4)])
def test_rules_refuse_images_on_which_they_break(rule, size):
    text = f"The {rule} mask got images of {size[0]}x{size[1]}; expected square images of even"
    with pytest.raises(ValueError, match=text):
        build(f"aef-{rule}", backbone="mlp", image_shape=(1, *size), latent_dim=2)


def test_core_and_shell_are_in_increasing_order_and_share_nothing():
    core, shell = split([7, 2, 5, 0], 3, 9)
    assert core.tolist() == [2, 5, 7]
    assert shell.tolist() == [0, 1, 3, 4, 6, 8]


def test_a_given_mask_takes_the_place_of_the_rule():
    model = build("aef-corner", backbone="mlp", image_shape=(1, 3, 5), latent_dim=2, mask=[9, 4])
    assert model.get_buffer("core").tolist() == [4, 9]
    assert model.hyperparameters["mask"] == [4, 9]
    assert given_order(np.array([9, 4]), 15, 2) == given_order(torch.tensor([9, 4]), 15, 2)


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        ([1], "'mask' has 1 positions, 1 of them different; .* the latent size, 2"),
        ([1, 1], "'mask' has 2 positions, 1 of them different"),
        ([0, 4], "'mask' has position 4; expected 0 to 3"),
        ([-1, 2], "'mask' has position -1; expected 0 to 3"),
        (1, "'mask' is 1; expected a list of whole numbers"),
        ("01", r"'mask' is '01'; .* A suite's file .* mask = \[\[0, 1\]\]"),
        ([1.9, 3.2], r"'mask' is \[1.9, 3.2\]; expected a list of whole numbers"),
        ([True, False], "expected a list of whole numbers"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, text):
    with pytest.raises(ValueError, match=text):
        given_order(mask, 4, 2)


def test_a_core_of_all_pixels_leaves_no_shell_and_still_has_a_likelihood():
    model = build("aef-center", backbone="mlp", image_shape=(1, 2, 2), latent_dim=4, space="real")
    x = torch.randn(5, 1, 2, 2)
    terms = model.terms(x, torch.Generator())
    assert torch.equal(terms["shell"], torch.zeros(5))
    assert bool(torch.isfinite(model.log_prob(x)).all())

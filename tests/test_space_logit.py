"""Logit and real space: values, determinants, clamping and refusals."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.models import build
from aebench.models.objectives.objective import OBJECTIVES
from aebench.models.spaces.logit import LogitSpace
from aebench.models.spaces.real import RealSpace
from aebench.models.spaces.space import UnitSpace

pytestmark = pytest.mark.sensitive
STORED = np.load(Path(__file__).parent / "golden" / "bijectors.npz")

TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=noise())


def ready_space(alpha: float = 1e-6, shape: tuple[int, int, int] = (3, 2, 2)) -> LogitSpace:
    space = LogitSpace(shape, alpha=alpha)
    space.initialise(images(64, *shape))
    return space


@pytest.mark.parametrize("case", ["logit_small", "logit_large"])
def test_affine_and_logit_have_the_stored_values(case):
    space = LogitSpace((3, 4, 4), alpha=float(STORED[f"{case}__alpha"]))
    y, log_det = space.logit(torch.as_tensor(STORED[f"{case}__x"]))
    torch.testing.assert_close(y, torch.as_tensor(STORED[f"{case}__y"]), rtol=1e-9, atol=1e-9)
    expected = torch.as_tensor(STORED[f"{case}__logdet"])
    torch.testing.assert_close(log_det, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 0.05])
def test_log_determinant_is_that_of_the_jacobian(alpha):
    space, x = ready_space(alpha).double(), images(2, 3, 2, 2).double()
    y, log_det = space(x)
    for image, value in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda one: space(one[None])[0][0], image)
        truth = torch.linalg.slogdet(jacobian.reshape(12, 12))[1]
        assert float(truth) == pytest.approx(float(value), abs=1e-8)
    torch.testing.assert_close(space.inverse(y), x)


def test_dequantised_pixels_keep_their_value_and_repeat_under_a_generator():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    space = LogitSpace((1, 16, 16))
    x = space.prepare(pixels, noise(1))
    assert torch.equal((256 * x).floor().clamp(max=255), pixels.float())
    assert torch.equal(x, space.prepare(pixels, noise(1)))
    assert not torch.equal(x, space.prepare(pixels, noise(2)))


def test_white_and_black_pixels_are_as_far_from_the_middle_in_single_precision():
    space = LogitSpace((1, 1, 2))
    y, log_det = space.logit(torch.tensor([[[[0.0, 1.0]]]]))
    assert float(y[0, 0, 0, 0]) == pytest.approx(-float(y[0, 0, 0, 1]), rel=float32_slack(1, 3))
    exact = 2 * (math.log(1 - 2e-6) - math.log(1e-6) - math.log1p(-1e-6))
    assert float(log_det) == pytest.approx(exact, rel=float32_slack(1, 6))


def test_images_for_display_are_clamped_and_the_inverse_is_not():
    space = ready_space(0.05)
    far = torch.full((1, 3, 2, 2), 30.0)
    assert float(space.image(far).max()) == 1
    assert float(space.image(-far).min()) == 0
    assert float(space.inverse(far).max()) == pytest.approx(
        1 + 0.05 / 0.9, rel=float32_slack(1, 3)
    )


def test_first_batch_comes_out_with_mean_zero_and_deviation_one_in_each_channel():
    space, x = LogitSpace((2, 4, 4)), images(32, 2, 4, 4)
    x[:, 1] *= 0.3
    space.initialise(x)
    y = space(x)[0]
    assert y.mean((0, 2, 3)).abs().max() < 1e-4
    torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -0.1, 0.7])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match=r"'alpha' is .*; expected a number in \(0, 0\.5\)"):
        LogitSpace((1, 2, 2), alpha=alpha)


@pytest.mark.parametrize("value", [-0.25, 1.5, math.nan])
def test_data_outside_the_unit_range_are_refused_with_value_and_image(value):
    x = images(3, 3, 2, 2)
    x[1, 2, 0, 1] = value
    for space, name in ((ready_space(), "logit"), (UnitSpace((3, 2, 2)), "unit")):
        text = f"Space '{name}' got the value {value:.6g} in image 1"
        with pytest.raises(ValueError, match=text):
            space(x)


def test_real_space_leaves_vectors_as_they_are():
    space, x = RealSpace((1, 1, 3)), 100 * torch.randn(4, 1, 1, 3)
    y, log_det = space(x)
    assert torch.equal(y, x)
    assert torch.equal(log_det, torch.zeros(4))
    assert torch.equal(space.dequantise(x, noise()), x)
    assert torch.equal(space.image(y), x)


def test_space_is_trained_only_where_the_loss_counts_its_determinant():
    for name, kind in OBJECTIVES.items():
        if "logit" not in kind.spaces:
            continue
        model = build(name, backbone="tiny", image_shape=(1, 4, 4), latent_dim=2, space="logit")
        model.initialise(images(8, 1, 4, 4), noise())
        x = images(8, 1, 4, 4)
        model.loss(x, noise()).sum().backward()
        trained = [p.grad is not None for p in model.space.parameters()]
        assert set(trained) == {type(model).trains_space}
        if not type(model).trains_space:
            assert type(model).likelihood == "none"


def test_autoencoder_can_take_its_error_in_pixels_of_the_logit_space():
    x = images(5, 1, 4, 4)
    losses = {}
    for distortion in ("space", "pixels"):
        model = build(
            "ae",
            backbone="tiny",
            image_shape=(1, 4, 4),
            latent_dim=2,
            space="logit",
            distortion=distortion,
        )
        model.initialise(x, noise())
        losses[distortion] = model.loss(x, noise())
        inverse = model.space.inverse(model.mean(model.encode(x)))
    pixels = (inverse - x).square().flatten(1).sum(1)
    rtol = float32_slack(1, x[0].numel())
    torch.testing.assert_close(losses["pixels"], pixels, rtol=rtol, atol=0)
    assert not torch.allclose(losses["space"], pixels)
    with pytest.raises(ValueError, match="'distortion' is 'pixel'; expected 'space' or 'pixels'"):
        build("ae", backbone="tiny", image_shape=(1, 4, 4), latent_dim=2, distortion="pixel")

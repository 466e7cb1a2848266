"""Flow layers and stacks against stored values, their inverses and their Jacobians."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aebench.models.flows.actnorm import EPSILON, ActNorm
from aebench.models.flows.autoregressive import AutoregressiveLayer
from aebench.models.flows.flow_gaussian import FlowGaussian
from aebench.models.flows.flows import FlowStack, build_flow
from torch import Tensor

pytestmark = pytest.mark.sensitive
STORED = np.load(Path(__file__).parent / "golden" / "bijectors.npz")
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
products = TOLERANCES["products"]
STACKS = ("maf", "iaf", "realnvp")
FAST = {"maf": "to_noise", "iaf": "to_data", "realnvp": "to_data"}


def stored(key: str) -> Tensor:
    return torch.as_tensor(STORED[key]).double()


def close(value: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(value, expected.expand_as(value), rtol=1e-9, atol=1e-9)


def small_flow(name: str, features: int, layers: int = 2, change: float = 0.3) -> Any:
    torch.manual_seed(3)
    flow = build_flow(name, features, layers=layers, hidden=12).double()
    for parameter in flow.parameters():
        parameter.data.add_(change * torch.randn_like(parameter))
    for module in flow.modules():
        if isinstance(module, ActNorm):
            module.get_buffer("initialised").fill_(True)
    return flow


def load_network(network: Any, prefix: str) -> None:
    first, *blocks, last = network
    layers = [first, *(part for b in blocks for part in (b.first, b.second)), last]
    for index, layer in enumerate(layers):
        layer.weight.data.copy_(stored(f"{prefix}W{index}"))
        layer.bias.data.copy_(stored(f"{prefix}b{index}"))
        if f"{prefix}M{index}" in STORED.files:
            assert torch.equal(layer.mask.double(), stored(f"{prefix}M{index}"))


def load_norm(norm: ActNorm, log_scale: Tensor, shift: Tensor) -> ActNorm:
    norm.double()
    norm.log_scale.data.copy_(log_scale)
    norm.shift.data.copy_(shift)
    norm.get_buffer("initialised").fill_(True)
    return norm


@pytest.mark.parametrize("case", ["actnorm4d", "actnorm2d_scalar", "actnorm2d_perfeature"])
def test_actnorm_has_the_stored_values(case):
    log_scale, image = stored(f"{case}__log_scale"), case == "actnorm4d"
    norm = load_norm(ActNorm(log_scale.numel(), image=image), log_scale, stored(f"{case}__shift"))
    x = stored(f"{case}__x")
    y, log_det = norm.normalise(x) if image else norm.scale(x)
    close(y, stored(f"{case}__y"))
    close(log_det, stored(f"{case}__logdet"))
    back, negative = norm.scale(y) if image else norm.normalise(y)
    close(back, x)
    close(negative, -log_det)
    assert float(stored(f"{case}__eps")) == EPSILON


def test_the_log_determinant_of_scales_by_feature_is_not_that_of_the_released_code():
    released = stored("actnorm2d_perfeature__logdet_reference_wrong")
    features = stored("actnorm2d_perfeature__x").shape[1]
    log_scale, shift = (stored(f"actnorm2d_perfeature__{key}") for key in ("log_scale", "shift"))
    norm = load_norm(ActNorm(features), log_scale, shift)
    log_det = norm.scale(stored("actnorm2d_perfeature__x"))[1]
    close(features * log_det, released)


def test_actnorm_is_initialised_to_the_stored_mean_and_deviation_of_the_first_batch():
    norm, x = ActNorm(3, image=True).double(), stored("actnorm_init__x")
    norm.initialise(x)
    close(norm.shift, stored("actnorm_init__mean"))
    close(norm.log_scale.exp(), stored("actnorm_init__std_unbiased"))
    y, log_det = norm.normalise(x)
    close(y, stored("actnorm_init__y"))
    close(log_det, stored("actnorm_init__logdet_per_image"))


@pytest.mark.parametrize("normalise", [True, False])
def test_actnorm_on_vectors_is_initialised_to_one_pooled_mean_and_deviation(normalise):
    norm, v = ActNorm(1).double(), 3 * torch.randn(50, 4).double() + 2
    norm.initialise(v, normalise=normalise)
    y = (norm.normalise(v) if normalise else norm.scale(v))[0]
    assert float(y.mean().detach()) == pytest.approx(0, abs=1e-4)
    assert float(y.std().detach()) == pytest.approx(1, abs=1e-3)


def test_actnorm_refuses_use_before_initialisation_and_constant_batches():
    with pytest.raises(RuntimeError, match="ActNorm is not initialised; expected a call of"):
        ActNorm(1).normalise(torch.ones(2, 3))
    with pytest.raises(ValueError, match="standard deviation 0 in channel 1"):
        ActNorm(2, image=True).initialise(
            torch.stack([torch.rand(4, 3, 3), torch.ones(4, 3, 3)], dim=1)
        )
    with pytest.raises(ValueError, match="first batch of 1 value; expected at least 2"):
        ActNorm(1).initialise(torch.ones(1, 1))


def test_actnorm_stays_initialised_through_a_saved_state():
    norm = ActNorm(1)
    norm.initialise(torch.randn(9, 2))
    other = ActNorm(1)
    other.load_state_dict(norm.state_dict())
    v = torch.randn(3, 2)
    assert torch.equal(other.normalise(v)[0], norm.normalise(v)[0])


def test_autoregressive_layer_has_the_stored_values():
    layer = AutoregressiveLayer(5, 12).double()
    load_network(layer.network, "maf_layer__")
    x = stored("maf_layer__x").flip(-1)  # the layer reverses the coordinates first
    y, log_det = layer(x)
    close(y, stored("maf_layer__y"))
    close(log_det, stored("maf_layer__logdet"))
    close(layer(y, inverse=True)[0], x)


@pytest.mark.parametrize("name", STACKS)
def test_stack_has_the_stored_values(name):
    case = name if name == "realnvp" else f"{name}_stack"
    flow = FlowStack(name, 5, layers=2, hidden=12).double()
    for index, (layer, norm) in enumerate(zip(flow.layers, flow.norms, strict=True)):
        prefix = f"{case}__l{index}_"
        load_network(layer.network, prefix)
        load_norm(norm, stored(f"{prefix}act_log_scale"), stored(f"{prefix}act_shift"))
        if name == "realnvp":
            for split in layer.transforms:
                kept, mapped = split.split(torch.arange(5).double())
                assert torch.equal(kept, stored(f"{prefix}identity_idx"))
                assert torch.equal(mapped, stored(f"{prefix}transform_idx"))
    x = stored(f"{case}__x")
    fast, slow = (flow.to_noise, flow.to_data)[:: 1 if name == "maf" else -1]
    y, log_det = fast(x)
    close(y, stored(f"{case}__y"))
    close(log_det, stored(f"{case}__logdet"))
    back, negative = slow(y)
    close(back, x)
    close(negative, -log_det)


@pytest.mark.parametrize("method", ["to_noise", "to_data"])
@pytest.mark.parametrize(
    ("name", "features"),
    # A coupling layer needs two coordinates, so realnvp has no case with one.
    [(name, size) for name in STACKS for size in (1, 2, 5) if (name, size) != ("realnvp", 1)],
)
def test_log_determinant_is_that_of_the_jacobian(name, method, features):
    flow = small_flow(name, features)
    v = torch.randn(3, features, dtype=torch.float64)
    log_det = getattr(flow, method)(v)[1].detach()
    for row, value in zip(v, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: getattr(flow, method)(one[None])[0][0], row
        )
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(value), abs=1e-8)


@pytest.mark.parametrize(("features", "hidden"), [(1, 4), (2, 5), (5, 12), (9, 4), (6, 5)])
def test_autoregressive_layer_inverts_in_passes_and_unit_by_unit(features, hidden):
    torch.manual_seed(1)
    layer = AutoregressiveLayer(features, hidden).double()
    for parameter in layer.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    v = torch.randn(3, 4, features, dtype=torch.float64)
    y, log_det = layer(v)
    with_gradient, negative = layer(y, inverse=True)
    with torch.no_grad():
        without, also_negative = layer(y, inverse=True)
    assert with_gradient.requires_grad
    for value in (with_gradient, without):
        close(value, v)
    for value in (negative, also_negative):
        close(value, -log_det)


@pytest.mark.parametrize("name", STACKS)
def test_flow_takes_any_number_of_leading_axes(name):
    flow, v = small_flow(name, 3), torch.randn(4, 2, 3, dtype=torch.float64)
    value, log_det = getattr(flow, FAST[name])(v)
    assert log_det.shape == (4, 2)
    close(value[1], getattr(flow, FAST[name])(v[1])[0])


@pytest.mark.parametrize("from_noise", [False, True])
@pytest.mark.parametrize("name", STACKS)
def test_initialisation_standardises_the_output_of_the_direction_in_use(name, from_noise):
    flow = build_flow(name, 3, layers=2, hidden=8)
    v = 5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) - 2
    output = flow.initialise(v, from_noise=from_noise).detach()
    again = (flow.to_data(v) if from_noise else flow.to_noise(v))[0]
    atol = float32_slack(output.abs().max(), products(flow))
    torch.testing.assert_close(output, again, rtol=0, atol=atol)
    norm_is_last = from_noise != (name == "maf")
    if norm_is_last:
        assert float(output.mean()) == pytest.approx(0, abs=1e-3)
        assert float(output.std()) == pytest.approx(1, abs=1e-3)


def test_flow_on_one_coordinate_is_an_affine_map():
    flow = small_flow("maf", 1, layers=3)
    v = torch.tensor([[-1.0], [0.0], [1.0], [4.0]], dtype=torch.float64)
    y = flow.to_noise(v)[0]
    close(y[2] - y[1], y[1] - y[0])
    close(y[3] - y[1], 4 * (y[1] - y[0]))


def test_flow_gaussian_gives_the_density_of_its_draws_without_the_inverse():
    flow = small_flow("iaf", 2)
    loc, scale = torch.randn(3, 2).double(), torch.rand(3, 2).double() + 0.5
    calls: list[int] = []

    def inverse(z: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        return flow.to_noise(z)

    q = FlowGaussian(loc, scale, flow.to_data, inverse)
    z, log_prob = q.draw(torch.randn(6, 3, 2).double())
    assert z.shape == (6, 3, 2)
    assert not calls
    close(q.log_prob(z), log_prob)
    assert calls


def test_flow_gaussian_integrates_to_one():
    flow = small_flow("iaf", 2, change=0.1)
    q = FlowGaussian(
        torch.zeros(1, 2).double(), torch.ones(1, 2).double(), flow.to_data, flow.to_noise
    )
    axis = torch.linspace(-12, 12, 481, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = q.log_prob(grid[:, None]).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("features", "count"),
    [(2, 1_059_864), (4, 1_066_024), (8, 1_078_344), (16, 1_102_984), (32, 1_152_264)],
)
def test_stack_has_the_published_number_of_parameters(features, count):
    assert sum(p.numel() for p in build_flow("maf", features).parameters()) == count


def test_unknown_flows_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Unknown flow 'mef'\. Did you mean 'maf'\?"):
        build_flow("mef", 2)
    with pytest.raises(ValueError, match="Flow 'realnvp' got latent size 1; expected at least 2"):
        build_flow("realnvp", 1)
    with pytest.raises(ValueError, match="'flow_layers' is 0; expected at least 1"):
        build_flow("maf", 2, layers=0)

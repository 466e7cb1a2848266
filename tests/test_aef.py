"""AEF, VAE, IWAE and MAF as objectives: samples, options, drift, counts and refusals."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from aebench.bench.likelihood.proposal import encoder_sampler
from aebench.models import build
from aebench.models.backbones.backbone import count_parameters
from aebench.models.building import option_defaults
from aebench.models.objectives.denoising import add_noise
from aebench.models.objectives.objective import OBJECTIVES
from torch import nn

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
products = TOLERANCES["products"]
SCALED = ("aef-center", "aef-corner", "aef-linear", "aef-linear-fixed", "vae", "vae-iaf", "iwae")
BOUNDS = ("aef-linear", "aef-linear-fixed", "vae", "vae-iaf", "iwae")
FLOW_OPTIONS = ("core_flow", "posterior_flow", "prior_flow")


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 16, size: int = 4) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=noise())


def ready(name: str, latent_dim: int = 2, **options: Any) -> Any:
    options = {"space": "logit", "alpha": 0.05} | options
    model = build(name, backbone="tiny", image_shape=(1, 4, 4), latent_dim=latent_dim, **options)
    model.initialise(images(), noise())
    return model


@pytest.mark.parametrize("flow", ["maf", "iaf", "realnvp"])
@pytest.mark.parametrize("name", SCALED)
def test_all_flows_train_decode_and_repeat(name, flow):
    known = option_defaults(type(ready(name)))
    flows = {key: flow for key in FLOW_OPTIONS if key in known}
    model = ready(name, **flows, flow_layers=2, flow_hidden=6, decoder_scale="dependent")
    x = images(6)
    model.loss(x, noise()).mean().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert bool(torch.isfinite(parameter.grad).all()), key
    assert model.encode(x).shape == (6, 2)
    assert torch.equal(model.encode(x), model.encode(x))
    with torch.no_grad():
        sample = model.sample(5, noise(1))
        assert torch.equal(sample, model.sample(5, noise(1)))
    assert sample.shape == (5, 1, 4, 4)
    assert bool(((sample >= 0) & (sample <= 1)).all())


@pytest.mark.parametrize("name", BOUNDS)
def test_prior_flow_leads_from_codes_to_decoder_inputs_and_has_their_density(name):
    model = ready(name, prior_flow="maf", flow_layers=2, flow_hidden=6).double()
    code = torch.randn(7, 2, generator=noise(), dtype=torch.float64)
    z = model.decoder_input(code)
    torch.testing.assert_close(model.prior_flow.to_noise(z)[0], code)
    jacobian = torch.autograd.functional.jacobian(
        lambda one: model.decoder_input(one[None])[0], code[0]
    )
    density = -0.5 * code[0].square().sum() - math.log(2 * math.pi)
    expected = density - torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(model.latent_log_prob(z)[0], expected)
    assert not torch.allclose(z, code)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("aef-linear", {}),
        ("aef-linear", {"parametrisation": "divide"}),
        ("aef-linear", {"core_flow": "maf"}),
        ("aef-linear", {"core_flow": "realnvp", "parametrisation": "divide"}),
        ("aef-linear-fixed", {}),
        ("vae", {}),
        ("vae-iaf", {"posterior_flow": "maf"}),
        ("iwae", {"posterior_flow": "realnvp"}),
    ],
    ids=str,
)
def test_proposal_has_the_density_of_its_draws_at_any_scale(name, options):
    model = ready(name, **options, flow_layers=2, flow_hidden=6).double()
    x = images(2).double()
    axis = torch.linspace(-20, 20, 321, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)[:, None].expand(-1, 2, -1)
    with torch.no_grad():
        total = model.proposal(x, 0.7).log_prob(grid).exp().sum(0) * (axis[1] - axis[0]) ** 2
        z, log_q = encoder_sampler(model.proposal(x, 0.7)).draw(4, noise(1))
        torch.testing.assert_close(log_q, model.proposal(x, 0.7).log_prob(z))
    torch.testing.assert_close(total, torch.ones(2).double(), rtol=0, atol=5e-3)


def test_iwae_bound_grows_with_k_and_is_the_vae_bound_at_one():
    x, losses = images(64), {}
    for k in (1, 5, 50):
        losses[k] = ready("iwae", samples=k).loss(x, noise(3)).detach()
    assert losses[50].mean() < losses[5].mean() < losses[1].mean()
    vae = ready("vae")
    terms = torch.stack([*vae.terms(x, noise(3)).values()]).detach()
    # The same terms, summed in another order.
    atol = float32_slack(terms.abs().sum(0).max(), len(terms))
    torch.testing.assert_close(losses[1], vae.total(dict(enumerate(terms))), rtol=0, atol=atol)


def test_vae_name_stands_for_two_models_by_the_space():
    unit = build("vae", backbone="tiny", image_shape=(1, 4, 4), latent_dim=2)
    assert type(unit) is not type(ready("vae"))
    assert "beta" in unit.hyperparameters
    assert ready("vae").hyperparameters["decoder_scale"] == "independent"


def test_decoder_scale_modes_have_the_scales_they_say():
    z = torch.randn(3, 2)
    fixed = ready("vae", decoder_scale="fixed").decoder_affine(z)[1]
    assert torch.equal(fixed, torch.ones(3, 1, 4, 4))
    independent = ready("vae", decoder_scale="independent", epsilon=0.0).decoder_affine(z)[1]
    expected = torch.full((3, 1, 4, 4), math.log(2))
    # log(1 + exp(0)): three operations.
    torch.testing.assert_close(independent, expected, rtol=0, atol=float32_slack(2, 3))
    dependent = ready("vae", decoder_scale="dependent").decoder_affine(z)[1]
    assert not torch.allclose(dependent[0], dependent[1])
    assert bool((dependent > 0).all())


@pytest.mark.parametrize("name", ["aef-center", "aef-linear", "vae"])
def test_scale_is_the_same_in_training_and_evaluation_with_its_epsilon(name):
    scales = []
    for epsilon in (0.0, 0.25):
        model = ready(name, epsilon=epsilon)
        y = model.space(images())[0]
        scales.append(model.train().encoder_affine(y)[1])
        assert torch.equal(model.eval().encoder_affine(y)[1], scales[-1])
    atol = float32_slack(scales[1].detach().abs().max())
    quarter = torch.full_like(scales[0], 0.25)
    torch.testing.assert_close(scales[1] - scales[0], quarter, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["aef-center", "maf"])
def test_reconstruction_of_a_sample_without_deviations_is_the_sample(name):
    model = ready(name).double()
    with torch.no_grad():
        code = torch.randn(3, model.code_dim, generator=noise(5), dtype=torch.float64)
        x = model.decode(code)
        inside = ((x > 0) & (x < 1)).flatten(1).all(1)
        assert bool(inside.any())
        torch.testing.assert_close(model.decode(model.encode(x))[inside], x[inside])


def test_network_of_the_users_takes_the_place_of_the_dense_map():
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 2))
    model = ready("aef-linear", core_network=network)
    y = model.space(images())[0]
    assert torch.equal(model.core_values(y), network(y))
    assert "Tanh" in model.hyperparameters["core_network"]
    with pytest.raises(ValueError, match=r"'core_network' gave shape \(16, 3\); expected"):
        ready("aef-linear", core_network=nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))


def test_fixed_dense_map_does_not_scale_with_its_weights():
    values = {}
    for name in ("aef-linear", "aef-linear-fixed"):
        model = ready(name)
        dense = model.core_network[1]
        y = model.space(images())[0]
        before = model.core_values(y)
        with torch.no_grad():
            dense.weight.mul_(0.01)
        values[name] = (model.core_values(y) - before).abs().max().detach()
    assert float(values["aef-linear-fixed"]) < 1e-6
    assert float(values["aef-linear"]) > 0.1


def test_linear_aef_drifts_in_training_and_the_fixed_one_less():
    rms = {}
    for name in ("aef-linear", "aef-linear-fixed"):
        model, x = ready(name), images(32)
        start = float(model.diagnostics(x)["core_rms"].detach())
        optimiser = torch.optim.Adam(model.parameters(), 3e-3)
        for step in range(150):
            optimiser.zero_grad()
            model.loss(x, noise(step)).mean().backward()
            optimiser.step()
        rms[name] = float(model.diagnostics(x)["core_rms"].detach()) / start
    assert rms["aef-linear"] < 0.7 < rms["aef-linear-fixed"]


def test_log_determinant_that_is_not_finite_names_layer_and_image():
    model, x = ready("aef-center"), images(4)
    original = model.decoder_affine

    def broken(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, scale = original(z)
        scale = scale.clone()
        scale[2:] = 0
        return mean, scale

    model.decoder_affine = broken
    with pytest.raises(FloatingPointError, match="of 'decoder scale' is inf for image 2 of"):
        model.loss(x, noise())


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"prior_flow": "mav"}, r"Unknown flow 'mav'\. Did you mean 'maf'\?"),
        ({"decoder_scale": "free"}, "'decoder_scale' is 'free'; expected one of: fixed, indep"),
        ({"parametrisation": "add"}, "'parametrisation' is 'add'; expected 'multiply' or 'div"),
        ({"epsilon": -1.0}, "'epsilon' is -1.0; expected a number of at least 0"),
        ({"alpha": 0.5}, r"'alpha' is 0.5; expected a number in \(0, 0\.5\)"),
        ({"space": "unit"}, "'space' is 'unit', in which 'LinearAEF' is not defined"),
        ({"latent_dim": 17}, "'latent_dim' is 17; expected at most the 16 values of an image"),
        ({"core_flo": "maf"}, "Unknown option of objective 'aef-linear' 'core_flo'"),
    ],
)
def test_options_that_do_not_fit_are_refused(option, text):
    with pytest.raises(ValueError, match=text):
        ready("aef-linear", **option)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="'samples' is 0; expected at least 1"):
        ready("iwae", samples=0)


def test_noise_for_denoising_is_clamped_and_repeats():
    x = images()
    noisy = add_noise(x, 0.5, noise(1))
    assert torch.equal(noisy, add_noise(x, 0.5, noise(1)))
    assert float(noisy.min()) == 0
    assert float(noisy.max()) == 1
    expected = (x + 0.5 * torch.randn(x.shape, generator=noise(1))).clamp(0, 1)
    torch.testing.assert_close(noisy, expected, rtol=0, atol=float32_slack(1, 2))
    with pytest.raises(ValueError, match=r"'sigma' is -0\.1; expected a number of at least 0"):
        add_noise(x, -0.1, noise())


SMALL = {
    "vae": [251_351, 288_987, 364_259, 514_803, 815_891],
    "aef-corner": [251_351, 288_987, 364_259, 514_803, 815_891],
    "aef-linear": [252_921, 292_127, 370_539, 527_363, 841_011],
    "ae": [238_021, 263_111, 313_291, 413_651, 614_371],
}
BIG = {
    ("vae", 32): [298_377, 1_169_161],
    ("aef-linear", 32): [495_049, 1_562_505],
    ("vae", 64): [375_273, 1_446_857],
    ("aef-linear", 64): [1_161_769, 3_019_849],
}


@pytest.mark.parametrize("name", SMALL)
def test_small_network_has_the_published_number_of_parameters(name):
    for latent_dim, expected in zip((2, 4, 8, 16, 32), SMALL[name], strict=True):
        model = build(
            name,
            backbone="aef-small",
            image_shape=(1, 28, 28),
            latent_dim=latent_dim,
            space="logit",
        )
        assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(("name", "size"), BIG)
def test_big_network_has_the_published_number_of_parameters(name, size):
    for latent_dim, expected in zip((64, 128), BIG[name, size], strict=True):
        model = build(
            name,
            backbone="aef-big",
            image_shape=(3, size, size),
            latent_dim=latent_dim,
            space="logit",
        )
        assert count_parameters(model) == expected


def test_pixel_flow_has_the_published_number_of_parameters_and_trains_no_backbone():
    model = build("maf", backbone="tiny", image_shape=(1, 28, 28), latent_dim=2)
    assert count_parameters(model) == 3_468_426
    assert count_parameters(model.backbone) == 0
    assert model.code_dim == 784


def test_big_network_keeps_the_image_shape_at_any_width_and_refuses_other_sizes():
    for width in (1.0, 2.0):
        model = build(
            "vae",
            backbone="aef-big",
            image_shape=(3, 32, 32),
            latent_dim=8,
            space="logit",
            backbone_options={"width": width},
        )
        x = torch.rand(2, 3, 32, 32, generator=noise())
        model.initialise(x, noise())
        assert model.decode(model.encode(x)).shape == x.shape
    with pytest.raises(ValueError, match="'aef-big' got images of 28x28; expected 32x32 or 64x64"):
        build("vae", backbone="aef-big", image_shape=(1, 28, 28), latent_dim=8)


def test_dense_network_takes_vectors():
    for name, kind in OBJECTIVES.items():
        if "real" not in kind.spaces:
            continue
        options = {"mask": [0]} if "mask" in option_defaults(kind) else {}
        model = build(
            name,
            backbone="mlp",
            image_shape=(1, 1, 2),
            latent_dim=1,
            space="real",
            backbone_options={"hidden": 4},
            **options,
        )
        x = torch.randn(8, 1, 1, 2, generator=noise())
        model.initialise(x, noise())
        assert bool(torch.isfinite(model.loss(x, noise())).all())
    with pytest.raises(ValueError, match="'hidden' is 0; expected at least 1"):
        build(
            "ae",
            backbone="mlp",
            image_shape=(1, 1, 2),
            latent_dim=1,
            backbone_options={"hidden": 0},
        )

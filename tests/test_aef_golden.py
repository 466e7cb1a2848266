"""The stored values of partition AEF, linear AEF, VAE and IWAE, through the project's classes."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aebench.metrics import bits_per_dim
from aebench.models import build
from aebench.models.backbones.backbone import Backbone
from aebench.models.flows.flows import Flow, NoFlow
from aebench.models.gaussian import gaussian_kl
from aebench.models.objectives.masks import center_order, corner_order
from aebench.models.objectives.vae_learnt import importance_bound
from torch import Tensor, nn
from torch.nn.functional import softplus

pytestmark = pytest.mark.sensitive
GOLDEN = Path(__file__).parent / "golden"
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
DTYPES = (torch.float64, torch.float32)
ORDERS = {"center": center_order, "corner": corner_order}


class AffineBackbone(Backbone):
    """Encoder and decoder without hidden layers."""

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__(image_shape, latent_dim)
        self.encoder = nn.Flatten()
        self.code = self.code_head()
        self.decoder = nn.Identity()
        self.output = self.output_head()

    def code_head(self) -> nn.Linear:
        return nn.Linear(math.prod(self.image_shape), self.latent_dim)

    def output_head(self) -> nn.Sequential:
        dense = nn.Linear(self.latent_dim, math.prod(self.image_shape))
        return nn.Sequential(dense, nn.Unflatten(1, self.image_shape))


class TriangularFlow(Flow):
    """F(v)_i = a_i v_i + t_i with coefficients linear in the coordinates before i."""

    def __init__(self, case: Case, name: str, towards: str) -> None:
        super().__init__()
        self.u, self.v = case[f"{name}_U"], case[f"{name}_V"]
        self.u0, self.v0 = case[f"{name}_u"], case[f"{name}_v"]
        self.towards = towards

    def to_noise(self, v: Tensor) -> tuple[Tensor, Tensor]:
        return self._forward(v) if self.towards == "noise" else self._inverse(v)

    def to_data(self, v: Tensor) -> tuple[Tensor, Tensor]:
        return self._forward(v) if self.towards == "data" else self._inverse(v)

    def _forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        scale = softplus(v @ self.u.T + self.u0) + 1e-3
        return scale * v + v @ self.v.T + self.v0, scale.log().sum(-1)

    def _inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        v = torch.zeros_like(y)
        for _ in range(y.shape[-1]):
            v = (y - v @ self.v.T - self.v0) / (softplus(v @ self.u.T + self.u0) + 1e-3)
        return v, -self._forward(v)[1]


class Case:
    """The arrays of one case of a golden file, as tensors of one dtype."""

    def __init__(self, file: str, name: str, dtype: torch.dtype = torch.float64) -> None:
        self.arrays = np.load(GOLDEN / file)
        self.name = name
        self.dtype = dtype

    def __contains__(self, key: str) -> bool:
        return f"{self.name}__{key}" in self.arrays.files

    def __getitem__(self, key: str) -> Tensor:
        value = torch.as_tensor(self.arrays[f"{self.name}__{key}"])
        return value.to(self.dtype) if value.is_floating_point() else value

    @property
    def dims(self) -> int:
        return math.prod(int(n) for n in self["image_shape"])

    def text(self, key: str) -> str:
        return str(self.arrays[f"{self.name}__{key}"])

    def flow(self, name: str, towards: str) -> Flow:
        return TriangularFlow(self, name, towards) if int(self[f"has_{name}"]) else NoFlow()

    def close(self, value: Tensor, key: str, **slack: Any) -> None:
        self.near(value, self[key], **slack)

    def near(self, value: Tensor, expected: Tensor, **slack: Any) -> None:
        rtol, atol = 1e-9, 1e-9
        if self.dtype == torch.float32:
            rtol, atol = 0.0, self.slack(**{"size": expected} | slack)
        torch.testing.assert_close(value, expected, rtol=rtol, atol=atol)

    def slack(self, size: Tensor, moved: float | None = None) -> float:
        """Two sums over the pixels, and the rounding of x.

        Args:
            size: Of the terms, which may cancel in the value.
            moved: By the rounding of x; without it, as much as a logit.
        """
        pixels = 2 * math.prod(int(n) for n in self["image_shape"])
        p = float(self["alpha"]) + (1 - 2 * float(self["alpha"])) * self["x"]
        logit = float32_slack((self["x"] / (p * (1 - p))).max())
        summed = float32_slack(size.detach().abs().max(), pixels)
        return summed + (logit if moved is None else moved)


def cases(file: str) -> list[str]:
    """Returns the names of a file's cases."""
    return [str(name) for name in np.load(GOLDEN / file)["cases"]]


def moved_by_rounding(value: Tensor, x: Tensor) -> float:
    """Returns how far the rounding of x alone moves a value: by its derivative."""
    (slope,) = torch.autograd.grad(value.sum(), x)
    return 0.5 * float32_slack((slope * x).detach().abs().flatten(1).sum(1).max())


def golden_model(case: Case, objective: str, **options: Any) -> Any:
    shape = tuple(int(n) for n in case["image_shape"])
    model: Any = build(
        objective,
        backbone=AffineBackbone(shape, int(case["latent_dim"])),
        image_shape=shape,
        latent_dim=int(case["latent_dim"]),
        space="logit",
        alpha=float(case["alpha"]),
        decoder_scale="dependent",
        epsilon=float(case["eps"]) if "eps" in case else 0.0,
        **options,
    ).to(case.dtype)
    with torch.no_grad():
        fill(model.backbone.code, case, "enc_A_mu", "enc_a_mu")
        fill(model.scale_head, case, "enc_A_s", "enc_a_s")
        fill(model.backbone.output[0], case, "dec_B_mu", "dec_b_mu")
        fill(model.decoder_scale_head[0], case, "dec_B_s", "dec_b_s")
        model.space.norm.log_scale.copy_(case["act_log_scale"])
        model.space.norm.shift.copy_(case["act_shift"])
        model.space.norm.initialised.fill_(True)
    model.prior_flow = case.flow("priorflow", "noise")
    return model


def fill(layer: Any, case: Case, weight: str, bias: str) -> None:
    layer.weight.copy_(case[weight])
    layer.bias.copy_(case[bias])


def partition_model(case: Case) -> Any:
    kind = case.text("kind")
    options: dict[str, Any] = {"parametrisation": variant(case)}
    if kind == "custom":
        options["mask"] = case["mask"].flatten().nonzero()[:, 0].tolist()
    model = golden_model(case, "aef-center" if kind == "custom" else f"aef-{kind}", **options)
    model.core_flow = case.flow("coreflow", "noise")
    return model


def linear_model(case: Case, **options: Any) -> Any:
    model = golden_model(case, "aef-linear", parametrisation=variant(case), **options)
    model.core_flow = case.flow("coreflow", "noise")
    with torch.no_grad():
        fill(model.core_network[1], case, "dense_W", "dense_b")
    return model


def vae_model(case: Case, objective: str = "vae") -> Any:
    model = golden_model(case, objective)
    model.posterior_flow = case.flow("postflow", "data")
    return model


def variant(case: Case) -> str:
    return {"mul": "multiply", "div": "divide"}[case.text("variant")]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


MODELS = {
    "aef_partition.npz": partition_model,
    "aef_linear.npz": linear_model,
    "vae_iwae.npz": vae_model,
}


@pytest.mark.parametrize(("file", "name"), [(file, own) for file in MODELS for own in cases(file)])
def test_pixels_coordinates_and_the_encoders_scales_have_the_stored_values(
    file, name, monkeypatch
):
    case = Case(file, name)
    model = MODELS[file](case)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: case["u_deq"])
    case.close(model.space.prepare(case["x_int"], None), "x")
    norm, ones = model.space.norm, torch.ones(1, int(case["image_shape"][0]), 1, 1).double()
    case.close((norm.scale(ones)[0] - norm.scale(0 * ones)[0]).flatten(), "act_div")
    y, log_det = model.space(case["x"])
    case.close(y, "y")
    case.close(log_det, "ld_pre")
    mean, scale = model.encoder_affine(y)
    case.close(mean, "enc_mu")
    case.close(scale, "enc_scale")


@pytest.mark.parametrize(
    ("file", "name", "core", "deviations"),
    [("aef_partition.npz", name, "core", "dev_noncore") for name in cases("aef_partition.npz")]
    + [("aef_linear.npz", name, "w", "dev") for name in cases("aef_linear.npz")],
)
def test_each_step_of_an_aef_has_the_stored_values(file, name, core, deviations):
    case = Case(file, name)
    model = MODELS[file](case)
    y = model.space(case["x"])[0]
    values = model.core_values(y)
    case.close(values, core)
    moved = model.core_flow.to_noise(values)[0]
    case.close(moved, "core_flow_out")
    z = model.couple(moved, *model.encoder_affine(y))[0]
    case.close(z, "z1")
    for value, key in zip(model.decoder_affine(z), ("dec_mu", "dec_scale"), strict=True):
        case.near(value.flatten(1), model.described_values(case[key]))
    _, deviated, log_determinants = model.transform(case["x"])
    case.close(deviated, deviations)
    stored = ("ld_pre", "ld_core", "ld_z", "ld_dec", "ld_prior")
    for value, key in zip(log_determinants.values(), stored, strict=True):
        case.close(value, key)
    case.close(torch.stack(list(log_determinants.values())).sum(0), "logdet")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cases("aef_partition.npz"))
def test_partition_aef_has_the_stored_likelihood_and_samples(name, dtype):
    case = Case("aef_partition.npz", name, dtype)
    model = partition_model(case)
    x = case["x"]
    assert torch.equal(case["mask"].flatten().nonzero()[:, 0], model.core)
    case.close(model.space(x)[0], "y")
    case.close(model.space(x)[1], "ld_pre")
    code, deviations, log_determinants = model.transform(x)
    case.close(code, "z0")
    case.close(deviations, "dev_noncore")
    stored = ("ld_pre", "ld_core", "ld_z", "ld_dec", "ld_prior")
    for value, key in zip(log_determinants.values(), stored, strict=True):
        case.close(value, key)
    log_prob = model.log_prob(x.requires_grad_())
    moved = moved_by_rounding(log_prob, x)
    case.close(log_prob, "logp", moved=moved)
    case.close(-model.loss(x, torch.Generator()), "logp", moved=moved)
    if dtype == torch.float64:
        bits = bits_per_dim(-log_prob.detach(), dims=case.dims)
        case.close(torch.as_tensor(bits), "bpd")
        case.close(model.inverse(case["s_z0"]), "s_x_mean")
        shell = model.described_values(case["s_dev"])
        case.close(model.inverse(case["s_z0"], shell), "s_x_dev")
        model.space.forward = model.space.coordinates  # these images pass [0, 1] a little
        code, deviations, _ = model.transform(case["s_x_dev"])
        case.close(code, "s_z0")
        torch.testing.assert_close(deviations, shell, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("table", np.load(GOLDEN / "aef_partition.npz")["mask_tables"])
def test_masks_fill_in_the_stored_order(table):
    _, kind, shape = str(table).split("__")
    stored = np.load(GOLDEN / "aef_partition.npz")[f"maskorder__{kind}__{shape}"]
    order = ORDERS[kind](tuple(int(n) for n in shape.split("x")))
    assert order[: len(stored)] == stored.tolist()
    assert sorted(order) == list(range(len(order)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cases("aef_linear.npz"))
def test_linear_aef_has_the_stored_extended_density(name, dtype):
    case = Case("aef_linear.npz", name, dtype)
    model = linear_model(case)
    case.close(model.core_values(model.space(case["x"])[0]), "w")
    case.close(model.encode(case["x"]), "z0")
    case.close(-model.loss(case["x"], torch.Generator()), "logp_ext")
    for w, expected in zip(
        case["w"] + case["is_std"] * case["is_noise"], case["is_logp_ext"], strict=True
    ):
        value = -model.total(model.terms_at(case["x"], w))
        case.near(value, expected)
    if dtype == torch.float64:
        mean = model.mean(model.decoder_input(case["s_z0"]))
        case.close(model.space.inverse(mean), "s_x_mean")
        mean, scale = model.decoder_affine(model.decoder_input(case["s_z0"]))
        case.close(model.space.inverse(mean + scale * case["s_dev"]), "s_x_dev")


@pytest.mark.parametrize("name", cases("aef_linear.npz"))
def test_linear_aef_in_latent_space_has_the_stored_importance_estimate(name):
    case = Case("aef_linear.npz", name)
    model = linear_model(case)
    log_weights = latent_log_weights(model, case, case["is_std"], case["is_noise"])
    case.close(log_weights, "is_logw")
    draws = case["w"] + case["is_std"] * case["is_noise"]
    joint = torch.stack([-model.total(model.terms_at(case["x"], w)) for w in draws])
    # The density of w is that of z1 times the Jacobian between them.
    case.close(joint - log_weights, "is_logq")
    bound = importance_bound(log_weights)
    case.close(bound, "is_logpx")
    case.close(torch.as_tensor(bits_per_dim(-bound.detach(), dims=case.dims)), "is_bpd")
    assert not torch.allclose(bound, case["is_logpx_reference_no_logK"])


def latent_log_weights(model: Any, case: Case, scale: Tensor, noise: Tensor) -> Tensor:
    """Log weights (K, B) by decoder, prior and the proposal's own density of its draws."""
    x = case["x"]
    y, log_det = model.space(x)
    w = model.core_values(y) + scale * noise
    mean, deviation = model.encoder_affine(y)
    core = model.core_flow.to_noise(w)[0]
    z = mean + deviation * core if variant(case) == "multiply" else (core - mean) / deviation
    log_q = model.proposal(x, float(scale)).log_prob(z)
    likelihood = torch.stack([model.observation(draw).log_prob(y) for draw in z])
    return likelihood + model.latent_log_prob(z) - log_q + log_det


@pytest.mark.parametrize("name", cases("aef_linear.npz"))
@torch.no_grad()
def test_linear_aef_agrees_with_the_marginal_of_many_draws(name):
    case = Case("aef_linear.npz", name)
    model = linear_model(case)
    noise = normal(20_000, *case["w"].shape)
    bound = importance_bound(latent_log_weights(model, case, case["is_std"], noise))
    slack = 5 * case["bigK_se"] * math.sqrt(case["bigK"] / 20_000) + 0.01
    assert bool(((bound - case["bigK_logpx"]).abs() <= slack).all())


def test_extended_density_gains_latent_dim_times_ln_t_while_the_marginal_stays(monkeypatch):
    case = Case("aef_linear.npz", "l1")
    model, t = linear_model(case), 1e3
    before = -model.loss(case["x"], torch.Generator())
    scale, noise = case["is_std"], case["is_noise"]
    marginal = importance_bound(latent_log_weights(model, case, scale, noise))
    codes = model.encode(case["x"])
    drift = model.diagnostics(case["x"])
    original = model.encoder_affine
    monkeypatch.setattr(model, "encoder_affine", lambda y: (original(y)[0], t * original(y)[1]))
    with torch.no_grad():
        model.core_network[1].weight.div_(t)
        model.core_network[1].bias.div_(t)
    gain = -model.loss(case["x"], torch.Generator()) - before
    expected = torch.full_like(gain, 3 * math.log(t))
    torch.testing.assert_close(gain, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.encode(case["x"]), codes, rtol=1e-9, atol=1e-9)
    moved = importance_bound(latent_log_weights(model, case, scale / t, noise))
    torch.testing.assert_close(moved, marginal, rtol=1e-9, atol=1e-9)
    after = model.diagnostics(case["x"])
    torch.testing.assert_close(after["core_rms"], drift["core_rms"] / t)
    difference = float((after["encoder_log_scale"] - drift["encoder_log_scale"]).detach())
    assert difference == pytest.approx(math.log(t))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cases("vae_iwae.npz"))
def test_vae_has_the_stored_bound(name, dtype):
    case = Case("vae_iwae.npz", name, dtype)
    model = vae_model(case)
    parts = model.log_weights_at(case["x"], case["noise1"][None])
    for value, key in zip(parts[:3], ("log_lik1", "log_prior1", "log_q1"), strict=True):
        case.close(value[0], key)
    likelihood, prior, posterior, space = parts
    case.close((likelihood + prior - posterior)[0] + space, "elbo1", size=likelihood)
    mean, scale = model.encoder_affine(model.space(case["x"])[0])
    z = model.posterior_flow.to_data(mean + scale * case["noise1"])[0]
    case.close(z, "z1")
    for value, key in zip(model.decoder_affine(z), ("dec_mu1", "dec_scale1"), strict=True):
        case.close(value.flatten(1), key)
    if "kl" in case:
        kl = gaussian_kl(mean, scale.log())
        case.close(kl, "kl")
        case.close(likelihood[0] - kl + space, "elbo1_analytic_kl", size=likelihood)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cases("vae_iwae.npz"))
def test_iwae_has_the_stored_bound_above_the_mean_of_its_log_weights(name, dtype, monkeypatch):
    case = Case("vae_iwae.npz", name, dtype)
    model, noise = vae_model(case, "iwae"), case["noiseK"]
    likelihood, prior, posterior, space = model.log_weights_at(case["x"], noise)
    log_weights = likelihood + prior - posterior
    for value, key in zip(
        (likelihood, prior, posterior), ("log_likK", "log_priorK", "log_qK"), strict=True
    ):
        case.close(value, key)
    case.close(log_weights + space, "logwK", size=likelihood)
    bound = importance_bound(log_weights) + space
    case.close(bound, "iwaeK", size=likelihood)
    if dtype == torch.float64:
        bits = bits_per_dim(-bound.detach(), dims=case.dims)
        case.close(torch.as_tensor(bits), "iwaeK_bpd")
    case.close(log_weights.mean(0) + space, "elboK", size=likelihood)
    assert bool((bound > case["elboK"]).all())
    monkeypatch.setattr(model, "log_weights", lambda x, _: model.log_weights_at(x, noise))
    case.close(-model.loss(case["x"], torch.Generator()), "iwaeK", size=likelihood)


@pytest.mark.parametrize("name", cases("vae_iwae.npz"))
@torch.no_grad()
def test_the_mean_of_many_log_weights_is_the_stored_bound_and_below_the_true_marginal(name):
    case, draws = Case("vae_iwae.npz", name), 20_000
    model = vae_model(case)
    noise = normal(draws, *case["noise1"].shape)
    likelihood, prior, posterior, space = model.log_weights_at(case["x"], noise)
    mean = (likelihood + prior - posterior).mean(0) + space
    error = case["elbo_mc_se"] * math.sqrt(case["bigK"] / draws)
    assert bool(((mean - case["elbo_mc"]).abs() <= 5 * error).all())
    truth = case["exact_logpx"] if "exact_logpx" in case else case["bigK_logpx"]
    assert bool((mean < truth + 5 * error).all())


@pytest.mark.parametrize("name", ["v3", "lg"])
@torch.no_grad()
def test_importance_bound_grows_with_k_towards_the_true_marginal(name):
    case = Case("vae_iwae.npz", name)
    model = vae_model(case)
    likelihood, prior, posterior, space = model.log_weights_at(case["x"], normal(20_000, 3, 2))
    weights = likelihood + prior - posterior + space
    bounds = [
        importance_bound(weights.view(20_000 // k, k, 3).transpose(0, 1)).mean(0).mean()
        for k in (1, 5, 50, 20_000)
    ]
    truth = case["exact_logpx"].mean()
    assert bounds[0] < bounds[1] < bounds[2] < truth + 0.01
    assert float(bounds[3]) == pytest.approx(float(truth), abs=0.02)

"""The stored values of the RAE paper's objectives, through the project's own functions."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.evaluation.interpolation import linear, midpoints, rescaled_midpoint, spherical
from aebench.metrics.features.quantisation import quantise
from aebench.models import build
from aebench.models.backbones.backbone import Backbone
from aebench.models.densities.gaussian import RIDGE, FullGaussian
from aebench.models.densities.gmm import GaussianMixtureDensity
from aebench.models.densities.second_stage import BETA, CodeVAE, SecondStage
from aebench.models.gaussian import gaussian_kl
from aebench.models.objectives.cv_vae import CVVAE
from aebench.models.objectives.cv_vae import KL_WEIGHT as CV_KL_WEIGHT
from aebench.models.objectives.gradient_penalty import (
    _pull_back,
    directional_square,
    exact,
    released,
)
from aebench.models.objectives.objective import Objective, squared_error
from aebench.models.objectives.rae import AE, AEL2, RAE, RAEGP, RAEL2
from aebench.models.objectives.spectral_norm import SpectralNorm, flatten_kernel, power_step
from aebench.models.objectives.vae import KL_WEIGHT, VAE
from aebench.models.objectives.wae_mmd import (
    CELEBA_WEIGHT,
    MEAN_SCALE_WEIGHT,
    SCALES,
    WAEMMD,
    imq_mmd,
)
from aebench.models.spaces.space import UnitSpace
from torch import Tensor, nn

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
ARRAYS = np.load(Path(__file__).parent / "golden" / "rae_losses.npz")
SHAPE = tuple(ARRAYS["x"].shape[1:])
DIMS, LATENT = int(np.prod(SHAPE)), ARRAYS["z"].shape[1]
EXACT = torch.float64
# A value is at most a sum over pixels of the decoder's Jacobian, each a sum over hidden units.
OPERATIONS = DIMS * LATENT + len(ARRAYS["dec_b1"])


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


def golden(key: str, dtype: torch.dtype = EXACT) -> Tensor:
    return torch.from_numpy(ARRAYS[key]).to(dtype)


def number(key: str) -> float:
    return float(ARRAYS[key])


def close(value: Tensor, key: str, *, size: float = 0.0) -> None:
    """Compares; ``size`` is that of the terms where they cancel in the value."""
    expected = golden(key, value.dtype)
    if value.dtype == torch.float32:
        near(value.detach(), expected, max(size, float(expected.abs().max())))
        return
    rtol = 1e-7 if "logpdf" in key else 1e-9
    torch.testing.assert_close(value.detach(), expected, rtol=rtol, atol=1e-11)


def near(value: Tensor, expected: Tensor, size: float | None = None) -> None:
    """Compares two values that were computed in the same precision."""
    rtol, atol = 1e-7, 1e-7
    if value.dtype == torch.float32:
        size = float(expected.detach().abs().max()) if size is None else size
        rtol, atol = 0.0, float32_slack(size, OPERATIONS)
    torch.testing.assert_close(value, expected, rtol=rtol, atol=atol)


class Given(nn.Module):
    """Returns stored features, whatever the images are."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.features


class Columns(nn.Module):
    """Keeps some columns of the features, in the place of a dense code layer."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, features: Tensor) -> Tensor:
        return features[:, self.start : self.stop]


class Doubled(nn.ConvTranspose2d):
    """A last layer of twice the golden one's output: sigmoid(2 a) = 0.5 + 0.5 tanh(a)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return 2 * super().forward(inputs)


class GoldenBackbone(Backbone):
    """Stored codes and the golden decoder, its last kernel as a transposed convolution of 1x1."""

    def __init__(self, features: Tensor) -> None:
        super().__init__(SHAPE, LATENT)
        hidden = len(ARRAYS["dec_b1"])
        self.encoder = Given(features)
        self.code = Columns(0, LATENT)
        dense = nn.Linear(LATENT, hidden)
        self.decoder = nn.Sequential(dense, nn.Tanh(), nn.Unflatten(1, (hidden, 1, 1)))
        self.output = nn.Sequential(Doubled(hidden, SHAPE[0], SHAPE[1:], bias=False), Bias())
        self.double()
        with torch.no_grad():
            dense.weight.copy_(golden("dec_W1"))
            dense.bias.copy_(golden("dec_b1"))
            self.output[0].weight.copy_(golden("dec_W2").T.reshape(hidden, *SHAPE))

    def code_head(self) -> nn.Module:
        return Columns(LATENT, 2 * LATENT)

    def output_head(self) -> nn.Module:
        raise NotImplementedError


class Bias(nn.Module):
    """The golden decoder's bias of each pixel, doubled like its kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(golden("dec_b2").view(SHAPE))

    def forward(self, images: Tensor) -> Tensor:
        return images + 2 * self.bias


class UndequantisedSpace(UnitSpace):
    """The unit space with its observation at the pixels themselves, as the golden ELBO has it."""

    def observed_mean(self, mean: Tensor) -> Tensor:
        return mean


def model_of(
    kind: type[Objective], features: Tensor, dtype: torch.dtype = EXACT, **options: object
) -> Objective:
    return kind(GoldenBackbone(features), UndequantisedSpace(SHAPE), **options).to(dtype)


def model(kind: type[Objective], dtype: torch.dtype = EXACT, **options: object) -> Objective:
    return model_of(kind, golden("z"), dtype, **options)


def loss(objective: Objective) -> Tensor:
    images = golden("x", next(objective.parameters()).dtype)
    return objective.loss(images, torch.Generator()).mean()


# Reconstruction, embedding, weight decay


def test_decoder_and_squared_error_have_the_stored_values(dtype):
    x, objective = golden("x", dtype), model(AE, dtype)
    images = objective.decode(objective.encode(x))
    close(objective.encode(x), "z")
    close(images, "x_hat")
    errors = squared_error(x, images)
    close(errors, "rec_sse_per_sample")
    close(errors / DIMS, "rec_mse_per_sample")
    close(errors / SHAPE[0], "rec_chanmean_pixsum_per_sample")
    close(errors.mean(), "rec_sse_batch_mean")
    close(errors.mean() / DIMS, "rec_mse")
    close(loss(objective), "ae_total_sum")


def test_embedding_term_is_half_the_squared_norm(dtype):
    terms = model(RAE, dtype, beta=1.0).terms(golden("x", dtype), torch.Generator())
    close(terms["embedding"], "emb_half_sqnorm_per_sample")
    close(2 * terms["embedding"] / LATENT, "emb_mean_sq_per_sample")


def test_weight_term_covers_kernels_and_never_biases(dtype):
    def weights(**options):
        objective = model(RAEL2, dtype, l2=1.0, **options)
        return objective, objective.terms(golden("x", dtype), torch.Generator())["weights"]

    objective, every_kernel = weights()
    close(every_kernel[0], "l2_kernels")
    assert every_kernel.shape == (len(ARRAYS["x"]),)
    close(weights(l2_kernels="released")[1][0], "l2_last_kernel_only")
    # Biases are decayed nowhere: what is left out is exactly them.
    biases = sum(p.square().sum() for n, p in objective.named_parameters() if "bias" in n)
    close(every_kernel[0] + biases, "l2_with_biases")


def test_totals_beside_sums_have_the_stored_values(dtype):
    beta, decay = number("beta"), number("lambda")
    close(loss(model(RAE, dtype, beta=beta)), "rae_total_sum")
    close(loss(model(RAEL2, dtype, beta=beta, l2=decay)), "rae_l2_total_sum")
    close(loss(model(AEL2, dtype, l2=decay)), "ae_l2_total_sum")


def test_published_weights_beside_means_are_converted_to_sums(dtype):
    class Published(RAEL2):
        beta_mean = {"mnist": number("beta_mean")}  # noqa: RUF012
        l2_mean = {"mnist": number("lambda_mean")}  # noqa: RUF012

    objective = model(Published, dtype)
    assert objective.beta == pytest.approx(number("beta_sum_equivalent_of_beta_mean"), rel=1e-12)
    assert objective.l2 == pytest.approx(number("lambda_sum_equivalent_of_lambda_mean"), rel=1e-12)
    close(loss(objective) / DIMS, "rae_l2_total_mean")
    close(loss(model(RAE, dtype, beta=objective.beta)) / DIMS, "rae_total_mean")


# Gradient penalties


def test_jacobian_products_have_the_stored_values(dtype):
    decoder, z = model(AE, dtype).mean, golden("z", dtype)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: decoder(one[None])[0].flatten()))(z)
    close(jacobian, "jacobian")
    images, squares = exact(decoder, z)
    near(images, decoder(z))
    close(squares, "gp_frobenius_sq_per_sample")
    close(squares.mean(), "gp_frobenius_sq_batch_mean")
    for column, unit in enumerate(torch.eye(LATENT, dtype=dtype)):
        expected = golden("jacobian", dtype)[..., column].square().sum(1)
        found = directional_square(decoder, z, unit.expand_as(z))[1]
        near(found, expected)


def test_probes_with_given_noise_have_the_stored_values(dtype):
    decoder, z = model(AE, dtype).mean, golden("z", dtype)
    signs = golden("probe_out_rademacher", dtype).view(-1, *SHAPE)
    close(
        _pull_back(decoder, z, lambda _: signs)[1].square().sum(1), "hutchinson_vjp_sq_per_sample"
    )
    draws = golden("probe_latent_gaussian", dtype)
    close(directional_square(decoder, z, draws)[1], "hutchinson_jvp_sq_per_sample")


def test_penalty_of_the_plain_sum_of_outputs_is_the_pull_back_of_ones(dtype):
    decoder, z = model(AE, dtype).mean, golden("z", dtype)
    squares = _pull_back(decoder, z, torch.ones_like)[1].square().sum(1)
    near(squares, golden("gp_sumout_grad", dtype).square().sum(1))
    close(squares.mean(), "gp_sumout_sqnorm_batch_mean")


def test_released_penalty_is_the_mean_square_of_the_energys_gradient(dtype):
    penalty = released(model(AE, dtype).mean, golden("z", dtype))[1]
    near(penalty, golden("gp_sumsq_grad", dtype).square().mean(1))
    close(penalty.mean(), "gp_sumsq_mean")


def test_penalised_totals_have_the_stored_values(dtype):
    beta, weight = number("beta"), number("lambda_gp")
    close(loss(model(RAEGP, dtype, beta=beta, gp=weight, penalty="exact")), "rae_gp_total_sum")
    converted = {
        "beta": 2 * number("beta_mean") * DIMS / LATENT,
        "gp": number("lambda_gp_mean") * DIMS,
    }
    total = loss(model(RAEGP, dtype, penalty="released", **converted))
    close(total / DIMS, "rae_gp_total_mean_sumsq")


# Spectral norm


class Kernels(nn.Module):
    """The three golden kernels as layers of an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {
                "dense": nn.Linear(5, 7, bias=False),
                "conv": nn.Conv2d(4, 6, 3, bias=False),
                "convT": nn.ConvTranspose2d(4, 6, 4, bias=False),
            }
        )
        with torch.no_grad():
            for name, layer in self.encoder.items():
                layer.weight = nn.Parameter(golden(f"sn_{name}"))

    def forward(self, inputs: Tensor, method: str) -> Tensor:
        return self.encoder["dense"](inputs)


def sigma_after(count: int, flattening: str, layer: str) -> Tensor:
    kernels = Kernels()
    spectral = SpectralNorm(kernels, flattening, "both").double()
    for _ in range(count - 1):
        spectral.step(kernels)
    return spectral.sigma(kernels, f"encoder.{layer}.weight").detach()


def test_power_step_gives_the_stored_vectors(dtype):
    u, v = power_step(golden("sn_dense", dtype), golden("sn_u0", dtype))
    close(u, "sn_u_after_1")
    close(v, "sn_v_after_1")


def test_estimate_after_k_steps_has_the_stored_values():
    kernels = Kernels()
    spectral = SpectralNorm(kernels, "released", "both").double()
    spectral.get_buffer("u_encoder_dense_weight").copy_(golden("sn_u0"))
    estimates = []
    for _ in range(30):
        estimates.append(spectral.sigma(kernels, "encoder.dense.weight").detach())
        spectral.step(kernels)
    close(torch.stack(estimates), "sn_sigma_after_k")
    assert float(estimates[-1]) == pytest.approx(number("sn_dense_sigma"), rel=1e-3)
    values = golden("sn_dense_singular_values")
    close(torch.linalg.svdvals(golden("sn_dense")), "sn_dense_singular_values")
    assert float(values[0]) == pytest.approx(number("sn_dense_sigma"), rel=1e-12)


def test_call_divides_the_kernel_by_its_norm():
    kernels = Kernels()
    spectral = SpectralNorm(kernels, "released", "both").double()
    for _ in range(500):
        spectral.step(kernels)
    normalised = spectral.call(kernels, torch.eye(5, dtype=EXACT), "encode").T
    close(normalised, "sn_dense_normalised_exact")


@pytest.mark.parametrize(
    ("layer", "flattening", "key"),
    [
        ("conv", "released", "sn_conv_sigma"),
        ("conv", "torch", "sn_conv_sigma"),
        ("convT", "released", "sn_convT_sigma_rows_in"),
        ("convT", "torch", "sn_convT_sigma_rows_out"),
    ],
)
def test_both_flattenings_converge_to_their_own_norm(layer, flattening, key):
    assert float(sigma_after(2000, flattening, layer)) == pytest.approx(number(key), rel=1e-9)
    swapped = flattening == "torch" and layer == "convT"
    matrix = flatten_kernel(golden(f"sn_{layer}"), swapped=swapped)
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(number(key), rel=1e-9)


# VAE and constant-variance VAE


def vae(dtype: torch.dtype = EXACT, log_sigma: str = "vae_log_sigma", **options: object) -> VAE:
    raw = golden(log_sigma) if log_sigma == "vae_logsig_raw" else atanh_fifth(golden(log_sigma))
    objective = model_of(VAE, torch.cat([golden("vae_mu"), raw], 1), dtype, **options)
    assert isinstance(objective, VAE)
    return objective


def atanh_fifth(log_sigma: Tensor) -> Tensor:
    return torch.atanh(log_sigma / 5)


def vae_terms(objective: VAE) -> dict[str, Tensor]:
    dtype = next(objective.parameters()).dtype
    return objective.terms_at(golden("x", dtype), golden("vae_eps", dtype)[None])


def test_scale_head_is_bounded_as_stored(dtype):
    mu, log_sigma = vae(dtype, "vae_logsig_raw").posterior(golden("x", dtype))
    close(log_sigma, "vae_logsig_head")
    close(mu, "vae_mu")


def test_vae_terms_have_the_stored_values(dtype):
    objective = vae(dtype, beta=1.0)
    mu, log_sigma = objective.posterior(golden("x", dtype))
    close(log_sigma, "vae_log_sigma")
    q = objective.proposal(golden("x", dtype))
    z = q.mean + q.stddev * golden("vae_eps", dtype)
    close(z, "vae_z_sample")
    close(objective.decode(z), "vae_x_hat")
    close(gaussian_kl(mu, log_sigma), "vae_kl_per_sample")
    terms = vae_terms(objective)
    close(terms["distortion"], "vae_sse_per_sample")
    close(terms["rate"], "vae_kl_per_sample")


def test_vae_draws_are_averaged():
    noise = torch.stack([golden("vae_eps"), torch.zeros_like(golden("vae_eps"))])
    objective = vae(beta=1.0)
    both = objective.terms_at(golden("x"), noise)["distortion"]
    second = squared_error(golden("x"), objective.decode(golden("vae_mu")))
    torch.testing.assert_close(both, (golden("vae_sse_per_sample") + second) / 2)


def test_vae_totals_have_the_stored_values(dtype):
    assert number("vae_kl_weight") == KL_WEIGHT["mnist"]
    # The default weight is that of the channel mean times the number of channels.
    total = vae(dtype).total(vae_terms(vae(dtype))).mean()
    close(total / SHAPE[0], "vae_total_chanmean")
    objective = vae(dtype, beta=number("vae_beta"))
    close(objective.total(vae_terms(objective)).mean(), "vae_total_sse")


def test_observation_of_variance_half_beta_gives_the_stored_bound(dtype):
    objective = vae(dtype, beta=2 * number("vae_sigma_x") ** 2)
    likelihood = objective.observation(golden("vae_z_sample", dtype)).log_prob(golden("x", dtype))
    rate = gaussian_kl(*objective.posterior(golden("x", dtype)))
    close((rate - likelihood).mean(), "vae_negative_elbo_gaussian")


def test_cv_vae_has_the_stored_values(dtype):
    assert number("cv_kl_weight") == CV_KL_WEIGHT["mnist"]
    x, noise = golden("x", dtype), golden("vae_eps", dtype)
    objective = model_of(CVVAE, golden("vae_mu"), dtype)
    assert objective.sigma == number("cv_sigma")
    q = objective.proposal(x)
    close(q.mean + q.stddev * noise, "cv_z_sample")
    terms = objective.terms_at(x, noise)
    close(terms["distortion"], "cv_sse_per_sample")
    close(terms["rate"] / objective.beta, "cv_kl_per_sample")
    close(objective.total(terms).mean() / SHAPE[0], "cv_total_chanmean")


def test_kl_at_constant_variance_is_half_the_squared_norm_and_a_constant(dtype):
    mu = golden("vae_mu", dtype)
    log_sigma = torch.full_like(mu, np.log(number("cv_sigma")))
    constant = gaussian_kl(torch.zeros_like(mu), log_sigma)
    close(constant[0], "cv_kl_constant")
    close(gaussian_kl(mu, log_sigma) - constant, "cv_half_sqnorm_mu_per_sample")


# Wasserstein autoencoder


def test_mmd_of_each_scale_has_the_stored_value(dtype):
    assert tuple(ARRAYS["wae_scales"]) == SCALES
    assert number("wae_c_base") == 2 * LATENT
    q, p = golden("wae_q", dtype), golden("wae_p", dtype)
    each = torch.stack([imq_mmd(q, p, scales=(scale,)) for scale in SCALES])
    # Means of kernels of at most 1 are subtracted: 4 of them at each scale.
    close(each, "wae_mmd_unbiased_per_scale", size=4)
    close(imq_mmd(q, p), "wae_mmd_unbiased", size=4 * len(SCALES))
    other = golden("wae_p_other_size", dtype)
    close(imq_mmd(q, other), "wae_mmd_unbiased_other_size", size=4 * len(SCALES))
    close(imq_mmd(other, q), "wae_mmd_unbiased_other_size", size=4 * len(SCALES))


def test_biased_mmd_differs_by_its_diagonals():
    # The project has the unbiased estimator alone. With the diagonals (k = 1) kept, a mean m
    # over pairs i != j of n codes becomes ((n - 1) m + 1) / n.
    q, p = golden("wae_q"), golden("wae_p")
    biased = []
    for scale in SCALES:
        c = scale * number("wae_c_base")
        change = torch.zeros((), dtype=EXACT)
        for codes in (q, p):
            distances = (codes[:, None] - codes).square().sum(2)
            within = (c / (c + distances)).masked_fill(torch.eye(len(codes)).bool(), 0).sum()
            change += (1 - within / (len(codes) * (len(codes) - 1))) / len(codes)
        biased.append(imq_mmd(q, p, scales=(scale,)) + change)
    close(torch.stack(biased), "wae_mmd_biased_per_scale")
    close(torch.stack(biased).sum(), "wae_mmd_biased")


def test_the_released_input_noise_is_a_hundredth_of_the_range_of_grey_levels(monkeypatch):
    shape = {"image_shape": (1, 8, 8), "latent_dim": 2}
    objective = build("wae-mmd", backbone="tiny", **shape, preset="celeba").train()
    seen: list[Tensor] = []
    encode = objective.encode_raw

    def spy(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return encode(inputs)

    monkeypatch.setattr(objective, "encode_raw", spy)
    x = torch.full((50, *objective.space.image_shape), 0.5)
    objective.terms(x, torch.Generator().manual_seed(0))
    # The encoder sees 2y - 1 of grey levels y.
    noise = (seen[0] + 1) / 2 - x
    assert float(noise.abs().max()) == pytest.approx(0.01, rel=1e-4)
    # A normal variable is clipped at one deviation in 31.7 % of all cases.
    assert float((noise.abs() > 0.00999).float().mean()) == pytest.approx(0.317, abs=0.03)


def test_wae_totals_have_the_stored_values(dtype):
    divergence = imq_mmd(golden("wae_q", dtype), golden("wae_p", dtype))
    error = squared_error(golden("x", dtype), golden("x_hat", dtype)).mean()
    sums = model(WAEMMD, preset="celeba").mmd
    assert sums == CELEBA_WEIGHT == number("wae_lambda_sse") / 0.05
    close(0.05 * (error + sums * divergence), "wae_total_sse", size=0.05 * sums * 4 * len(SCALES))
    means = model(WAEMMD, preset="mnist").mmd
    assert means == number("wae_lambda_mean") * DIMS == MEAN_SCALE_WEIGHT["mnist"] * DIMS
    close((error + means * divergence) / DIMS, "wae_total_mean")


def test_wae_divergence_is_the_weighted_mmd_to_fresh_prior_draws():
    objective = model(WAEMMD, mmd=3.0)
    terms = objective.terms(golden("x"), torch.Generator().manual_seed(7))
    draws = torch.randn(golden("z").shape, generator=torch.Generator().manual_seed(7))
    expected = 3 * imq_mmd(golden("z"), draws.double())
    torch.testing.assert_close(terms["divergence"], expected.expand(len(golden("z"))))
    close(terms["distortion"], "rec_sse_per_sample")


# Interpolation


def test_interpolations_have_the_stored_values(dtype):
    a, b, t = golden("interp_a", dtype), golden("interp_b", dtype), golden("interp_t", dtype)
    close(linear(a, b, t), "interp_linear")
    close(spherical(a, b, t), "interp_spherical")
    close(rescaled_midpoint(a, b), "interp_midpoint_rescaled")
    close(midpoints(a, b, "rescaled"), "interp_midpoint_rescaled")
    middle = [float(value) for value in t].index(0.5)
    between = midpoints(a, b, "spherical")
    near(between, spherical(a, b, t)[:, middle])


def test_parallel_ends_are_interpolated_linearly():
    a, b, t = golden("interp_a")[-1:], golden("interp_b")[-1:], golden("interp_t")
    torch.testing.assert_close(spherical(a, b, t), linear(a, b, t))


# Latent densities


def gaussian(covariance: str) -> FullGaussian:
    density = FullGaussian()
    density.load_state({"mean": golden("gauss_mean"), "covariance": golden(covariance)})
    return density


def test_fitted_gaussian_has_the_stored_moments_and_density():
    density = FullGaussian()
    density.fit(golden("gauss_codes"), seed=0)
    close(density.mean, "gauss_mean")
    close(density.covariance, "gauss_cov_gmm1")
    close(density.covariance - RIDGE * torch.eye(LATENT), "gauss_cov_ml")
    # The project fits by maximum likelihood; 1/(n-1) is only a factor away.
    count = len(golden("gauss_codes"))
    unbiased = (density.covariance - RIDGE * torch.eye(LATENT)) * count / (count - 1)
    close(unbiased, "gauss_cov_unbiased")
    close(density.log_prob(golden("gauss_test_points")), "gauss_logpdf_gmm1")


def test_given_gaussian_has_the_stored_density_and_samples(dtype):
    density = gaussian("gauss_cov_unbiased")
    close(density.log_prob(golden("gauss_test_points", dtype)), "gauss_logpdf_unbiased")
    placed = density.place(golden("gauss_sample_noise"))
    close(placed, "gauss_samples")
    factor = density.place(torch.eye(LATENT, dtype=EXACT)) - golden("gauss_mean")
    close(factor.T, "gauss_chol_unbiased")


def mixture() -> GaussianMixtureDensity:
    density = GaussianMixtureDensity(len(ARRAYS["gmm_weights"]))
    density.load_state(
        {
            "weights": golden("gmm_weights"),
            "means": golden("gmm_means"),
            "covariances": golden("gmm_covs"),
        }
    )
    return density


def test_given_mixture_has_the_stored_density_and_samples(dtype):
    density = mixture()
    points = golden("gmm_test_points", dtype)
    close(density.log_prob(points), "gmm_logpdf")
    component = torch.from_numpy(ARRAYS["gmm_sample_component"])
    close(density.place(component, golden("gmm_sample_noise")), "gmm_samples")


def test_mixture_density_is_that_of_its_weighted_components():
    # Responsibilities are not needed by the project; they follow from its two densities.
    density, points = mixture(), golden("gmm_test_points")
    parts = []
    for weight, mean, covariance in zip(
        density.weights, density.means, density.covariances, strict=True
    ):
        part = FullGaussian()
        part.load_state({"mean": mean, "covariance": covariance})
        parts.append(weight.log() + part.log_prob(points) - density.log_prob(points))
    torch.testing.assert_close(
        torch.stack(parts, 1).exp(), golden("gmm_responsibilities"), rtol=1e-7, atol=1e-11
    )


# Second stage


class GivenCodeVAE(CodeVAE):
    """A second stage whose networks give the stored outputs."""

    def __init__(self) -> None:
        super().__init__(LATENT, 1)
        self.decoder = Given(golden("stage2_recon"))

    def encode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        return golden("stage2_mu"), golden("stage2_log_sigma")


def test_second_stage_standardises_and_weighs_as_stored():
    density = SecondStage(max_steps=0, hidden=2)
    density.fit(golden("gauss_codes"), seed=0)
    close(density.mean, "stage2_mean")
    close(density.std, "stage2_std")
    inputs = density.standardise(golden("gauss_codes"))
    close(inputs, "stage2_inputs")
    assert density.beta == BETA["mnist"] == number("stage2_beta")
    noise = torch.zeros_like(inputs)
    close(GivenCodeVAE().loss(inputs, noise, density.beta).mean(), "stage2_total")


# Quantisation


def test_images_are_rounded_as_stored():
    images = golden("quant_in")
    levels, truncated = quantise(images).numpy(), ARRAYS["quant_truncate"]
    assert levels.tolist() == ARRAYS["quant_nearest"].tolist()
    # The released code truncates, which is a level lower wherever the fraction is a half or more.
    fraction = np.clip(ARRAYS["quant_in"], 0, 1) * 255 - truncated
    assert (levels - truncated == (fraction >= 0.5)).all() and (levels != truncated).any()

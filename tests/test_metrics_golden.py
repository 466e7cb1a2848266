"""The expected values of the golden metrics file, by the public functions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.likelihood.importance import WeightSum
from aebench.metrics import (
    bits_per_dim,
    density_coverage,
    frechet_distance,
    frechet_distance_from_moments,
    kernel_distance,
    prd_curve,
    prd_f_beta,
    prd_from_histograms,
    precision_recall,
)
from aebench.metrics.frechet_inf import extrapolate
from aebench.metrics.prd import curve_from_labels
from aebench.metrics.reconstruction import psnr, reconstruction, squared_errors
from aebench.models.spaces.logit import LogitSpace

pytestmark = pytest.mark.sensitive
GOLDEN = dict(np.load(Path(__file__).parent / "golden" / "metrics.npz"))
BIJECTORS = np.load(Path(__file__).parent / "golden" / "bijectors.npz")
X, Y = GOLDEN["feat_x"], GOLDEN["feat_y"]
DEFAULT = {"rtol": 1e-9, "atol": 1e-12}


def near(actual, key, **tolerance):
    np.testing.assert_allclose(actual, GOLDEN[key], **(tolerance or DEFAULT))


def test_frechet_distance_of_features_is_golden():
    near(frechet_distance(real=X, generated=Y), "fd_xy", rtol=1e-9)
    split = int(GOLDEN["fd_halves_split"])
    near(frechet_distance(real=X[:split], generated=X[split:]), "fd_halves", rtol=1e-8)


def test_frechet_distance_is_golden_in_means_and_in_covariances_alone():
    own = moments_of(X, Y)
    same_cov = own | {"cov_generated": own["cov_real"]}
    near(frechet_distance_from_moments(**same_cov), "fd_xy_mean_term", rtol=1e-9)
    same_mean = own | {"mean_generated": own["mean_real"]}
    near(frechet_distance_from_moments(**same_mean), "fd_xy_cov_term", rtol=1e-9)


def test_frechet_distance_of_a_shift_is_its_squared_length():
    shifted = X.astype(float) + GOLDEN["fd_shift_c"]
    near(frechet_distance(real=X, generated=shifted), "fd_shift", rtol=0, atol=1e-6)
    assert abs(frechet_distance(real=X, generated=X)) < 1e-7


def test_frechet_distance_without_full_rank_is_golden():
    real, generated = GOLDEN["rd_x"], GOLDEN["rd_y"]
    near(frechet_distance(real=real, generated=generated), "fd_rd", rtol=1e-12)
    moments = moments_of(real, generated)
    near(frechet_distance_from_moments(**moments), "fd_rd", rtol=1e-7)
    dead = frechet_distance(real=GOLDEN["dead_x"], generated=GOLDEN["dead_y"])
    near(dead, "fd_dead", rtol=1e-7)


@pytest.mark.parametrize(("case", "rtol"), [("ga", 1e-7), ("gb", 1e-10), ("gc", 1e-10)])
def test_frechet_distance_of_moments_is_golden(case, rtol):
    real = {"mean_real": GOLDEN[f"{case}_mu1"], "cov_real": GOLDEN[f"{case}_s1"]}
    generated = {"mean_generated": GOLDEN[f"{case}_mu2"], "cov_generated": GOLDEN[f"{case}_s2"]}
    near(frechet_distance_from_moments(**real, **generated), f"{case}_fd", rtol=rtol)


def test_kernel_distance_of_given_subsets_and_of_all_rows_is_golden():
    subsets = (GOLDEN["kid_idx_x"], GOLDEN["kid_idx_y"])
    mean, std = kernel_distance(real=X, generated=Y, subsets=subsets)
    near(mean, "kid_mean")
    near(std, "kid_std")
    near(kernel_distance(real=X, generated=Y, subsets="full")[0], "kid_full")
    pairs = zip(*subsets, strict=True)
    each = [kernel_distance(real=X, generated=Y, subsets=([i], [j]))[0] for i, j in pairs]
    near(each, "kid_subset_values")


@pytest.mark.parametrize("case", ["dirichlet", "modedrop", "identical", "disjoint"])
def test_prd_of_histograms_is_golden(case):
    curve = prd_from_histograms(
        real=GOLDEN[f"prd_{case}_ref"], generated=GOLDEN[f"prd_{case}_eval"]
    )
    for values, name in zip(curve, ("precision", "recall"), strict=True):
        if f"prd_{case}_{name}" in GOLDEN:
            near(values, f"prd_{case}_{name}", rtol=0, atol=1e-9)
    for value, name in zip(prd_f_beta(*curve), ("f8", "f8inv"), strict=True):
        near(value, f"prd_{case}_{name}", rtol=0, atol=1e-9)


def test_prd_averages_the_curve_before_the_f_score():
    clusters = int(GOLDEN["prd_runs_num_clusters"])
    labels = np.stack([GOLDEN["prd_runs_ref_labels"], GOLDEN["prd_runs_eval_labels"]], axis=1)
    curve = np.mean([curve_from_labels(run, clusters) for run in labels], axis=0)
    near(curve[0], "prd_runs_precision", rtol=0, atol=1e-9)
    near(curve[1], "prd_runs_recall", rtol=0, atol=1e-9)
    f8, f1_8 = prd_f_beta(*curve)
    near(f8, "prd_runs_f8", rtol=0, atol=1e-9)
    near(f1_8, "prd_runs_f8inv", rtol=0, atol=1e-9)


def test_prd_of_features_is_within_five_deviations_of_the_reference_procedure():
    n = int(GOLDEN["prd_pipeline_n"])
    values = prd_f_beta(*prd_curve(real=X[:n], generated=Y[:n]))
    for value, name in zip(values, ("f8", "f8inv"), strict=True):
        mean, deviation = GOLDEN[f"prd_pipeline_{name}_mean_std"]
        assert abs(value - mean) < 5 * deviation


@pytest.mark.parametrize("k", [3, 5])
def test_neighbour_metrics_are_golden(k):
    sets = {"real": X[: GOLDEN["knn_n_real"]], "generated": Y[: GOLDEN["knn_n_fake"]]}
    for strict in (False, True):
        values = (
            *precision_recall(**sets, k=k, strict=strict),
            *density_coverage(**sets, k=k, strict=strict),
        )
        near(values, f"knn_k{k}", rtol=0, atol=1e-9)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize(("strict", "rule"), [(True, "strict"), (False, "le")])
def test_neighbour_metrics_with_ties_are_golden(k, strict, rule):
    sets = {"real": GOLDEN["tie_real"], "generated": GOLDEN["tie_fake"]}
    values = (
        *precision_recall(**sets, k=k, strict=strict),
        *density_coverage(**sets, k=k, strict=strict),
    )
    near(values, f"tie_k{k}_{rule}", rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("key", "scale"),
    [("bpd_0_256", 1), ("bpd_unit_interval", 256), ("bpd_minus1_1", 128), ("bpd_scale255", 255)],
)
def test_bits_per_dim_is_golden_in_every_data_space(key, scale):
    dims = int(GOLDEN["bpd_dim"])
    near(bits_per_dim(GOLDEN["bpd_nll_nats"], dims=dims, scale=scale), key)


def test_bits_per_dim_is_golden_for_images_of_every_size():
    stored = (BIJECTORS[key] for key in ("bpd__nll_nats", "bpd__D", "bpd__bpd"))
    for nats, dims, bits in zip(*stored, strict=True):
        assert bits_per_dim(nats, dims=int(dims)) == pytest.approx(bits, rel=1e-12)


def test_bits_per_dim_of_dequantised_images_is_golden():
    x = (GOLDEN["deq_v"] + GOLDEN["deq_u"].astype(float)) / 256
    mu, sigma = GOLDEN["deq_gauss_mu_sigma"]
    log_prob = gaussian(x, mu, sigma).sum(1)
    near(bits_per_dim(-log_prob, dims=x.shape[1]), "deq_gauss_bpd")
    space = LogitSpace((1, 7, 7), alpha=float(GOLDEN["deq_logit_alpha"]))
    logits, log_det = (part.numpy() for part in space.logit(torch.from_numpy(x).view(-1, 1, 7, 7)))
    near(log_det, "deq_logit_logdet")
    log_prob = gaussian(logits, 0.0, GOLDEN["deq_logit_base_sigma"]).sum((1, 2, 3)) + log_det
    near(bits_per_dim(-log_prob, dims=x.shape[1]), "deq_logit_bpd")


def test_bounds_of_one_draw_and_of_all_but_one_are_golden():
    log_weights = torch.from_numpy(GOLDEN["iw_logw"]).T
    # The bound of one draw is its log weight, so that the mean of these bounds is the ELBO.
    near(np.mean([bound_of(one) for one in log_weights[:, None]], axis=0), "iw_elbo")
    count = len(log_weights)
    rests = [torch.cat([log_weights[:i], log_weights[i + 1 :]]) for i in range(count)]
    lower = np.mean([bound_of(rest) for rest in rests], axis=0)
    near(count * bound_of(log_weights) - (count - 1) * lower, "iw_jackknife", rtol=1e-9, atol=1e-9)


def test_reconstruction_errors_are_golden():
    x, y = (GOLDEN[key] / 255.0 for key in ("rec_x", "rec_xhat"))
    near(squared_errors(x, y), "rec_mse_per_image")
    near(squared_errors(x, y) * x[0].size, "rec_sse_per_image")
    scores = reconstruction(images=x, reconstructions=y)
    near(scores["mse"].value, "rec_mse")
    near(scores["l2"].value, "rec_l2_mean")
    near(scores["mae"].value, "rec_mae")
    assert scores["sse"].value == pytest.approx(GOLDEN["rec_sse_per_image"].mean(), rel=1e-9)
    near(psnr(images=x, reconstructions=y)["psnr"].value, "rec_psnr_mean")


def test_extrapolated_distance_is_golden():
    intercept, slope = extrapolate(GOLDEN["inf_n"], GOLDEN["inf_fd"])
    near(intercept, "inf_intercept", rtol=1e-8)
    near(slope, "inf_slope", rtol=1e-8)


def bound_of(log_weights):
    weights = WeightSum()
    weights.add(log_weights)
    return weights.log_mean().numpy()


def moments_of(real, generated):
    result = {}
    for name, features in {"real": real, "generated": generated}.items():
        result[f"mean_{name}"] = features.astype(float).mean(0)
        result[f"cov_{name}"] = np.cov(features.astype(float), rowvar=False)
    return result


def gaussian(x, mu, sigma):
    return -0.5 * ((x - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)

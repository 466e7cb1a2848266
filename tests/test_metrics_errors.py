"""What the metrics say about input that they cannot score."""

import numpy as np
import pytest
import torch
from aebench.metrics import (
    bits_per_dim,
    density_coverage,
    frechet_distance,
    frechet_distance_from_moments,
    frechet_distance_infinite,
    kernel_distance,
    prd_curve,
    prd_f_beta,
    prd_from_histograms,
    precision_recall,
)
from aebench.metrics.denoising import denoising
from aebench.metrics.reconstruction import reconstruction, ssim

GOOD = np.random.default_rng(0).normal(size=(30, 4))
PAIRED = [frechet_distance, kernel_distance, prd_curve, precision_recall, density_coverage]


@pytest.mark.parametrize("score", PAIRED)
@pytest.mark.parametrize("name", ["real", "generated"])
def test_wrong_rank_is_refused_with_the_shape(score, name):
    given = {"real": GOOD, "generated": GOOD} | {name: GOOD[None]}
    with pytest.raises(ValueError, match=rf"'{name}' has shape \(1, 30, 4\); expected rank 2"):
        score(**given)


@pytest.mark.parametrize("score", PAIRED)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_row_that_is_not_finite_is_named(score, value, kind):
    bad = np.random.default_rng(1).normal(size=(1000, 4))
    bad[17, 2] = value
    bad[21, 0] = -value
    with pytest.raises(ValueError, match="Row 17 of 'generated' is not finite"):
        score(real=kind(np.tile(GOOD, (40, 1))), generated=kind(bad))


@pytest.mark.parametrize(
    ("score", "rows", "minimum"),
    [
        (frechet_distance, 1, 2),
        (kernel_distance, 29, 1000),
        (prd_curve, 19, 20),
        (precision_recall, 3, 4),
        (density_coverage, 5, 6),
    ],
)
def test_too_few_rows_are_refused_with_the_minimum(score, rows, minimum):
    text = f"'real' has {rows} rows?; expected at least {minimum}"
    with pytest.raises(ValueError, match=text):
        score(real=GOOD[:rows], generated=GOOD)


@pytest.mark.parametrize("score", [frechet_distance, precision_recall, prd_curve])
def test_different_numbers_of_features_are_refused(score):
    with pytest.raises(ValueError, match="'generated' has 3 features and 'real' has 4"):
        score(real=GOOD, generated=GOOD[:, :3])


@pytest.mark.parametrize("score", [prd_curve, precision_recall, density_coverage])
def test_real_features_that_do_not_vary_are_refused(score):
    with pytest.raises(ValueError, match="All 30 rows of 'real' are equal"):
        score(real=np.ones_like(GOOD), generated=GOOD)


def test_text_and_booleans_are_refused():
    with pytest.raises(ValueError, match="'real' has type <U1; expected real numbers"):
        frechet_distance(real=np.full((3, 2), "a"), generated=GOOD)
    with pytest.raises(ValueError, match="'real' has type bool"):
        frechet_distance(real=GOOD > 0, generated=GOOD)


def test_moments_that_do_not_fit_are_refused():
    good = {"mean_real": np.zeros(2), "mean_generated": np.zeros(2)}
    eye = np.eye(2)
    with pytest.raises(ValueError, match=r"'cov_real' has \(3, 3\); expected"):
        frechet_distance_from_moments(**good, cov_real=np.eye(3), cov_generated=eye)
    with pytest.raises(ValueError, match="Row 0 of 'mean_generated' is not finite"):
        good["mean_generated"] = np.array([0, np.nan])
        frechet_distance_from_moments(**good, cov_real=eye, cov_generated=eye)


def test_extrapolation_needs_more_rows_than_features():
    with pytest.raises(ValueError, match="expected more rows than features"):
        frechet_distance_infinite(real=GOOD, generated=GOOD[:4])
    with pytest.raises(ValueError, match="'smallest' is 30"):
        frechet_distance_infinite(real=GOOD, generated=GOOD, smallest=30)


def test_bad_subsets_are_refused():
    sets = {"real": GOOD, "generated": GOOD}
    with pytest.raises(ValueError, match="'subsets' is 'all'"):
        kernel_distance(**sets, subsets="all")
    with pytest.raises(ValueError, match="'subsets' is 0 of 5 rows"):
        kernel_distance(**sets, subsets=0, subset_size=5)
    with pytest.raises(ValueError, match="not a pair of equally many"):
        kernel_distance(**sets, subsets=([[0, 1]], [[0, 1], [1, 2]]))
    with pytest.raises(ValueError, match=r"'subsets' for 'generated'.* below 30"):
        kernel_distance(**sets, subsets=([[0, 1]], [[0, 30]]))


def test_prd_refuses_impossible_clusterings_and_histograms():
    with pytest.raises(ValueError, match="'runs' is 10, 'clusters' is 1; expected at least 1"):
        prd_curve(real=GOOD, generated=GOOD, clusters=1)
    with pytest.raises(ValueError, match="Histogram 'generated' is not a row of finite masses"):
        prd_from_histograms(real=[1.0, 1.0], generated=[-1.0, 2.0])
    with pytest.raises(ValueError, match="'generated' has 3 bins and 'real' has 2"):
        prd_from_histograms(real=[1.0, 1.0], generated=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="'beta' is 0"):
        prd_f_beta([1.0], [1.0], beta=0)


def test_likelihoods_refuse_impossible_counts_and_weights():
    with pytest.raises(ValueError, match="'dims' is 0"):
        bits_per_dim(1.0, dims=0)
    with pytest.raises(ValueError, match="'scale' is -1"):
        bits_per_dim(1.0, dims=1, scale=-1)


def test_reconstructions_are_refused_in_another_range_or_shape():
    images = np.random.default_rng(0).uniform(size=(3, 1, 4, 4))
    with pytest.raises(ValueError, match="They look like 0 to 255: divide by 255"):
        reconstruction(images=255 * images, reconstructions=images)
    with pytest.raises(ValueError, match=r"'reconstructions' \(3, 1, 4, 3\)"):
        reconstruction(images=images, reconstructions=images[..., :3])
    with pytest.raises(ValueError, match="'images' has type uint8"):
        reconstruction(images=images.astype(np.uint8), reconstructions=images)
    with pytest.raises(ValueError, match="Row 1 of 'reconstructions' is not finite"):
        bad = images.copy()
        bad[1] = np.nan
        reconstruction(images=images, reconstructions=bad)
    with pytest.raises(ValueError, match="H and W from 11"):
        ssim(images=images, reconstructions=images)


def test_feature_error_refuses_unpaired_rows():
    with pytest.raises(ValueError, match="'denoised' has 29 rows and 'clean' has 30"):
        denoising(clean=GOOD, denoised=GOOD[:29])

"""Collapsed samples, sets against themselves, and errors that nobody can know."""

from __future__ import annotations

import numpy as np
import pytest
from aebench.bench.cli.evaluate import number
from aebench.bench.evaluation.metric_lookup import compute_scores, metrics
from aebench.metrics.density_coverage import score_density_coverage
from aebench.metrics.frechet_inf import frechet_inf
from aebench.metrics.kernel import kernel as score_kernel
from aebench.metrics.kernel import kernel_distance
from aebench.metrics.latent import latent_use
from aebench.metrics.memorisation import memorisation
from aebench.metrics.neighbours import squared_kth, squared_radii
from aebench.metrics.prd import prd
from aebench.metrics.precision_recall import score_precision_recall
from aebench.metrics.reconstruction import psnr, reconstruction, ssim
from aebench.metrics.registry import Estimate
from aebench.metrics.screening import prepare

pytestmark = pytest.mark.sensitive
LINE = np.array([0.0, 1, 2, 3, 10, 11, 12, 13])[:, None]
OF_SETS = [name for name, m in metrics().items() if "generated" in m.needs]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def scores_of(name, generated, count=60):
    sets = {"real": normal(0, count, 3), "train": normal(1, count, 3), "heldout": normal(2, 40, 3)}
    return compute_scores(metrics()[name], {**sets, "generated": generated})


# Laws of every score of generated sets


@pytest.mark.parametrize("name", OF_SETS)
@pytest.mark.parametrize("place", [0.3, 1e3], ids=["inside", "far away"])
def test_every_score_of_collapsed_samples_is_given(name, place):
    for score in scores_of(name, np.full((50, 3), place)):
        assert score.status == "ok" and np.isfinite(score.value), score


@pytest.mark.parametrize("name", OF_SETS)
@pytest.mark.parametrize("kind", ["itself", "train", "collapsed"])
def test_no_error_is_zero_or_of_the_size_of_rounding(name, kind):
    generated = {
        "itself": normal(0, 60, 3)[::-1],
        "train": normal(1, 60, 3),
        "collapsed": np.full((50, 3), 0.3),
    }
    for score in scores_of(name, generated[kind]):
        assert score.stderr is None or score.stderr > 1e-6, score


# Truths of collapsed samples


def test_collapsed_samples_inside_four_balls_have_precision_and_no_recall():
    scores = score_precision_recall(real=LINE, generated=np.full((6, 1), 1.2))
    assert (scores["precision"].value, scores["recall"].value) == (1.0, 0.0)
    # The ball of a copy has the radius 0, and its centre lies in it.
    scores = score_precision_recall(real=LINE, generated=np.ones((6, 1)))
    assert (scores["precision"].value, scores["recall"].value) == (1.0, 1 / 8)
    assert (
        score_precision_recall(real=LINE, generated=np.full((6, 1), 6.5))["precision"].value == 0
    )


def test_collapsed_samples_inside_four_balls_have_their_density_and_coverage():
    scores = score_density_coverage(real=LINE, generated=np.full((6, 1), 1.2), k=3)
    assert scores["density"].value == pytest.approx(4 / 3)
    assert scores["coverage"].value == 4 / 8
    assert scores["density"].stderr is None


def test_radii_of_many_copies_are_zero_without_a_search_of_all_pairs(monkeypatch):
    searched = []

    def search(*args, itself):
        searched.append(len(itself))
        return squared_kth(*args, itself=itself)

    monkeypatch.setattr("aebench.metrics.neighbours.squared_kth", search)
    (points,) = prepare(np.concatenate([np.full((60, 3), 0.3), normal(3, 5, 3)]))
    radii = squared_radii(points, 3)
    assert searched == [5]  # To them all copies are equally near.
    assert (radii[:60] == 0).all() and (radii[60:] > 0).all()


def test_prd_of_samples_collapsed_onto_one_of_two_halves_is_that_of_their_shares():
    real = np.concatenate([normal(0, 100, 2), normal(1, 100, 2) + 100])
    scores = prd(real=real, generated=np.zeros((70, 2)), clusters=2)
    # Precision 1 at recall 1/2 is the best point for either weight; an angle is near it.
    near = {"rel": np.pi / 1000}
    assert scores["prd_f8"].value == pytest.approx(65 * 0.5 / (64 + 0.5), **near)
    assert scores["prd_f1/8"].value == pytest.approx(65 * 0.5 / (1 + 64 * 0.5), **near)


def test_the_extrapolated_distance_of_collapsed_samples_is_shift_and_variance_without_an_error():
    real, generated = normal(0, 50, 3), np.ones((40, 3))
    expected = ((real.mean(0) - 1) ** 2).sum() + real.var(axis=0, ddof=1).sum()
    infinite = frechet_inf(real=real, generated=generated)["fd_inf"]
    assert infinite.value == pytest.approx(expected) and infinite.stderr is None


def test_the_kernel_distance_of_collapsed_samples_is_its_double_sum():
    real, point = normal(0, 50, 3), np.full(3, 2.0)
    pairs = (real @ real.T / 3 + 1) ** 3
    within = (pairs.sum() - np.trace(pairs)) / (50 * 49) + (point @ point / 3 + 1) ** 3
    expected = within - 2 * ((real @ point / 3 + 1) ** 3).mean()
    scores = score_kernel(real=real, generated=np.tile(point, (40, 1)))
    assert scores["kid_full"].value == pytest.approx(expected)


def test_memorisation_of_collapsed_samples_is_that_of_one():
    train, heldout = np.array([[0.0], [1], [3], [6]]), np.array([[0.5], [2.0]])
    for place, authentic in ((4.0, 0.0), (9.0, 0.0), (9.5, 1.0)):
        scores = memorisation(train=train, heldout=heldout, generated=np.full((5, 1), place))
        distance = abs(train[:, 0] - place).min()
        assert scores["nn_ratio"].value == pytest.approx(distance / 0.75)
        assert scores["authpct"].value == authentic


def test_grey_reconstructions_of_grey_images_have_their_closed_form():
    images, grey = np.full((4, 1, 16, 16), 0.5), np.full((4, 1, 16, 16), 0.4)
    assert psnr(images=images, reconstructions=grey)["psnr"].value == pytest.approx(20.0)
    expected = (2 * 0.5 * 0.4 + 1e-4) / (0.5**2 + 0.4**2 + 1e-4)
    found = ssim(images=images, reconstructions=grey)["ssim"]
    assert found.value == pytest.approx(expected, rel=1e-4)
    error = reconstruction(images=images, reconstructions=grey)["mse"]
    assert error.value == pytest.approx(0.01) and error.stderr is None


# A set against itself


@pytest.mark.parametrize("count", [30, 1000])
def test_the_extrapolated_distance_of_a_set_to_itself_is_zero_without_an_error(count):
    real = normal(0, count, 4).astype(np.float32)
    score = frechet_inf(real=real, generated=np.random.default_rng(1).permutation(real))["fd_inf"]
    assert (score.value, score.stderr) == (0.0, None)
    assert "same mean and covariance" in score.reason


def test_a_distance_further_below_zero_than_chance_allows_has_no_error():
    real = normal(0, 1000, 4)
    for score in score_kernel(real=real, generated=real[::-1]).values():
        assert score.value < 0 and score.stderr is None and "copies" in score.reason
    copies = real + 1e-4 * normal(1, 1000, 4)
    score = frechet_inf(real=real, generated=copies)["fd_inf"]
    assert score.value < 0 and score.stderr is None and "copies" in score.reason
    assert Estimate.of_distance(-0.2, 0.1) == Estimate(-0.2, 0.1)


# Errors that cannot be known


def test_subsets_as_large_as_both_sets_are_computed_once():
    sets = {"real": normal(0, 50, 3), "generated": normal(1, 50, 3) + 1}
    scores = score_kernel(**sets, subset_size=50)
    assert scores["kid"].value == pytest.approx(scores["kid_full"].value, rel=1e-12)
    assert scores["kid"].stderr == scores["kid_full"].stderr > 0


@pytest.mark.parametrize(("n", "m"), [(300, 240), (200, 200)])
def test_the_subsets_of_one_pass_score_as_each_subset_alone(n, m):
    sets = {"real": normal(0, n, 7), "generated": 1.2 * normal(1, m, 7) + 0.1}
    settings = {"subset_size": 50, "subsets": 30, "seed": 3}
    value, _ = kernel_distance(**sets, **settings)
    assert score_kernel(**sets, **settings)["kid"].value == pytest.approx(value, rel=1e-10)


def test_a_kernel_distance_of_too_few_rows_for_groups_has_no_error():
    scores = score_kernel(real=normal(0, 3, 2), generated=normal(1, 3, 2))
    assert scores["kid_full"].stderr is None


def test_an_error_of_zero_or_without_end_is_none_and_a_dash():
    for stderr in (0.0, float("nan"), float("inf"), None):
        assert Estimate(1.0, stderr).stderr is None
    assert Estimate.of_share(1.0, 50).stderr is None
    assert Estimate.of_mean(np.full(5, 0.3)).stderr is None
    assert number(None, None) == "-"


def test_a_ratio_to_held_out_copies_does_not_apply():
    train = normal(0, 20, 2)
    sets = {"train": train, "heldout": train[:9], "generated": normal(1, 9, 2)}
    ratio, share = compute_scores(metrics()["memorisation"], sets)
    assert (ratio.value, ratio.status) == (None, "not applicable")
    assert "held-out images are training images" in ratio.reason
    assert share.status == "ok"


def test_a_unit_is_active_from_a_sample_variance_of_one_hundredth_on():
    draws = np.random.default_rng(0).normal(size=20)
    unit = (draws - draws.mean()) / np.sqrt(np.sum((draws - draws.mean()) ** 2) / 19)
    codes = unit[:, None] * np.sqrt([0.0101, 0.0099])
    assert latent_use(codes=codes)["active_units"].value == 1

"""Stated intervals hold the truth as often as they say, on Gaussians."""

import numpy as np
import pytest
from aebench.metrics import (
    frechet_distance,
    frechet_distance_from_moments,
    frechet_distance_infinite,
    kernel_distance,
)
from aebench.metrics.density_coverage import score_density_coverage
from aebench.metrics.frechet import frechet, moment_standard_errors, moments
from aebench.metrics.kernel import kernel, kernel_distance_jackknife
from aebench.metrics.latent import latent_prior
from aebench.metrics.precision_recall import score_precision_recall
from scipy.stats import t as student

pytestmark = pytest.mark.sensitive
DIMS = 4
MIX = np.random.default_rng(5).normal(size=(DIMS, DIMS)) / 2 + np.eye(DIMS)
TRUTH = {
    "mean_real": np.zeros(DIMS),
    "cov_real": np.eye(DIMS),
    "mean_generated": np.full(DIMS, 0.3),
    "cov_generated": MIX.T @ MIX,
}


def draw(seed, n=300, m=400):
    generator = np.random.default_rng(seed)
    real = generator.normal(size=(n, DIMS))
    return {"real": real, "generated": generator.normal(size=(m, DIMS)) @ MIX + 0.3}


def coverage(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


def test_stated_95_percent_intervals_of_the_kernel_distance_hold_its_truth():
    truth = kernel_truth()
    intervals = []
    reach = student.ppf(0.975, 19)  # The errors come from 20 groups.
    for seed in range(250):
        value, error = kernel_distance_jackknife(**draw(seed, 1000, 1000))
        intervals.append((value - reach * error, value + reach * error))
    assert 0.90 <= coverage(intervals, truth) <= 0.99


def test_stated_95_percent_intervals_of_the_extrapolated_distance_hold_its_truth():
    truth = frechet_distance_from_moments(**TRUTH)
    intervals = []
    for seed in range(300):
        value, _, error = frechet_distance_infinite(**draw(seed), seed=seed, debias="both")
        intervals.append((value - 1.96 * error, value + 1.96 * error))
    assert 0.90 <= coverage(intervals, truth) <= 0.99


def test_stated_95_percent_intervals_hold_the_distance_to_the_given_real_images():
    real = draw(0)["real"]
    given = TRUTH | dict(zip(("mean_real", "cov_real"), moments(real), strict=True))
    truth = frechet_distance_from_moments(**given)
    intervals = []
    for seed in range(300):
        generated = draw(seed)["generated"]
        value, _, error = frechet_distance_infinite(real=real, generated=generated, seed=seed)
        intervals.append((value - 1.96 * error, value + 1.96 * error))
    assert 0.90 <= coverage(intervals, truth) <= 0.99


def test_the_infinitesimal_jackknife_is_the_spread_over_fresh_samples():
    values, errors = [], []
    for seed in range(200):
        sets = draw(seed)
        values.append(frechet_distance(**sets))
        arrays = sets["real"], sets["generated"]
        errors.append(moment_standard_errors(*arrays, *map(moments, arrays)))
    first, second = np.mean(errors, axis=0)
    assert np.hypot(first, second) == pytest.approx(np.std(values), rel=0.15)
    assert first != pytest.approx(second, rel=0.02)
    score = frechet(**draw(0))["fd"]
    assert score.stderr == pytest.approx(np.hypot(*errors[0]))


def test_the_infinitesimal_jackknife_is_the_jackknife_where_the_means_differ_most():
    sets = draw(3, 600, 900)
    sets["generated"] = sets["generated"] + [9.0, 0.0, 0.0, -9.0]
    arrays = sets["real"], sets["generated"]
    stderr = np.hypot(*moment_standard_errors(*arrays, *map(moments, arrays)))
    _, direct = jackknife(frechet_distance, **sets, groups=300)
    assert direct == pytest.approx(stderr, rel=0.15)


def test_the_delete_group_values_of_the_kernel_distance_are_those_of_the_rows_left():
    sets = draw(1, 40, 60)

    def full(*, real, generated):
        return kernel_distance(real=real, generated=generated, subsets="full")[0]

    expected = jackknife(full, **sets, groups=5)
    value, error = kernel_distance_jackknife(**sets, groups=5, seed=0)
    assert value == pytest.approx(expected[0], rel=1e-12)
    assert error == pytest.approx(expected[1], rel=1e-9)


def test_kernel_scores_carry_standard_errors_and_leave_out_subsets_that_do_not_fit():
    scores = kernel(**draw(0), subsets=20, subset_size=100)
    assert scores["kid"].value == pytest.approx(scores["kid_full"].value, rel=0.3)
    assert scores["kid"].stderr > scores["kid_full"].stderr > 0
    assert set(kernel(**draw(0))) == {"kid_full"}


# The balls are taken as given, so that only the set whose rows are judged is drawn anew.
def test_the_stated_error_of_density_is_its_spread_over_fresh_generated_sets():
    real = draw(0)["real"]
    scores = [
        score_density_coverage(real=real, generated=draw(seed, m=60)["generated"])["density"]
        for seed in range(1, 201)
    ]
    assert_stated_error_is_spread(scores)


@pytest.mark.parametrize(("name", "fresh"), [("precision", "generated"), ("recall", "real")])
def test_the_stated_error_of_a_share_is_its_spread_over_fresh_rows(name, fresh):
    given = draw(0, m=60)
    scores = [
        score_precision_recall(**{**given, fresh: draw(seed, m=60)[fresh]})[name]
        for seed in range(1, 201)
    ]
    assert_stated_error_is_spread(scores)


def test_the_stated_error_of_the_distance_from_the_prior_is_its_spread_over_fresh_codes():
    draws = np.random.default_rng(0)
    scores = [latent_prior(codes=1.5 * draws.normal(size=(200, 2)))["mmd"] for _ in range(200)]
    assert_stated_error_is_spread(scores)


def test_a_singular_covariance_gives_a_distance_without_standard_error():
    score = frechet(real=draw(0)["real"][:4], generated=draw(0)["generated"])["fd"]
    assert score.stderr is None
    assert "fewer rows than features" in score.reason


def assert_stated_error_is_spread(scores):
    spread = np.std([score.value for score in scores], ddof=1)
    # That of 200 values is itself known to 5 %.
    assert 0.8 < spread / np.mean([score.stderr for score in scores]) < 1.25


def jackknife(statistic, *, real, generated, groups):
    """Returns the score and its delete-group jackknife error (Shao and Tu, 1995, Section 2.3)."""
    sets = real, generated
    generator = np.random.default_rng(0)
    variance = 0.0
    for side, rows in enumerate(sets):
        values = []
        for part in np.array_split(generator.permutation(len(rows)), groups):
            kept = list(sets)
            kept[side] = np.delete(rows, part, axis=0)
            values.append(statistic(real=kept[0], generated=kept[1]))
        variance += (groups - 1) * np.var(values)
    return statistic(real=real, generated=generated), variance**0.5


def kernel_truth():
    """Computes the expectation of the kernel distance from the Gaussians' moments."""
    real = TRUTH["mean_real"], TRUTH["cov_real"]
    generated = TRUTH["mean_generated"], TRUTH["cov_generated"]
    within = mean_kernel(real, real) + mean_kernel(generated, generated)
    return within - 2 * mean_kernel(real, generated)


def mean_kernel(first, second):
    """Expects ``(x.y / d + 1)^3`` of independent Gaussian x and y."""
    linear = first[0] @ second[0] / DIMS
    squares = [cov + np.outer(mean, mean) for mean, cov in (first, second)]
    cubes = [third_moment(*pair) for pair in (first, second)]
    square = (squares[0] * squares[1]).sum() / DIMS**2
    return 1 + 3 * linear + 3 * square + (cubes[0] * cubes[1]).sum() / DIMS**3


def third_moment(mean, cov):
    mixed = np.einsum("i,jk->ijk", mean, cov)
    cube = np.einsum("i,j,k->ijk", mean, mean, mean)
    return cube + mixed + mixed.transpose(1, 0, 2) + mixed.transpose(1, 2, 0)

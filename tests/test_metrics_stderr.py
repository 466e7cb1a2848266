"""The parts of a standard error: of subsets and of clusterings, each by the count of its draws."""

import numpy as np
import pytest
from aebench.metrics import prd_f_beta, prd_from_histograms
from aebench.metrics.kernel import kernel
from aebench.metrics.prd import prd_standard_errors


def test_the_error_of_the_kernel_distance_adds_the_spread_of_the_mean_of_its_subsets():
    draw = np.random.default_rng(0)
    sets = {"real": draw.normal(size=(60, 3)), "generated": 0.3 + draw.normal(size=(60, 3))}
    drawn = [kernel(**sets, subsets=16, subset_size=30, seed=seed) for seed in range(100)]
    values = [scores["kid"].value for scores in drawn]
    added = [scores["kid"].stderr ** 2 - scores["kid_full"].stderr ** 2 for scores in drawn]
    assert np.mean(added) ** 0.5 == pytest.approx(np.std(values, ddof=1), rel=0.25)


def labels_of(shares, count):
    """Returns labels (R, count) whose clusters have given shares (R, K) to a row or so."""
    ends = np.round(np.cumsum(shares, axis=1) * count).astype(int)
    return np.stack([np.searchsorted(own, np.arange(count), side="right") for own in ends])


def test_the_error_of_prd_adds_the_spread_of_the_mean_of_its_clusterings():
    count, runs, clusters = 100_000, 6, 4
    real = np.full((runs, clusters), 0.25)
    generated = np.random.default_rng(0).dirichlet(np.full(clusters, 5.0), size=runs)
    labels = labels_of(real, count), labels_of(generated, count)
    found = prd_standard_errors(labels, clusters=clusters, resamples=2, seed=0)
    single = [
        prd_f_beta(*prd_from_histograms(real=r, generated=g))
        for r, g in zip(real, generated, strict=True)
    ]
    expected = np.std(single, axis=0, ddof=1) / runs**0.5
    # So many rows make the bootstrap's own part small beside it.
    assert found == pytest.approx(expected, rel=0.02)


def test_the_error_of_prd_is_that_of_the_images_alone_where_all_clusterings_agree():
    shares = np.array([[0.5, 0.3, 0.2]])
    one = labels_of(shares, 300), labels_of(shares[:, ::-1], 300)
    settings = {"clusters": 3, "resamples": 20, "seed": 0}
    many = tuple(np.repeat(rows, 5, axis=0) for rows in one)
    assert prd_standard_errors(many, **settings) == pytest.approx(
        prd_standard_errors(one, **settings), rel=1e-9
    )

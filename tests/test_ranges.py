"""Intervals keep to the values that a score can have; numbers have the digits of their error."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.cells import score_cell
from aebench.bench.comparison.numbers import (
    decimals_known,
    estimate_text,
    format_number,
    with_error,
)
from aebench.bench.comparison.ranges import bar_lengths, interval_within, limits_of
from aebench.bench.comparison.scored import scores_in
from aebench.bench.comparison.significance import t_interval
from aebench.bench.comparison.table import seeds_cell
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.bench.evaluation.search_rows import UNITS
from aebench.metrics.expressions import expression_score

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row = FACTORY["frame"], FACTORY["make_row"]


def test_shares_are_from_0_to_1_and_distances_of_features_not_negative():
    assert limits_of("share of valid texts", "uniqueness", 8) == (0.0, 1.0)
    assert limits_of("share or ratio", "nn_ratio", 8) == (0.0, math.inf)
    assert limits_of("share", "density", 8) == (0.0, math.inf)
    assert limits_of("squared feature units", "fd", 8) == (0.0, math.inf)
    assert limits_of("nats per image", "log_prob", 8) == (-math.inf, math.inf)
    # Unbiased estimates of a distance fall below 0 by chance.
    assert limits_of("squared discrepancy", "kid", 8) == (-math.inf, math.inf)


def test_no_interval_has_more_active_units_than_the_code_has_dimensions():
    rows = [
        make_row(metric="active_units", unit="dimensions", seed=s, value=v, latent_dim=25)
        for s, v in enumerate((4.0, 8.0))
    ]
    assert score_cell(scores_in(frame(rows)), 2).text == "6 [0, 25] (2)"
    assert limits_of("dimensions", "active_units", 0) == (0.0, math.inf)  # No codes are known.


def test_no_interval_of_expressions_is_worse_than_that_of_no_expression():
    worst = expression_score("no expression")
    rows = [
        make_row(metric="score_mean", unit=UNITS["expressions"], seed=s, value=v)
        for s, v in enumerate((2.5, 3.5))
    ]
    cell = score_cell(scores_in(frame(rows)), 2)
    assert cell.cut and 3 + cell.half_width > worst
    assert cell.text.startswith(f"3.0 [0, {worst:.1f}]"), cell.text
    # A surrogate may predict any number, so that its error has no upper limit.
    assert limits_of(UNITS["expressions"], "surrogate_rmse", 25) == (0.0, math.inf)


def test_every_score_of_random_features_is_within_its_limits():
    draw = np.random.default_rng(0)
    sets = {name: draw.normal(at, size=(60, 2)) for at, name in enumerate(("real", "generated"))}
    for metric in metrics().values():
        if set(metric.needs) == set(sets):
            options = {"subset_size": 30} if metric.name == "kernel" else {}
            for name, score in metric.function(**sets, **options).items():
                low, high = limits_of(metric.unit, name, 0)
                value = getattr(score, "value", score)
                assert not math.isfinite(value) or low <= value <= high, name


def test_a_cut_interval_covers_a_share_as_often_as_the_whole_one():
    draw = np.random.default_rng(1)
    covered = {"whole": 0, "cut": 0}
    for _ in range(2000):
        values = draw.binomial(20, 0.05, size=3) / 20
        low, high = t_interval(values)
        half = (high - low) / 2
        cut = interval_within(float(values.mean()), half, (0.0, 1.0))
        covered["whole"] += low <= 0.05 <= high
        covered["cut"] += cut[0] <= 0.05 <= cut[1]
        assert 0 <= cut[0] <= cut[1] <= 1
    assert covered["cut"] == covered["whole"] > 0.8 * 2000


def test_a_cell_shows_the_ends_where_the_interval_is_cut_and_says_so():
    near = seeds_cell({0: 1500.0, 1: 1715.0}, 2, limits=(0.0, math.inf))
    assert near.text == "1608 ± 1366 (2)" and not near.cut
    wide = seeds_cell({0: 1300.0, 1: 1915.0}, 2, limits=(0.0, math.inf))
    assert wide.text == "1608 [0, 5515] (2)" and wide.cut and wide.half_width > 1608
    share = seeds_cell({0: 0.0, 1: 0.076}, 2, limits=(0.0, 1.0))
    assert share.text == "0.04 [0, 0.52] (2)" and share.half_width == pytest.approx(
        0.4828, abs=1e-3
    )


def test_a_mean_outside_its_limits_keeps_its_interval():
    assert interval_within(-0.1, 0.3, (0.0, math.inf)) == pytest.approx((-0.4, 0.2))


def test_bars_end_at_the_limit_and_one_seed_has_none():
    below, above = bar_lengths([3.0, 5.0], [4.0, None], (0.0, math.inf))
    assert (below[0], above[0]) == (3.0, 4.0) and math.isnan(below[1]) and math.isnan(above[1])


@pytest.mark.parametrize(
    ("error", "decimals"), [(36.0, 0), (3.6, 1), (0.36, 2), (0.0998, 2), (0.0994, 3), (350.0, 0)]
)
def test_decimals_end_at_the_second_digit_of_the_error(error, decimals):
    assert decimals_known(error) == decimals


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (0.0103127, 6e-5, "0.010313 ± 0.000060"),
        (0.0498712, 0.000312, "0.04987 ± 0.00031"),
        (2.67006, 0.0048, "2.6701 ± 0.0048"),
        (0.0, 0.0004, "0.00000 ± 0.00040"),
        (1607.3246, 0.5, "1607.32 ± 0.50"),
        (4.2, 0.0, "4.20 ± 0.00"),
        (4.2, 1e-12, "4.20000 ± 1e-12"),
    ],
)
def test_a_mean_has_the_digits_of_its_half_width_six_at_most(value, half, text):
    assert estimate_text(value, half) == text


def test_a_number_has_no_digit_below_its_error():
    assert with_error(1607.32461, 36.0) == "1607"
    assert with_error(618.534, 33.8) == "619" and format_number(618.534, error=33.8) == "619"
    assert estimate_text(618.534, 33.8) == "619 ± 34"
    assert with_error(0.98304, None) == "0.9830" and with_error(12345.6, None) == "12346"

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.significance import (
    ahead_of,
    detectable_from_best,
    half_width,
    holm,
    paired_p_values,
    rank_intervals,
    separated_from_best,
    t_interval,
)
from aebench.bench.tables.paired import paired_scores, with_methods
from scipy.stats import t, ttest_1samp, ttest_rel

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))


def seeds(level, count=6, noise=0.1, start=0):
    draw = np.random.default_rng(start)
    return {seed: level + noise * float(draw.normal()) for seed in range(count)}


def differences(p_value):
    """Returns the differences of five seeds, 1 on average, with this p-value in a t-test."""
    shape = np.arange(-2.0, 3.0)
    found = 1 + 5**0.5 / t.isf(p_value / 2, 4) * shape / shape.std(ddof=1)
    assert ttest_1samp(found, 0).pvalue == pytest.approx(p_value)
    return found


def test_holm_gives_the_values_of_the_published_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_paired_test_is_paired_by_seed_not_by_order():
    a, b = seeds(1.0, start=1), seeds(1.4, start=2)
    shuffled = {seed: b[seed] for seed in reversed(sorted(b))}
    expected = ttest_rel(list(a.values()), list(b.values())).pvalue
    assert paired_p_values([(a, shuffled)]) == pytest.approx([expected])


def test_constant_differences_are_decided_without_a_variance():
    a = seeds(1.0)
    assert paired_p_values([(a, {s: v + 1 for s, v in a.items()})]) == [0.0]
    assert paired_p_values([(a, dict(a))]) == [1.0]


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_best_follows_the_direction(better):
    names, reason = separated_from_best({"a": seeds(1.0), "b": seeds(2.0, start=3)}, better)
    assert names == (["a"] if better == "lower" else ["b"]) and reason == ""


def test_rows_that_are_not_separated_tie():
    names, _ = separated_from_best(
        {"a": seeds(1.0, start=1), "b": seeds(1.01, start=2), "c": seeds(5.0, start=3)}, "lower"
    )
    assert sorted(names) == ["a", "b"]


def test_four_seeds_mark_nothing_and_say_why():
    names, reason = separated_from_best({"a": seeds(1.0, 4), "b": seeds(9.0, 6)}, "lower")
    assert names == [] and "share only 4 of the 5 seeds needed" in reason and "'a' has 4" in reason


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_no_difference_could_be_shown_by_as_few_seeds_as_mark_nothing(better):
    for count in (3, 4, 5):
        scores = {"a": seeds(1.0, count, start=1), "b": seeds(9.0, count, start=2)}
        marked = bool(separated_from_best(scores, better)[0])
        assert (detectable_from_best(scores, better) is not None) == marked == (count == 5)


def test_nothing_is_separated_from_a_lower_bound():
    scores = {"exact": seeds(1.0, start=1), "bound": seeds(2.0, start=2)}
    assert sorted(separated_from_best(scores, "lower", bounds={"bound"})[0]) == ["bound", "exact"]
    assert separated_from_best(scores, "lower", bounds={"exact"})[0] == ["exact"]


def test_rank_intervals_overlap_exactly_where_the_test_does_not_decide():
    scores = {"a": seeds(1.0, start=1), "b": seeds(1.01, start=2), "c": seeds(5.0, start=3)}
    assert rank_intervals(ahead_of(scores, "lower")) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    assert rank_intervals(ahead_of(scores, "higher"))["c"] == (1, 1)
    few = {name: {0: values[0]} for name, values in scores.items()}
    assert set(rank_intervals(ahead_of(few, "lower")).values()) == {(1, 3)}


def test_ranks_are_corrected_for_all_pairs():
    scores = {"best": dict.fromkeys(range(5), 30.0)}
    for name, p_value in {"a": 0.04, "b": 0.02, "c": 0.012}.items():
        scores[name] = dict(enumerate(30 + differences(p_value)))
    # Among a, b and c no difference; by Holm's rule over six pairs 0.012 becomes 0.072.
    assert rank_intervals(ahead_of(scores, "lower")) == dict.fromkeys(scores, (1, 4))


def test_verdicts_on_two_result_sets_are_corrected_for_all_scores():
    p_values = {"ae": 0.02, "vae": 0.03, "rae": 0.04}
    first, second = (
        FACTORY["frame"](
            [
                FACTORY["make_row"](objective=name, seed=seed, value=30 + moved * change)
                for name, p_value in p_values.items()
                for seed, change in enumerate(differences(p_value))
            ]
        )
        for moved in (0, 1)
    )
    scores = paired_scores(*with_methods([first, second]))
    # By Holm's rule 0.02 becomes 0.06, and neither 0.03 nor 0.04 becomes less.
    assert [score.p_value for score in scores] == pytest.approx([0.06] * 3)
    assert [score.verdict for score in scores] == ["no difference seen"] * 3


@pytest.mark.parametrize("count", [3, 5, 10])
def test_the_shown_interval_covers_the_mean_19_times_in_20_at_few_seeds(count):
    draws = np.random.default_rng(7).normal(size=(2000, count))
    covered = [abs(values.mean()) <= half_width(values) for values in draws]
    # Five standard deviations of a share among 2,000.
    assert np.mean(covered) == pytest.approx(0.95, abs=5 * np.sqrt(0.05 * 0.95 / 2000))


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("seed_spread", [0.05, 0.3, 2.0])
def test_the_interval_of_a_likelihood_covers_other_seeds_and_other_images(count, seed_spread):
    draw = np.random.default_rng(11)
    images = 100
    covered = []
    for _ in range(1000):
        image = draw.normal(size=images)
        values = (
            image + draw.normal(0, seed_spread, (count, 1)) + draw.normal(size=(count, images))
        )
        errors = values.std(axis=1, ddof=1) / np.sqrt(images)
        half = half_width(values.mean(axis=1), float(errors.mean()))
        covered.append(abs(values.mean()) <= half)
    # Never too narrow; it may be too wide, since each error holds a part of the other.
    assert np.mean(covered) > 0.95 - 5 * np.sqrt(0.05 * 0.95 / 1000)


def test_one_seed_has_the_interval_over_images_alone_and_two_errors_add_in_squares():
    assert half_width([3.0]) is None
    assert half_width([3.0], 0.5) == pytest.approx(1.96 * 0.5, rel=1e-4)
    over_seeds = half_width([1.0, 2.0, 4.0])
    assert half_width([1.0, 2.0, 4.0], 0.5) == pytest.approx(np.hypot(over_seeds, 0.98), rel=1e-4)


def test_the_interval_of_one_more_seed_is_wider_than_the_means():
    values = [1.0, 2.0, 4.0]
    for of_next, factor in ((True, 1 + 1 / 3), (False, 1 / 3)):
        half = t.ppf(0.975, 2) * np.std(values, ddof=1) * np.sqrt(factor)
        assert t_interval(values, of_next=of_next) == pytest.approx((7 / 3 - half, 7 / 3 + half))
    assert t_interval([1.0], of_next=True) is None

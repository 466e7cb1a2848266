"""What the regression check says that it sees, and that it finds just that."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.regression.exact import Exact
from aebench.bench.regression.outcome import Outcome, render_outcome, render_sight
from aebench.bench.regression.sight import ALARM, Spread, look, seeds_needed, sight_lines, spreads
from aebench.bench.regression.trained import compare_trained
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row, frame = FACTORY["make_row"], FACTORY["frame"]
NAMES = ("vae", "ae", "rae", "wae-mmd")


def table(seeds, *, better="lower", cv=0.05, level=0.017, start=0, names=NAMES):
    """Returns rows of one score of several objectives, normal over seeds."""
    draw = np.random.default_rng(start)
    values = {(name, seed): level * (1 + cv * draw.normal()) for name in names for seed in seeds}
    return [
        make_row(objective=name, seed=seed, value=value, metric="mse", better=better)
        for (name, seed), value in values.items()
    ]


def moved(rows, name, change):
    return [row | {"value": row["value"] + change * (row["objective"] == name)} for row in rows]


def worse_names(before, after):
    found = compare_trained(frame(before), frame(after)).changes
    return {change.sight.name.split()[1] for change in found if change.is_worse}


# Degrees of freedom


def test_two_seeds_have_at_least_one_degree_of_freedom_in_a_thousand_random_tables():
    draw = np.random.default_rng(0)
    tables = [draw.normal(size=(2, draw.integers(1, 20))) for _ in range(1000)]
    assert all(spread.freedom >= 1 for values in tables for spread in spreads(values))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_scores_that_move_as_one_have_one_less_freedom_than_seeds(count):
    values = np.random.default_rng(1).normal(size=(count, 1)) * np.ones(6)
    assert [s.freedom for s in spreads(values)] == pytest.approx([count - 1] * 6)


def test_the_spread_is_the_larger_of_the_scores_own_and_the_pooled_one():
    values = np.array([[0.0, 10.0, 5.0], [2.0, 20.0, np.nan], [4.0, 30.0, np.nan]])
    found = spreads(values)
    pooled = np.sqrt((8 + 200) / (2 + 2))
    assert [s.deviation for s in found] == pytest.approx([pooled, 10.0, pooled])
    assert found[1].freedom == 2


def test_values_near_the_largest_number_have_a_finite_spread():
    found = spreads(np.array([[1e300, 2.0], [3e300, 4.0]]))
    assert found[0].deviation == pytest.approx(np.sqrt(2) * 1e300, rel=1e-12)


def test_one_seed_of_every_score_tells_nothing():
    assert spreads(np.array([[1.0, 2.0]])) == [Spread(), Spread()]
    assert look("x", 1.0, Spread(), (1, 1), 2).limit == np.inf


# Found: whatever is larger than what is said


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(2, 10),
    new=st.integers(1, 10),
    equal=st.booleans(),
    better=st.sampled_from(["lower", "higher"]),
    cv=st.sampled_from([0.0, 1e-9, 0.01, 0.1, 0.5]),
    level=st.sampled_from([1e-6, 0.017, 40.0, -2000.0]),
    order=st.permutations(NAMES),
    size=st.floats(1.001, 1e6),
    start=st.integers(0, 10**6),
)
def test_every_worsening_above_the_stated_size_is_found_and_no_other_is(
    count, new, equal, better, cv, level, order, size, start
):
    before = table(range(count), better=better, cv=cv, level=level, start=start)
    after = [row for row in before if row["seed"] < new]
    if not equal:
        means = {n: np.mean([r["value"] for r in before if r["objective"] == n]) for n in NAMES}
        rows = table(range(100, 100 + new), better=better)
        after = [row | {"value": means[row["objective"]]} for row in rows]
    sights = compare_trained(frame(before), frame(after)).sights
    limits = {sight.name.split()[1]: sight.limit for sight in sights}
    assert all(np.isfinite(x) and x >= 0.005 * abs(level) for x in limits.values())
    sign = 1.0 if better == "lower" else -1.0
    for name, share in zip(order, (size, 0.999, -size, 0.0), strict=True):
        after = moved(after, name, sign * share * limits[name])
    assert worse_names(before, after) == {order[0]}


@pytest.mark.parametrize(("better", "level"), [("lower", 0.017), ("higher", -2000.0)])
def test_a_score_a_million_times_worse_is_found_from_any_two_seeds(better, level):
    for start in range(30):
        before = table(range(2), better=better, level=level, start=start)
        own = [row for row in before if row["objective"] == "vae"]
        after = [row | {"value": 1e6 * row["value"]} for row in own]
        assert worse_names(before, after) == {"vae"}, start


def test_an_error_that_goes_from_017_to_048_is_found_from_two_seeds():
    assert worse_names(table(range(2)), table(range(2), level=0.048, start=1)) == set(NAMES)


# Invented: none


def null_check(draw, count, kind):
    """Returns whether a check of thirty unchanged scores alarms.

    ``kind`` says how near the values are at equal seeds: ``same`` (another processor), ``other
    numbers`` (all else is as it was) or ``other seeds``.
    """
    size, new = 30, int(draw.integers(1, count + 1))
    together = draw.choice([0.0, 0.5, 0.9, 1.0])
    # From two seeds no test exists, and chance is as small where seeds scatter little alone.
    most = 0.03 if count == 2 and kind != "same" else 0.3
    spread = most * np.exp(draw.uniform(-2, 0, size))

    def numbers(seeds):
        common, own = draw.normal(size=(seeds, 1)), draw.normal(size=(seeds, size))
        return together * common + np.sqrt(1 - together**2) * own

    before = numbers(count)
    near = {"same": 0.99, "other numbers": 0.0, "other seeds": 0.0}[kind]
    kept = before if kind == "other seeds" else before[:new]
    after = near * before[:new] + np.sqrt(1 - near**2) * numbers(new)
    level, now = ((1 + spread * values).mean(axis=0) for values in (kept, after))
    seen = [
        look("", level[at], scatter, (len(kept), new), size)
        for at, scatter in enumerate(spreads(1 + spread * before))
    ]
    return any(now[at] - level[at] > sight.limit for at, sight in enumerate(seen))


@pytest.mark.parametrize(
    "kind",
    [
        "same",
        pytest.param("other numbers", marks=pytest.mark.long),
        pytest.param("other seeds", marks=pytest.mark.long),
    ],
)
def test_false_alarms_are_no_more_frequent_than_stated(kind):
    draw = np.random.default_rng(7)
    alarms = [null_check(draw, count, kind) for count in range(2, 11) for _ in range(500)]
    assert binomtest(sum(alarms), len(alarms), ALARM, alternative="greater").pvalue > 0.01


# Said


def test_the_seeds_needed_are_the_fewest_from_which_the_test_finds_it():
    needed = seeds_needed(0.04, 0.1, 150)
    quantiles = [t.isf(ALARM / 150, n - 1) * np.sqrt(2 / n) * 0.04 for n in (needed - 1, needed)]
    assert quantiles[0] > 0.1 >= quantiles[1]
    assert seeds_needed(1.0, 1e-9, 1) == 1001


def test_what_is_not_seen_is_said_in_words():
    before = table(range(5), cv=0.04)
    found = compare_trained(frame(before), frame(before[:]))
    text = render_sight(found)
    worst = max(found.sights, key=lambda sight: sight.share)
    assert "4 scores are compared over 5 seeds" in text and worst.name in text
    share = float(re.search(r"from (\S+) % on in nine of ten", text).group(1)) / 100
    assert share == pytest.approx(worst.share, rel=0.05)
    needed = seeds_needed(worst.spread.deviation / worst.level, 0.1, 4)
    assert f"nine of ten scores takes about {needed} seeds" in text


def test_two_seeds_are_said_to_show_gross_changes_alone():
    rows = frame(table(range(2)))
    text = render_sight(compare_trained(rows, rows))
    assert "For 4 scores the seeds are too few for a test" in text and "50 % of the value" in text
    assert "With two seeds in the baseline such a change may be chance" in text
    three = compare_trained(frame(table(range(3))), frame(table(range(1)))).sights
    assert "may be chance" not in " ".join(sight_lines(three, (), "1 seed"))


def test_a_score_of_one_seed_among_others_is_named_as_not_tested():
    rows = [*table(range(3)), make_row(objective="iwae", images="sample", seed=0)]
    found = compare_trained(frame(rows), frame(rows))
    assert found.untested == ("fashion-mini iwae d = 16 sample fd",)
    assert "1 scores cannot be tested" in render_sight(found)


def test_a_large_change_for_the_better_is_told_and_passes():
    before = table(range(5))
    found = compare_trained(frame(before), frame(moved(before, "vae", -0.01)))
    outcome = Outcome(Exact((), 1, ()), found)
    text = render_outcome(outcome)
    assert not outcome.is_regression and "passed, but 1 scores got better" in text
    assert "fashion-mini vae d = 16 reconstruction mse" in text and "--update" in text


def test_a_small_change_at_equal_seeds_is_told():
    before = table(range(5))
    found = compare_trained(frame(before), frame(moved(before, "vae", 0.0004)))
    text = render_outcome(Outcome(Exact((), 1, ()), found))
    assert "1 scores moved by more than 1 % of their value at equal seeds" in text


def test_a_score_of_zero_that_never_varies_has_a_sight_that_is_a_number():
    sight = look("ae prd_f8", 0.0, Spread(0.0, 1.0), (2, 2), 1)
    assert sight.limit == 0.0
    assert sight.share == 0.0
    assert look("ae prd_f8", 0.0, Spread(0.1, 1.0), (2, 2), 1).share == np.inf
    assert "nan" not in " ".join(sight_lines([sight], [], "2 seeds"))


def test_two_recipes_of_one_model_have_names_that_tell_them_apart():
    rows = [r | {"recipe": name * 16} for name in "ab" for r in table((0, 1), names=("ae",))]
    found = compare_trained(frame(rows), frame(rows[:2]))
    assert {entry.model for entry in found.missing} == {"fashion-mini ae d = 16 (#bbbbbb)"}

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.errors import UserError
from aebench.bench.evaluation import metric_lookup
from aebench.bench.regression import exact as check_exact
from aebench.bench.regression.check import check_results, render_outcome, update_baseline
from aebench.bench.regression.trained import changes_of
from aebench.bench.tables.paired import compare_results

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row, table_rows, write_runs, frame = (
    FACTORY[name] for name in ("make_row", "table_rows", "write_runs", "frame")
)
KEPT = ("frechet", "precision-recall", "reconstruction")


@pytest.fixture(autouse=True)
def few_metrics_and_known_splits(monkeypatch):
    every = metric_lookup.metrics()
    monkeypatch.setattr(metric_lookup, "metrics", lambda: {name: every[name] for name in KEPT})
    digests = {"fashion-mini/default": "ab" * 32}
    monkeypatch.setattr(check_exact, "split_digests", lambda names: (dict(digests), []))
    return digests


@pytest.fixture
def baseline(tmp_path):
    write_runs(tmp_path / "first", table_rows(seeds=range(5)), arrays=False, log=False)
    update_baseline(tmp_path / "first", tmp_path / "baseline", "the first one")
    return tmp_path / "baseline"


def check(tmp_path, baseline, rows):
    write_runs(tmp_path / "new", rows, arrays=False, log=False)
    return check_results(tmp_path / "new", baseline)


def test_twenty_reruns_with_other_seeds_raise_no_alarm(tmp_path, baseline):
    for seed in range(100, 120):
        rows = table_rows(seeds=(seed,))
        write_runs(tmp_path / str(seed), rows, arrays=False, log=False)
        assert not check_results(tmp_path / str(seed), baseline).is_regression, seed


def test_an_objective_that_got_worse_is_caught_and_named(tmp_path, baseline):
    rows = table_rows(seeds=(7,))
    for row in rows:
        if row["objective"] == "vae":
            row["value"] += 6.0
    outcome = check(tmp_path, baseline, rows)
    assert outcome.is_regression
    assert {change.name.split()[1] for change in outcome.worse} == {"vae"}
    assert "fashion-mini vae d = 16 sample prior fd" in render_outcome(outcome)


def test_getting_better_is_no_regression(tmp_path, baseline):
    rows = table_rows(seeds=(7,))
    for row in rows:
        row["value"] -= 6.0 if row["objective"] != "floor" else 0
    assert not check(tmp_path, baseline, rows).is_regression


def test_a_score_where_higher_is_better_is_tested_the_other_way(tmp_path):
    score = {"metric": "prd_f8", "better": "higher"}
    rows = [make_row(seed=s, value=0.8 + s / 500, **score) for s in range(5)]
    write_runs(tmp_path / "first", rows, arrays=False, log=False)
    update_baseline(tmp_path / "first", tmp_path / "baseline", "x")
    for value, worse in ((0.1, True), (0.99, False)):
        new = [make_row(seed=9, value=value, **score)]
        outcome = check(tmp_path / str(value), tmp_path / "baseline", new)
        assert outcome.is_regression is worse


def test_a_run_that_now_diverges_is_a_regression(tmp_path, baseline):
    rows = [row for row in table_rows(seeds=(7,)) if row["objective"] != "ae"]
    rows.append(make_row(objective="ae", seed=7, status="diverged", metric="loss", images="test"))
    outcome = check(tmp_path, baseline, rows)
    assert outcome.is_regression and "diverged" in render_outcome(outcome)


def spreads_of(move):
    """Returns the freedom of each of twenty scores whose values over five seeds are given."""
    names = [f"m{index}" for index in range(20)]
    rows = [make_row(objective=n, seed=s, value=40 + move(n, s)) for n in names for s in range(5)]
    return {round(change.freedom, 6) for change in changes_of(frame(rows), frame(rows[:1]))[0]}


def test_objectives_that_move_together_with_a_seed_count_as_one():
    draws = np.random.default_rng(4).normal(size=5)
    assert spreads_of(lambda name, seed: draws[seed]) == {4}


def test_objectives_that_move_apart_count_for_more():
    draw = np.random.default_rng(4)
    scale = {"m0": 0.1}  # below the others' spread, so that the pooled one holds for it
    (found,) = spreads_of(lambda name, seed: scale.get(name, 1.0) * draw.normal())
    assert 8 < found <= 16


def test_a_run_that_diverged_in_one_space_says_nothing_of_the_other():
    rows = [make_row(seed=s, space=x) for s in range(3) for x in ("unit", "logit")]
    lost = make_row(space="logit", status="diverged", metric="loss")
    changes, notes = changes_of(frame(rows), frame([lost]))
    assert [(change.name, change.lost) for change in changes] == [
        ("fashion-mini ae d = 16 in logit reconstruction fd", "diverged")
    ]
    assert notes == [
        "fashion-mini ae d = 16 reconstruction fd is in the baseline but not here; "
        "run the whole suite."
    ]


def test_a_missing_run_is_named_but_is_no_regression(tmp_path, baseline):
    rows = [row for row in table_rows(seeds=(7,)) if row["objective"] != "ae"]
    outcome = check(tmp_path, baseline, rows)
    assert not outcome.is_regression
    assert any("ae" in note and "not here" in note for note in outcome.notes)


@pytest.mark.parametrize("metric", ["frechet", "precision-recall"])
def test_a_metric_that_is_off_by_one_per_cent_is_caught(tmp_path, baseline, metric, monkeypatch):
    real = metric_lookup.compute_scores

    def off(entry, arrays):
        scale = 1.01 if entry.name == metric else 1.0
        scores = real(entry, arrays)
        return [type(s)(s.metric, s.value * scale, *list(vars(s).values())[2:]) for s in scores]

    monkeypatch.setattr(metric_lookup, "compute_scores", off)
    outcome = check(tmp_path, baseline, table_rows(seeds=(7,)))
    assert outcome.exact.broken and not outcome.worse
    assert all(metric in name for name, _, _ in outcome.exact.broken)


def test_swapped_precision_and_recall_are_caught(tmp_path, baseline, monkeypatch):
    real = metric_lookup.compute_scores
    other = {"precision": "recall", "recall": "precision"}

    def swapped(entry, arrays):
        return [
            type(s)(other.get(s.metric, s.metric), *list(vars(s).values())[1:])
            for s in real(entry, arrays)
        ]

    monkeypatch.setattr(metric_lookup, "compute_scores", swapped)
    broken = check(tmp_path, baseline, table_rows(seeds=(7,))).exact.broken
    assert [name for name, _, _ in broken] == [
        f"metric precision-recall/{name}" for name in ("precision", "recall")
    ]


def test_a_changed_data_split_is_caught(tmp_path, baseline, few_metrics_and_known_splits):
    few_metrics_and_known_splits["fashion-mini/default"] = "cd" * 32
    broken = check(tmp_path, baseline, table_rows(seeds=(7,))).exact.broken
    assert [name for name, _, _ in broken] == ["data split fashion-mini/default"]


def test_a_moved_floor_is_caught_in_both_directions(tmp_path, baseline):
    for change in (0.1, -0.1):
        rows = table_rows(seeds=(7,))
        rows[0]["value"] += change
        outcome = check(tmp_path / str(change), baseline, rows)
        assert [change.name.split()[1] for change in outcome.worse] == ["floor"]


def test_a_baseline_of_one_seed_is_said_not_to_be_testable(tmp_path):
    write_runs(tmp_path / "first", table_rows(seeds=(0,)), arrays=False, log=False)
    update_baseline(tmp_path / "first", tmp_path / "baseline", "x")
    outcome = check(tmp_path, tmp_path / "baseline", table_rows(seeds=(1,)))
    assert not outcome.is_regression and any("one seed" in note for note in outcome.notes)


def test_a_baseline_of_another_suite_or_schema_is_refused(tmp_path, baseline):
    with pytest.raises(UserError, match=r"of other \(scale: small\), the baseline .* of quick"):
        check(tmp_path, baseline, [make_row(suite="other")])
    about = baseline / "baseline.json"
    about.write_text(about.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(UserError, match="has schema 9; this version reads 1"):
        check_results(tmp_path / "new", baseline)


def test_an_update_needs_a_reason_and_keeps_the_history(tmp_path, baseline):
    with pytest.raises(UserError, match="needs a reason"):
        update_baseline(tmp_path / "first", baseline, "  ")
    update_baseline(tmp_path / "first", baseline, "new extractor")
    history = json.loads((baseline / "baseline.json").read_text())["history"]
    assert [entry["reason"] for entry in history] == ["the first one", "new extractor"]


def test_the_stored_features_are_small_and_tell_precision_from_recall(baseline):
    expected = json.loads((baseline / "expected.json").read_text())["metrics"]
    gap = expected["precision-recall/precision"] - expected["precision-recall/recall"]
    assert gap > 0.3 and (baseline / "features.npz").stat().st_size < 100_000
    arrays = check_exact.read_features(baseline / "features.npz")
    assert arrays["real"].dtype == np.float32


def test_compare_pairs_by_seed_and_gives_the_verdict(tmp_path):
    before = table_rows(objectives=("ae", "vae"), seeds=range(6))
    after = [dict(row) for row in before]
    for row in after:
        row["value"] += {"ae": 1.0, "vae": -1.0, "floor": 0.0}[row["objective"]] * (
            1 + row["seed"] / 100
        )
    for name, rows in (("a", before), ("b", after)):
        write_runs(tmp_path / name, rows, arrays=False, log=False)
    table, notes = compare_results(tmp_path / "a", tmp_path / "b")
    verdicts = {label: cells[-1].text for label, cells in table.lines}
    assert verdicts == {"ae unit": "worse", "vae unit": "better", "floor unit": "equal"}
    assert notes == []
    differences = {label: cells[-2].value for label, cells in table.lines}
    assert differences["ae unit"] == pytest.approx(1.025)


def test_compare_refuses_results_that_share_nothing(tmp_path):
    write_runs(tmp_path / "a", [make_row()], arrays=False, log=False)
    write_runs(tmp_path / "b", [make_row(features="pixels:-")], arrays=False, log=False)
    with pytest.raises(UserError, match="share no score"):
        compare_results(tmp_path / "a", tmp_path / "b")

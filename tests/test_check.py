import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli.main import main
from aebench.bench.errors import UserError
from aebench.bench.evaluation import metric_lookup
from aebench.bench.records.results import write_results
from aebench.bench.regression import exact as check_exact
from aebench.bench.regression.check import read_pair, update_baseline
from aebench.bench.regression.exact import Exact
from aebench.bench.regression.outcome import Outcome, render_outcome, render_sight
from aebench.bench.regression.trained import compare_trained
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
    return read_pair(tmp_path / "new", baseline).check()


def test_twenty_reruns_with_other_seeds_raise_no_alarm(tmp_path, baseline):
    for seed in range(100, 120):
        rows = table_rows(seeds=(seed,))
        write_runs(tmp_path / str(seed), rows, arrays=False, log=False)
        assert not read_pair(tmp_path / str(seed), baseline).check().is_regression, seed


def test_an_objective_that_got_worse_is_caught_and_named(tmp_path, baseline):
    rows = table_rows(seeds=(7,))
    for row in rows:
        if row["objective"] == "vae":
            row["value"] += 6.0
    outcome = check(tmp_path, baseline, rows)
    assert outcome.is_regression
    assert {change.sight.name.split()[1] for change in outcome.worse} == {"vae"}
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


def test_strings_of_one_model_that_are_valid_less_often_are_caught_and_named(tmp_path):
    string_rows = runpy.run_path(str(Path(__file__).with_name("string_factory.py")))["string_rows"]
    write_runs(tmp_path / "first", string_rows(seeds=range(5)), arrays=False, log=False)
    update_baseline(tmp_path / "first", tmp_path / "baseline", "x")
    rows = string_rows(seeds=(7, 8))
    assert not check(tmp_path / "same", tmp_path / "baseline", rows).is_regression
    for row in rows:
        if row["backbone"] == "character-gru" and row["metric"] == "validity":
            row["value"] -= 0.2
    outcome = check(tmp_path / "less", tmp_path / "baseline", rows)
    assert outcome.is_regression
    named = {change.sight.name.split()[0] for change in outcome.worse}
    assert named == {"expressions-characters"}


def test_a_run_that_now_diverges_is_a_regression(tmp_path, baseline):
    rows = [row for row in table_rows(seeds=(7,)) if row["objective"] != "ae"]
    rows.append(make_row(objective="ae", seed=7, status="diverged", metric="loss", images="test"))
    outcome = check(tmp_path, baseline, rows)
    assert outcome.is_regression and "diverged" in render_outcome(outcome)


def spreads_of(move):
    """Returns the freedom of the first of twenty scores, with their values over five seeds."""
    names = [f"m{index}" for index in range(20)]
    rows = [make_row(objective=n, seed=s, value=40 + move(n, s)) for n in names for s in range(5)]
    compared = compare_trained(frame(rows), frame(rows[:1])).changes
    return {round(change.sight.spread.freedom, 6) for change in compared}


def test_objectives_that_move_together_with_a_seed_count_as_one():
    draws = np.random.default_rng(4).normal(size=5)
    assert spreads_of(lambda name, seed: draws[seed]) == {4}


def test_objectives_that_move_apart_count_for_more():
    draw = np.random.default_rng(4)
    scale = {"m0": 0.1}  # below the others' spread, so that the pooled one holds for it
    (found,) = spreads_of(lambda name, seed: scale.get(name, 1.0) * draw.normal())
    assert 8 < found <= 16


def missing_of(before, after):
    found = compare_trained(frame(before), frame(after)).missing
    return [(entry.model, entry.score, entry.why) for entry in found]


def test_a_run_that_diverged_in_one_space_says_nothing_of_the_other():
    rows = [make_row(seed=s, space=x) for s in range(3) for x in ("unit", "logit")]
    lost = make_row(space="logit", status="diverged", metric="loss")
    assert sorted(missing_of(rows, [lost])) == [
        ("fashion-mini ae d = 16", "reconstruction fd", "not in the results"),
        ("fashion-mini ae d = 16 in logit", "reconstruction fd", "diverged (seed 0)"),
    ]


@pytest.mark.parametrize("seed", [1, 9])
def test_one_seed_that_diverged_among_others_is_missing(seed):
    rows = [make_row(seed=s) for s in range(3)]
    after = [row for row in rows if row["seed"] != seed]
    lost = make_row(seed=seed, status="diverged", metric="loss")
    model = ("fashion-mini ae d = 16", "reconstruction fd", f"diverged (seed {seed})")
    assert missing_of(rows, [*after, lost]) == [model]
    before = [*rows, make_row(seed=9, status="diverged", metric="loss")]
    assert missing_of(before, [*after, lost]) == ([model] if seed == 1 else [])


def test_one_seed_that_was_not_run_for_one_model_is_missing():
    rows = [make_row(seed=s, objective=name) for s in range(3) for name in ("ae", "vae")]
    after = [row for row in rows if (row["seed"], row["objective"]) != (1, "vae")]
    why = "not in the results (seed 1)"
    assert missing_of(rows, after) == [("fashion-mini vae d = 16", "reconstruction fd", why)]
    assert missing_of(rows, [row for row in rows if row["seed"] != 1]) == []


def test_a_new_seed_that_was_not_run_for_one_model_is_missing():
    def rows_of(seeds, *names):
        return [make_row(seed=s, objective=name) for s in seeds for name in names]

    rows = rows_of(range(5), "ae", "vae")
    after = [*rows_of((10, 11, 12), "ae"), *rows_of((10, 11), "vae")]
    why = "not in the results (seed 12)"
    assert missing_of(rows, after) == [("fashion-mini vae d = 16", "reconstruction fd", why)]
    lost = make_row(objective="ae", seed=12, status="diverged", metric="loss")
    only_lost = [*rows_of((10, 11), "ae", "vae"), lost]
    assert [model for model, *_ in missing_of(rows, only_lost)] == [
        "fashion-mini ae d = 16",
        "fashion-mini vae d = 16",
    ]


def test_seeds_that_the_baseline_has_of_some_models_only_are_not_expected_of_others():
    seeds = {"ae": range(5), "vae": range(2)}
    rows = [make_row(seed=s, objective=name) for name in seeds for s in seeds[name]]
    assert missing_of(rows, rows) == []
    unknown = [make_row(seed=s, objective="iwae") for s in range(9)]
    assert missing_of(rows, [*rows, *unknown]) == []


def test_a_score_that_no_longer_applies_or_is_no_longer_trusted_is_missing():
    score = {"metric": "bits_per_dim", "kind": "lower bound", "images": "test"}
    rows = [make_row(seed=s, **score) for s in range(2)]
    after = [make_row(seed=0, status="not applicable", **score)]
    after.append(make_row(seed=1, trusted="no", **score))
    assert [why for _, _, why in missing_of(rows, after)] == [
        "not applicable (seed 0)",
        "an estimate that is not trusted (seed 1)",
    ]
    assert missing_of(after, rows) == [] and missing_of(after[1:], rows[1:]) == []


def test_estimates_that_are_not_trusted_are_not_judged_but_a_move_is_told():
    score = {"metric": "bits_per_dim", "kind": "lower bound", "images": "test", "trusted": "no"}
    rows = [make_row(seed=s, value=4.0 + s, **score) for s in range(3)]
    other = [make_row(seed=s) for s in range(3)]
    for factor, moved in ((1.001, ()), (1.5, ("fashion-mini ae d = 16 test bits_per_dim",))):
        after = [*other, *(row | {"value": factor * row["value"]} for row in rows)]
        found = compare_trained(frame([*rows, *other]), frame(after))
        outcome = Outcome(Exact((), 1, ()), found)
        assert not outcome.is_regression and found.moved == moved
        assert ("1 estimates that are not trusted moved" in render_outcome(outcome)) is bool(moved)
        assert "1 scores are estimates that are not trusted" in render_sight(found)


def test_an_estimate_on_the_edge_of_trust_is_not_missing_where_it_falls_on_the_other_side():
    score = {"metric": "bits_per_dim", "kind": "lower bound", "images": "test"}
    trust = [("yes", "no", "yes"), ("no", "no", "no")]
    before, after = (
        [make_row(seed=s, trusted=word, value=float(s), **score) for s, word in enumerate(words)]
        for words in trust
    )
    assert missing_of(before, after) == []
    assert compare_trained(frame(before), frame(after)).distrusted != ()
    assert missing_of(before[:1], after[:1]) != []


def test_missing_scores_fail_and_are_listed(tmp_path, baseline, capsys):
    rows = [row for row in table_rows(seeds=(7,)) if row["objective"] in ("floor", "vae")]
    outcome = check(tmp_path, baseline, rows)
    assert outcome.is_regression and len(outcome.trained.missing) == 16 and not outcome.worse
    assert main(["check", str(tmp_path / "new"), "--against", str(baseline)]) == 1
    text = capsys.readouterr().out
    assert "FAILED: 16 scores are missing" in text
    for name in ("ae", "rae", "rae-gp", "wae-mmd"):
        assert f"| fashion-mini {name} d = 16" in text
    assert "not in the results" in text and "reconstruction fd, " in text


def test_a_list_of_many_missing_models_is_cut_and_counted(tmp_path):
    rows = [make_row(objective=f"m{n:02}", seed=s) for n in range(30) for s in range(3)]
    write_runs(tmp_path / "first", rows, arrays=False, log=False)
    update_baseline(tmp_path / "first", tmp_path / "baseline", "x")
    text = render_outcome(check(tmp_path, tmp_path / "baseline", rows[:3]))
    assert "FAILED: 29 scores are missing" in text and "... and 9 more lines." in text


def test_another_recipe_is_missing_and_says_what_differs():
    rows = [make_row(seed=s, steps=150) for s in range(3)]
    after = [make_row(seed=s, steps=15) for s in range(3)]
    why = "another recipe: the baseline was trained for 150 steps, here 15"
    assert [found for _, _, found in missing_of(rows, after)] == [why]
    assert missing_of(rows, [*after, *rows]) == []
    hidden = [row | {"recipe": "ab" * 8, "run": f"r{row['seed']}"} for row in rows]
    assert "that rows do not show (recipe " in missing_of(rows, hidden)[0][2]


def test_a_score_under_another_protocol_is_missing():
    rows = [make_row(seed=s) for s in range(3)]
    after = [make_row(seed=s, n_real=50) for s in range(3)]
    assert "under other settings of this score" in missing_of(rows, after)[0][2]


def test_scores_that_the_baseline_does_not_have_are_told(tmp_path, baseline):
    rows = [*table_rows(seeds=(7,)), make_row(objective="iwae", seed=7)]
    outcome = check(tmp_path, baseline, rows)
    assert not outcome.is_regression
    text = render_outcome(outcome)
    assert "1 scores are not in the baseline, so not compared: fashion-mini iwae d = 16" in text


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
        assert [change.sight.name.split()[1] for change in outcome.worse] == ["floor"]


@pytest.mark.parametrize("update", [True, False])
def test_a_baseline_that_can_detect_nothing_is_refused(tmp_path, baseline, capsys, update):
    rows = table_rows(seeds=(0,))
    write_runs(tmp_path / "new", rows, arrays=False, log=False)
    write_results(baseline / "results.csv", frame(rows))
    words = ["check", str(tmp_path / "new"), "--against", str(baseline)]
    assert main([*words, *(["--update", "--reason", "x"] if update else [])]) == 2
    said = capsys.readouterr()
    assert "can detect no change of a trained score" in said.err and "seeds 0,1,2,3" in said.err
    assert said.out == ""


def test_what_a_baseline_sees_is_said_when_it_is_written_and_before_it_is_used(tmp_path, capsys):
    write_runs(tmp_path / "first", table_rows(seeds=range(5)), arrays=False, log=False)
    words = ["check", str(tmp_path / "first"), "--against", str(tmp_path / "baseline")]
    assert main([*words, "--update", "--reason", "x"]) == 0
    written = capsys.readouterr().out
    assert main(words) == 0
    used = capsys.readouterr().out
    for text in (written, used):
        assert "20 scores are compared over 5 seeds" in text and "takes about" in text
    assert used.index("What this check can see") < used.index("Regression check: passed")


def test_a_damaged_baseline_is_refused(tmp_path, baseline):
    table = baseline / "results.csv"
    table.write_text(table.read_text().replace(",rae-gp,", ",rae,", 1))
    with pytest.raises(UserError, match=r"is not whole: .*edited by hand"):
        check(tmp_path, baseline, table_rows(seeds=(7,)))


def test_a_baseline_of_another_suite_or_schema_is_refused(tmp_path, baseline):
    with pytest.raises(UserError, match=r"of other \(scale: small\), the baseline .* of quick"):
        check(tmp_path, baseline, [make_row(suite="other")])
    about = baseline / "baseline.json"
    about.write_text(about.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(UserError, match="has schema 9; this version reads 1"):
        read_pair(tmp_path / "new", baseline).check()


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


def test_compare_names_the_scores_of_which_both_have_no_seed(tmp_path):
    floor = make_row(objective="floor", backbone="", images="test", run="f" * 16)
    for name, seed in (("a", 0), ("b", 1)):
        rows = [floor, make_row(objective="vae", seed=seed)]
        write_runs(tmp_path / name, rows, arrays=False, log=False)
    table, notes = compare_results(tmp_path / "a", tmp_path / "b")
    assert [label for label, _ in table.lines] == ["floor unit"]
    assert notes == ["1 scores have no seed with a value in both, of vae."]

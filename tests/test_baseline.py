"""The committed baseline of the regression check: what it catches, and what it lets pass."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli.main import main
from aebench.bench.comparison.columns import comparable
from aebench.bench.data import fashion_mini as data_fashion_mini
from aebench.bench.data.dataset import Content, Part
from aebench.bench.evaluation import metric_lookup
from aebench.bench.records.results import KEY, read_results, records_of, write_results
from aebench.bench.regression import exact as check_exact
from aebench.bench.regression.check import read_pair
from aebench.bench.regression.exact import check_exact as first_layer
from aebench.bench.regression.trained import compare_trained
from aebench.bench.suites.suite import load_suite
from aebench.models.objectives.objective import OBJECTIVES

pytestmark = pytest.mark.sensitive
HERE = Path(__file__).parent
BASELINE = HERE / "baseline"
SUITE = BASELINE / "regression.toml"
RERUNS = HERE / "golden" / "regression_reruns.csv.gz"


@pytest.fixture(scope="module")
def baseline_rows():
    return read_results(BASELINE).rows


@pytest.fixture(scope="module")
def reruns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reruns")
    (folder / "results.csv").write_bytes(gzip.decompress(RERUNS.read_bytes()))
    results = read_results(folder)
    assert results.warnings == ()
    return results.rows


@pytest.fixture
def baseline_of(tmp_path, baseline_rows):
    """Returns a function that stores the baseline of one objective in one space alone."""

    def store(objective, space):
        shutil.copytree(BASELINE, tmp_path / "baseline")
        floor = baseline_rows["objective"] == "floor"
        own = (baseline_rows["objective"] == objective) & (baseline_rows["space"] == space)
        write_results(tmp_path / "baseline" / "results.csv", baseline_rows[floor | own])
        return tmp_path / "baseline"

    return store


def worse(before, after):
    return [
        change.sight.name for change in compare_trained(before, after).changes if change.is_worse
    ]


# What is stored


def test_the_baseline_is_small_and_has_every_run_of_its_suite(baseline_rows):
    assert sum(path.stat().st_size for path in BASELINE.iterdir()) < 1_500_000
    configs = load_suite(str(SUITE)).configs
    assert {config.digest for config in configs} <= set(baseline_rows["run"])
    assert len({config.seed for config in configs}) == 10
    assert set(baseline_rows["status"]) <= {"ok", "not applicable"}
    assert json.loads((BASELINE / "baseline.json").read_text())["history"][0]["reason"]


def test_the_stored_features_are_committed_and_cover_most_metrics():
    expected = json.loads((BASELINE / "expected.json").read_text())["metrics"]
    covered = {name.partition("/")[0] for name in expected}
    # Those of texts work on no features; their known answers are in test_metrics_texts.py.
    known = metric_lookup.metrics().values()
    of_features = [m for m in known if not metric_lookup.TEXTS & {*m.needs}]
    assert len(covered) >= 0.8 * len(of_features)
    assert np.isfinite(list(expected.values())).all()


# First layer


def test_nothing_differs_as_the_code_is():
    found = first_layer(BASELINE)
    assert found.broken == () and found.notes == () and found.checked > 20


def test_each_metric_that_is_off_by_one_per_cent_is_caught_and_named(monkeypatch):
    expected = json.loads((BASELINE / "expected.json").read_text())["metrics"]
    assert all(abs(value) > 1e-3 for value in expected.values())
    for spoilt in sorted({name.partition("/")[0] for name in expected}):
        changed = {n: v * (1.01 if n.startswith(f"{spoilt}/") else 1) for n, v in expected.items()}
        monkeypatch.setattr(check_exact, "metric_values", lambda arrays, found=changed: found)
        broken = {name for name, _, _ in first_layer(BASELINE).broken}
        assert broken == {f"metric {n}" for n in expected if n.startswith(f"{spoilt}/")}


@pytest.mark.parametrize("name", ["frechet", "kernel", "reconstruction"])
def test_an_implementation_that_is_off_by_one_per_cent_is_caught(name, monkeypatch):
    metric = metric_lookup.metrics()[name]

    @functools.wraps(metric.function)
    def off(**outputs):
        scores = metric.function(**outputs)
        return {k: 1.01 * float(getattr(v, "value", v)) for k, v in scores.items()}

    replace_function(monkeypatch, metric, off)
    broken = [found for found, _, _ in first_layer(BASELINE).broken]
    assert broken and all(found.startswith(f"metric {name}/") for found in broken)


def test_precision_and_recall_that_are_swapped_are_caught(monkeypatch):
    metric = metric_lookup.metrics()["precision-recall"]

    def swapped(*, real, generated):
        return metric.function(real=generated, generated=real)

    replace_function(monkeypatch, metric, swapped)
    broken = {found for found, _, _ in first_layer(BASELINE).broken}
    assert broken == {f"metric precision-recall/{name}" for name in ("precision", "recall")}


def test_a_split_that_holds_out_other_images_is_caught(monkeypatch):
    read = data_fashion_mini.FashionMini.read

    def moved(self):
        content = read(self)
        order = np.roll(np.arange(len(content.train.images)), 1)
        images, labels = content.train.images[order], content.train.labels[order]
        return dataclasses.replace(content, train=Part(images, labels))

    assert isinstance(read(data_fashion_mini.FashionMini()), Content)
    monkeypatch.setattr(data_fashion_mini.FashionMini, "read", moved)
    broken = [found for found, _, _ in first_layer(BASELINE).broken]
    assert broken == ["data split fashion-mini/default"]


def replace_function(monkeypatch, metric, function):
    known = metric_lookup.metrics()
    spoilt = dataclasses.replace(metric, function=function)
    monkeypatch.setattr(metric_lookup, "metrics", lambda: {**known, metric.name: spoilt})


# Second layer


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("wae-mmd", "divergence"),
        pytest.param("vae", "distortion", marks=pytest.mark.long),
    ],
)
def test_an_objective_with_a_wrong_sign_on_one_term_is_caught(
    name, term, tmp_path, monkeypatch, baseline_of
):
    kind = OBJECTIVES.get(name)

    class WrongSign(kind):
        spaces = ("unit",)

        def terms(self, x, generator):
            found = super().terms(x, generator)
            return {**found, term: -found[term]}

    monkeypatch.setitem(OBJECTIVES._entries, name, WrongSign)
    arguments = ["--only", f"objective={name}", "space=", "--seeds", "0,1", "--workers", "1"]
    out, baseline = tmp_path / "out", baseline_of(name, "unit")
    assert main(["run", str(SUITE), *arguments, "--out", str(out), "--quiet"]) == 0
    outcome = read_pair(out, baseline).check()
    assert outcome.is_regression and outcome.exact.broken == ()
    assert outcome.worse
    # A ruined model may lose the trust in its likelihood, too; no other score is missing.
    lost = {(missing.score, missing.why.partition(" (")[0]) for missing in outcome.trained.missing}
    untrusted = "an estimate that is not trusted"
    assert lost <= {("test bits_per_dim", untrusted), ("test log_prob", untrusted)}
    assert main(["check", str(out), "--against", str(baseline)]) == 1


@pytest.mark.long
def test_the_same_objectives_trained_as_they_are_raise_no_alarm(tmp_path, capsys, baseline_of):
    arguments = ["--only", "objective=wae-mmd", "--seeds", "3,200", "--workers", "1"]
    out, baseline = tmp_path / "out", baseline_of("wae-mmd", "unit")
    assert main(["run", str(SUITE), *arguments, "--out", str(out), "--quiet"]) == 0
    assert main(["check", str(out), "--against", str(baseline)]) == 0
    assert "Regression check: passed" in capsys.readouterr().out
    assert main(["check", str(out), "--against", str(BASELINE)]) == 1
    assert "scores are missing" in capsys.readouterr().out


@pytest.fixture(scope="module")
def shortened(tmp_path_factory):
    """The folder of two autoencoders that were trained for a tenth of the steps."""
    out = tmp_path_factory.mktemp("shortened")
    arguments = ["--only", "objective=ae", "--seeds", "0,1", "--workers", "1"]
    arguments += ["--set", "training.steps=15", "training.validate_every=15"]
    assert main(["run", str(SUITE), *arguments, "--out", str(out), "--quiet"]) == 0
    return out


def test_a_tenth_of_the_steps_is_another_recipe(shortened, capsys, baseline_of):
    assert main(["check", str(shortened), "--against", str(baseline_of("ae", "unit"))]) == 1
    assert "the baseline was trained for 150 steps, here 15" in capsys.readouterr().out


def test_a_tenth_of_the_steps_under_the_same_recipe_is_found_from_two_seeds(
    shortened, baseline_rows
):
    after = read_results(shortened).rows
    before = baseline_rows[(baseline_rows["objective"] == "ae") & (baseline_rows["seed"] < 2)]
    after = after[after["objective"] == "ae"].assign(recipe=before["recipe"].iloc[0])
    found = worse(before, after)
    assert "fashion-mini ae d = 8 test mse" in found and len(found) >= 5


def test_twenty_real_reruns_with_other_seeds_raise_no_alarm(baseline_rows, reruns):
    seeds = sorted(set(reruns["seed"]) - {0})
    assert len(seeds) == 20 and not set(seeds) & set(baseline_rows["seed"])
    for seed in seeds:
        own = reruns[reruns["seed"].isin([seed, 0])]
        assert own.groupby(["objective", "space"]).ngroups >= 4
        assert worse(baseline_rows, own) == [], seed


def test_leaving_a_seed_out_of_the_baseline_raises_no_alarm(baseline_rows):
    trained = baseline_rows[baseline_rows["objective"] != "floor"]
    for seed in (0, 4, 9):
        before, after = trained[trained["seed"] != seed], trained[trained["seed"] == seed]
        assert worse(before, after) == [], seed


@pytest.mark.parametrize("count", [2, 3, 5])
def test_few_seeds_of_the_baseline_raise_no_alarm_over_the_others(baseline_rows, count):
    trained = baseline_rows[baseline_rows["objective"] != "floor"]
    for start in (0, 5):
        chosen = [(start + step) % 10 for step in range(count)]
        before, after = (trained[trained["seed"].isin(chosen) == own] for own in (True, False))
        assert worse(before, after) == [], chosen


def test_a_seed_of_the_baseline_is_compared_with_itself_alone(baseline_rows):
    far = baseline_rows["seed"] == 7
    rows = baseline_rows.copy()
    change = np.where(rows["better"] == "lower", 1.0, -1.0) * 100 * rows["value"].abs()
    rows.loc[far, "value"] = rows["value"] + change
    assert worse(rows, rows[far]) == []


def test_no_diagnostic_of_an_estimate_is_stored_or_tested(baseline_rows):
    assert comparable(baseline_rows).all()
    rows = baseline_rows.head(3).assign(metric=["ess_median", "log_prob_gain", "proposal_scale"])
    assert not comparable(rows).any()


def test_rows_of_a_folder_are_stored_without_loss(baseline_rows, tmp_path):
    for name in ("results.csv", "results.csv.sha256"):
        shutil.copy(BASELINE / name, tmp_path / name)
    again = read_results(tmp_path)
    assert again.warnings == () and records_of(again.rows) == records_of(baseline_rows)
    assert not again.rows.duplicated(list(KEY)).any()

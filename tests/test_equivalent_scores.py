"""Evaluation code that gives the same scores is recorded as equivalent, and no other."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from aebench.bench.cli.main import main
from aebench.bench.evaluation import evaluation
from aebench.bench.pages import report
from aebench.bench.pages.report import build_report
from aebench.bench.records import code, equivalence
from aebench.bench.records.results import read_results, records_of
from aebench.bench.records.trainings import read_trainings
from aebench.bench.regression import exact
from aebench.bench.regression.check import update_baseline

SUITE = """
title = "Study"
[training]
steps = 4
batch_size = 20
train_images = 100
validate_every = 4
[evaluation]
metrics = ["reconstruction", "frechet"]
features = ["pixels"]
densities = ["prior", "gaussian"]
images = 20
sheet_images = 4
likelihood_images = 3
likelihood_samples = 4
likelihood_validation_images = 8
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 2
objective = ["ae", "vae"]
"""
METRIC = "aebench.metrics.frechet"
parse = code._read.__wrapped__


@pytest.fixture(autouse=True)
def own_record(tmp_path, monkeypatch):
    monkeypatch.setattr(equivalence, "FILE", tmp_path / "equivalent.json")
    equivalence.forget()
    yield tmp_path / "equivalent.json"
    equivalence.forget()


def plant(patch: pytest.MonkeyPatch, module: str = METRIC, line: str = "ADDED = 1") -> None:
    """Adds a line that changes nothing to the source of a module; the others stay as read."""
    source_of, read = code.source_of, code._read
    patch.setattr(
        code, "source_of", lambda name: source_of(name) + (f"\n{line}\n" if name == module else "")
    )
    patch.setattr(code, "_read", lambda name: (parse if name == module else read)(name))


@pytest.fixture
def planted():
    """Returns a function that plants a change in a module's code until the test ends."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda *given: plant(patch, *given)


def train(folder, out: str, suite: str = SUITE) -> int:
    (folder / "study.toml").write_text(suite)
    given = ["run", str(folder / "study.toml"), "--out", str(folder / out)]
    return main([*given, "--device", "cpu", "--workers", "1", "--quiet"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Returns a folder with ``old``, a study and its report, and ``new``, by changed code."""
    folder = tmp_path_factory.mktemp("equivalent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equivalence, "FILE", folder / "none.json")
        patch.setattr(report, "write_figures", lambda rows, runs, folder: [])
        assert train(folder, "old") == 0
        build_report(folder / "old")
        plant(patch)
        assert train(folder, "new") == 0
    return folder


@pytest.fixture
def clone(folders, tmp_path):
    """Returns the committed part of the old study, without its runs."""
    own = shutil.ignore_patterns("runs")
    return shutil.copytree(folders / "old", tmp_path / "out", ignore=own)


@pytest.fixture
def go_on(clone, aebench, tmp_path):
    """Returns a function that runs the study in the clone."""

    def run(suite: str = SUITE) -> str:
        (tmp_path / "study.toml").write_text(suite)
        return aebench(str(tmp_path / "study.toml"), out=clone)[1]

    return run


def record(folder, baseline) -> int:
    return main(["check", str(folder), "--against", str(baseline), "--equivalent"])


def entries(path) -> list[dict]:
    found = json.loads(path.read_text())
    return [entry for whole in found for entry in whole["evaluations"]]


def edit(path, change) -> None:
    """Changes what each entry of the record says was compared."""
    found = json.loads(path.read_text())
    for whole in found:
        for entry in whole["evaluations"]:
            change(entry["compared"])
    path.write_text(json.dumps(found))
    equivalence.forget()


def test_a_changed_metric_that_scores_the_same_is_recorded_and_its_runs_are_known_again(
    folders, clone, go_on, planted, own_record, capsys
):
    assert "2 known by their rows" in go_on()
    planted()
    assert "2 stale (needs their weights)" in go_on()
    assert record(folders / "new", folders / "old") == 0
    assert "(evaluation)" in capsys.readouterr().out
    told = go_on()
    assert "2 known by their rows" in told and not (clone / "runs").exists()
    # Runs with likelihoods, floor, blur and noise; training code is the same.
    assert json.loads(own_record.read_text())[0]["codes"] == []
    assert len(entries(own_record)) == len({*map(str, entries(own_record))}) >= 2


def test_the_evidence_says_what_was_compared(folders, own_record):
    assert record(folders / "new", folders / "old") == 0
    found = {images: own for e in entries(own_record) for images, own in e["compared"].items()}
    (scored,) = [e["compared"] for e in entries(own_record) if "sample" in e["compared"]]
    assert scored["sample"]["density"] == ["gaussian", "prior"]
    assert scored["sample"]["ok"] == ["fd"]
    assert scored["sample"]["features"][0].startswith("pixels:")
    assert {"mse", "bits_per_dim", "log_prob"} <= {*scored["test"]["ok"]}
    assert scored["test"]["model"] == ["", "completed", "native"]
    assert "lower bound" in scored["test"]["kind"]
    assert found["interpolation"]["interpolation"] == ["spherical"]
    (entry,) = json.loads(own_record.read_text())
    rows = records_of(read_results(folders / "old").rows)
    assert entry["scores"] == sum(e["rows"] for e in entries(own_record)) == len(rows)


def test_what_is_on_record_adds_nothing(folders, own_record, capsys):
    assert record(folders / "new", folders / "old") == 0
    before = own_record.read_bytes()
    assert record(folders / "new", folders / "old") == 0
    assert own_record.read_bytes() == before
    assert "nothing was added" in capsys.readouterr().out


def test_rows_that_the_new_folder_has_more_do_no_harm(folders, tmp_path, planted, own_record):
    planted()
    more = SUITE.replace('"frechet"]', '"frechet", "kernel"]')
    shutil.copytree(folders / "new", tmp_path / "new")
    assert train(tmp_path, "new", more) == 0
    assert record(tmp_path / "new", folders / "old") == 0
    assert all(
        "kid" not in own["ok"] for e in entries(own_record) for own in e["compared"].values()
    )


def test_a_score_that_moved_is_named_and_nothing_is_recorded(
    folders, tmp_path, planted, monkeypatch, own_record, capsys
):
    own = evaluation.compute_scores

    def moved(metric, outputs):
        scores = {score.metric: score for score in own(metric, outputs)}
        if "sse" in scores:
            scores["sse"] = dataclasses.replace(scores["sse"], value=scores["sse"].value + 1e-12)
        return list(scores.values())

    monkeypatch.setattr(evaluation, "compute_scores", moved)
    planted(METRIC, "ADDED = 2")
    shutil.copytree(folders / "new", tmp_path / "new")
    assert train(tmp_path, "new") == 0
    capsys.readouterr()
    assert record(tmp_path / "new", folders / "old") == 1
    told = capsys.readouterr().err.strip()
    assert "\n" not in told and "Nothing was recorded: 'digits ae d = 2 test sse' (run " in told
    assert "differs in value: " in told and not own_record.exists()


def forget_metric(compared):
    compared["sample"]["ok"].remove("fd")


def forget_density(compared):
    compared["sample"]["density"].remove("gaussian")


def forget_features(compared):
    compared["reconstruction"]["features"] = []


def forget_kind(compared):
    compared["test"]["kind"].remove("lower bound")


def forget_interpolation(compared):
    compared["interpolation"]["interpolation"] = ["linear"]


def forget_images(compared):
    del compared["interpolation"]


FORGOTTEN = (forget_metric, forget_density, forget_features, forget_kind, forget_interpolation)


@pytest.mark.parametrize("change", [*FORGOTTEN, forget_images])
def test_a_run_scored_in_a_way_that_was_not_compared_stays_stale(
    folders, go_on, planted, own_record, change
):
    assert record(folders / "new", folders / "old") == 0
    planted()
    edit(own_record, lambda compared: change(compared) if "sample" in compared else None)
    assert "known by its rows, 1 stale" in go_on() or "2 stale" in go_on()


def test_references_scored_by_equivalent_code_are_not_scored_again(folders, clone, go_on, planted):
    more = SUITE.replace('"vae"]', '"vae", "rae-l2"]')
    assert record(folders / "new", folders / "old") == 0
    planted()
    assert "2 known by their rows, 1 trained" in go_on(more)
    assert len(list((clone / "runs").iterdir())) == 1


def test_an_evaluation_that_asks_for_more_than_the_rows_stays_stale(folders, go_on, planted):
    assert record(folders / "new", folders / "old") == 0
    planted()
    assert "2 stale" in go_on(SUITE.replace('"frechet"]', '"frechet", "kernel"]'))
    assert "2 stale" in go_on(SUITE.replace('"gaussian"]', '"gaussian", "gmm-10"]'))


def test_where_the_weights_are_nothing_is_scored_again_by_equivalent_code(
    folders, tmp_path, planted, aebench, monkeypatch
):
    shutil.copytree(folders / "old", tmp_path / "out")
    (tmp_path / "study.toml").write_text(SUITE)
    assert record(folders / "new", folders / "old") == 0
    planted()
    scored: list[str] = []
    own = evaluation.Evaluator.compute
    monkeypatch.setattr(
        evaluation.Evaluator,
        "compute",
        lambda self, item: scored.append(item.key) or own(self, item),
    )
    before = records_of(read_results(tmp_path / "out").rows)
    assert "2 evaluated" in aebench(str(tmp_path / "study.toml"))[1]
    assert scored == [] and records_of(read_results(tmp_path / "out").rows) == before
    today = {e["evaluation"]["code"] for e in read_trainings(tmp_path / "out").values()}
    assert today == {e["evaluation"]["code"] for e in read_trainings(folders / "new").values()}
    planted(METRIC, "ADDED = 2")
    assert "2 evaluated" in aebench(str(tmp_path / "study.toml"))[1] and scored


def test_a_stored_baseline_keeps_which_code_scored_it(folders, tmp_path, monkeypatch, own_record):
    monkeypatch.setattr(exact, "metric_values", lambda arrays: {})
    monkeypatch.setattr(exact, "split_digests", lambda names: ({}, []))
    monkeypatch.setattr("aebench.bench.regression.check.check_sight", lambda rows, what: None)
    update_baseline(folders / "old", tmp_path / "baseline", "the first one")
    assert record(folders / "new", tmp_path / "baseline") == 0
    pairs = {tuple(e["codes"]) for e in entries(own_record)}
    assert len(pairs) >= 2 and all(one != other for one, other in pairs)


BROKEN = (
    '{"codes": [], "evaluations": [{"codes": ["a"], "compared": {}}]}',
    '{"codes": [], "evaluations": [{"codes": ["a", "b"]}]}',
    '{"codes": [], "evaluations": [{"codes": ["a", "b"], "compared": {"test": {"ok": "fd"}}}]}',
    '{"codes": [], "evaluations": [{"codes": ["a", "b"], "compared": ["fd"]}]}',
    '{"codes": [["a", 1]]}',
    '{"codes": [], "evaluations": 3}',
    '{"codes": []',
)


@pytest.mark.parametrize("text", BROKEN)
def test_a_damaged_record_is_refused_in_one_line(
    folders, go_on, planted, own_record, capsys, text
):
    own_record.write_text(f"[{text}]")
    assert record(folders / "new", folders / "old") == 2
    told = capsys.readouterr().err.strip()
    assert "is damaged" in told and "restore it" in told and "\n" not in told
    assert own_record.read_text() == f"[{text}]"
    planted()
    told = [line for line in go_on().splitlines() if "is damaged" in line]
    assert len(told) == 1 and "restore it" in told[0]

"""Code that trains the same bits is recorded as equivalent, and what the record says of scores."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.errors import RunFailed
from aebench.bench.evaluation.record import EvaluationRecord
from aebench.bench.records import equivalence
from aebench.bench.records.equivalence import same_scores, same_training_code
from aebench.bench.regression import exact
from aebench.bench.regression.check import update_baseline
from aebench.bench.regression.same_scores import check_same_scores

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
table_rows, write_runs = FACTORY["table_rows"], FACTORY["write_runs"]
make_row = FACTORY["make_row"]


@pytest.fixture(autouse=True)
def own_record(tmp_path, monkeypatch):
    monkeypatch.setattr(equivalence, "FILE", tmp_path / "equivalent.json")
    monkeypatch.setattr(exact, "metric_values", lambda arrays: {})
    monkeypatch.setattr(exact, "split_digests", lambda names: ({}, []))
    equivalence.forget()
    yield tmp_path / "equivalent.json"
    equivalence.forget()


def trained(folder: Path, code: str, objectives=("ae", "vae"), **changes: str) -> Path:
    """Writes whole runs whose weights depend on run and seed alone."""
    rows = table_rows(objectives=objectives, seeds=(0, 1))
    write_runs(folder, rows, arrays=False, log=False)
    for row in rows:
        path = folder / "runs" / row["run"] / "result.json"
        origin = {"data": "d", "structure": "s", "weights": f"w{row['run']}"} | changes
        origin["training_code"] = f"2-{row['objective']}-{code}"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"origin": origin}))
    return folder


@pytest.fixture
def baseline(tmp_path):
    update_baseline(trained(tmp_path / "first", "old"), tmp_path / "baseline", "the first one")
    return tmp_path / "baseline"


def record(folder: Path, baseline: Path) -> int:
    return main(["check", str(folder), "--against", str(baseline), "--equivalent"])


def test_code_that_trains_the_same_bits_is_recorded_with_its_evidence(
    tmp_path, baseline, own_record, capsys
):
    assert not same_training_code("2-ae-old", "2-ae-new")
    assert record(trained(tmp_path / "new", "new"), baseline) == 0
    assert same_training_code("2-ae-old", "2-ae-new")
    assert same_training_code("2-vae-new", "2-vae-old")
    assert not same_training_code("2-ae-old", "2-vae-old")
    assert "2-ae-old = 2-ae-new" in capsys.readouterr().out
    (entry,) = json.loads(own_record.read_text())
    assert entry["codes"] == [["2-ae-old", "2-ae-new"], ["2-vae-old", "2-vae-new"]]
    assert entry["trainings"] == 4 and entry["commits"] == [["0123456"], ["0123456"]]
    assert entry["versions"] and entry["devices"] and entry["date"]


def test_what_is_recorded_already_adds_nothing(tmp_path, baseline, own_record, capsys):
    assert record(trained(tmp_path / "same", "old"), baseline) == 0
    assert not own_record.exists() and "nothing was added" in capsys.readouterr().out
    folder = trained(tmp_path / "new", "new")
    assert record(folder, baseline) == record(folder, baseline) == 0
    assert len(json.loads(own_record.read_text())) == 1


def test_a_chain_of_equivalent_codes_holds_over_its_ends(tmp_path, baseline):
    assert record(trained(tmp_path / "mid", "mid"), baseline) == 0
    update_baseline(tmp_path / "mid", baseline, "the middle one")
    assert record(trained(tmp_path / "new", "new"), baseline) == 0
    assert same_training_code("2-ae-old", "2-ae-new")
    assert not same_training_code("2-ae-old", "2-ae-other")


@pytest.mark.parametrize("what", ["weights", "data", "structure"])
def test_a_training_that_differs_is_refused_in_one_line(tmp_path, baseline, what, capsys):
    assert record(trained(tmp_path / "new", "new", **{what: "other"}), baseline) == 1
    told = capsys.readouterr().err.strip()
    assert f"differs in {what}." in told and "\n" not in told
    assert not same_training_code("2-ae-old", "2-ae-new")


def test_a_training_that_was_not_compared_is_refused(tmp_path, baseline, own_record, capsys):
    assert record(trained(tmp_path / "new", "new", objectives=("ae",)), baseline) == 1
    assert "the training of 'vae'" in capsys.readouterr().err and not own_record.exists()


def test_a_baseline_without_a_record_of_its_trainings_is_refused(tmp_path, baseline, capsys):
    (baseline / "trainings.json").unlink()
    assert record(trained(tmp_path / "new", "new"), baseline) == 2
    assert "does not say what its rows were made from" in capsys.readouterr().err


def test_a_record_that_was_cut_short_is_refused_and_kept(tmp_path, baseline, own_record, capsys):
    own_record.write_text('[{"codes": [["2-a')
    assert record(trained(tmp_path / "new", "new"), baseline) == 2
    assert "is damaged" in capsys.readouterr().err
    assert own_record.read_text() == '[{"codes": [["2-a'


def test_a_run_of_equivalent_code_is_complete_and_of_no_other(suite_file, aebench, monkeypatch):
    from aebench.bench.runs import runner

    suite = suite_file(('["ae", "vae"]', '"ae"'))
    monkeypatch.setattr(runner, "training_code", lambda *parts: "2-old")
    assert "1 trained" in aebench(suite)[1]
    monkeypatch.setattr(runner, "training_code", lambda *parts: "2-new")
    assert "1 stale" in aebench(suite)[1]
    equivalence.FILE.write_text(json.dumps([{"codes": [["2-mid", "2-new"], ["2-old", "2-mid"]]}]))
    equivalence.forget()
    assert "1 complete" in aebench(suite)[1]


def test_the_record_of_this_package_can_be_read():
    import importlib.resources

    found = importlib.resources.files("aebench.bench.records") / "assets" / "equivalent.json"
    for entry in json.loads(found.read_text()):
        assert (entry["codes"] or entry["evaluations"]) and entry["compared"]
        assert entry["trainings"] and all(e["compared"] for e in entry.get("evaluations", []))


OTHER = {"value": 0.1 + 0.2, "stderr": 0.5, "status": "failed", "trusted": "no", "reason": "why"}


@pytest.mark.parametrize("column", OTHER)
def test_whatever_a_row_says_of_its_score_has_to_be_the_same(column):
    row = make_row(value=0.3)
    check_same_scores([row], [make_row(value=1.0, density="prior"), row | {"date": "later"}])
    with pytest.raises(RunFailed, match=f"differs in {column}: "):
        check_same_scores([row], [row | {column: OTHER[column]}])


@pytest.mark.parametrize("column", ["kind", "density", "metric", "features", "n_generated"])
def test_a_score_that_was_not_computed_is_named(column):
    row = make_row()
    other = 7 if column == "n_generated" else "other"
    with pytest.raises(RunFailed, match=r"'fashion-mini ae d = 16 reconstruction fd' .* was not"):
        check_same_scores([row], [row | {column: other}])


def chain(path, *steps: dict[str, list[str]]) -> None:
    codes = [["a", "b"], ["c", "b"], ["c", "d"]]
    found = [
        {"codes": pair, "compared": {"test": {"density": [""], "features": [""]} | step}}
        for pair, step in zip(codes, steps, strict=False)
    ]
    path.write_text(json.dumps([{"codes": [], "evaluations": found}]))
    equivalence.forget()


def test_a_chain_holds_for_what_every_step_compared(own_record):
    rest = {"kind": [""], "model": ["", "native"]}
    row = {"images": "test", "density": "", "features": "", "kind": "", "model": "native"}
    mse, sse = (row | {"metric": name, "status": "ok"} for name in ("mse", "sse"))
    chain(
        own_record, rest | {"ok": ["mse", "sse"]}, rest | {"ok": ["mse"]}, rest | {"ok": ["mse"]}
    )
    assert same_scores("a", "d", [mse], {}) and same_scores("d", "a", [mse], {})
    assert same_scores("a", "b", [mse, sse], {})
    assert not same_scores("a", "d", [mse, sse], {}) and not same_scores("a", "c", [sse], {})
    assert not same_scores("a", "e", [mse], {}) and not same_scores("a", "b", [], {})
    assert not same_scores("a", "b", [mse], {"interpolation": "linear"})
    assert not same_scores("a", "b", [mse | {"status": "not applicable"}], {})


def test_items_that_were_not_compared_are_scored_again(tmp_path, own_record):
    row = {"images": "test", "density": "", "features": "", "kind": "", "model": ""}
    rows = {n: [row | {"metric": n, "status": "ok"}] for n in ("mse", "sse")}
    now = {"code": "b", "data": "d", "settings": {}, "weights": "w"}
    made = EvaluationRecord(tmp_path / "evaluation.json", now | {"code": "a"})
    for name, own in rows.items():
        made.rows(name, lambda own=own: own)
    assert EvaluationRecord(made.path, now).items == {}
    chain(own_record, {"kind": [""], "model": [""], "ok": ["mse"]})
    assert EvaluationRecord(made.path, now).items == {"mse": rows["mse"]}
    assert EvaluationRecord(made.path, now | {"weights": "other"}).items == {}
    assert EvaluationRecord(made.path, now | {"code": "a"}).items == rows

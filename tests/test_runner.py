from __future__ import annotations

import dataclasses
import errno
import itertools
import json

import pytest
from aebench.bench import interruption
from aebench.bench.evaluation import identity as evaluation_identity
from aebench.bench.evaluation.evaluation import Evaluator
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.records.figure_file import FigureFile
from aebench.bench.runs import runner
from aebench.bench.suites.suite import load_suite
from aebench.bench.training.state import TrainingLog
from aebench.bench.training.trainer import Trainer

ONE = ('["ae", "vae"]', '"ae"')


def _only_run(out):
    (folder,) = [p for p in (out / "runs").iterdir() if not p.name.startswith("floor")]
    return folder


def _files(folder):
    kept = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in kept}


@pytest.fixture
def finished(suite_file, aebench, tmp_path, monkeypatch):
    """Returns suite, folder of results and folder of its one run, whole."""
    monkeypatch.setenv("AEBENCH_SAVE_SECONDS", "0")
    suite = suite_file(ONE)
    assert aebench(suite)[0] == 0
    return suite, tmp_path / "out", _only_run(tmp_path / "out")


def test_a_run_leaves_what_the_contract_says(finished):
    names = {p.name for p in finished[2].iterdir()}
    wanted = {"config.json", "log.jsonl", "checkpoint.safetensors", "result.json", "samples.png"}
    assert wanted <= names
    assert not {n for n in names if n.startswith("state") or n.endswith(".part")}


def test_the_second_run_trains_nothing_and_changes_no_file(finished, aebench):
    suite, out, _ = finished
    before = _files(out)
    code, told = aebench(suite)
    assert code == 0 and "1 complete" in told
    assert _files(out) == before


def test_the_same_seed_gives_the_same_rows_and_another_seed_does_not(
    finished, aebench, tmp_path, rows_in
):
    suite, out, _ = finished
    aebench(suite, out=tmp_path / "again")
    assert rows_in(out) == rows_in(tmp_path / "again")
    aebench(suite, "--seeds", "1", out=tmp_path / "other")
    values = [[r["value"] for r in _rows(p)] for p in (out, tmp_path / "other")]
    assert len(values[0]) == len(values[1]) and values[0] != values[1]


def _rows(out):
    return json.loads((_only_run(out) / "result.json").read_text())["rows"]


@pytest.fixture
def computed(monkeypatch):
    """Returns a list of what is scored from now on: kind of evaluator, metric, images, density."""
    found, compute = [], Evaluator.compute

    def noted(self, item):
        found.append((type(self).__name__, item.metric, item.images, item.density))
        return compute(self, item)

    monkeypatch.setattr(Evaluator, "compute", noted)
    return found


def test_a_new_density_or_metric_computes_only_what_is_missing(
    finished, aebench, suite_file, computed
):
    _, out, folder = finished
    trained = _files(folder)["checkpoint.safetensors"]
    old = {(r["metric"], r["images"], r["density"]): r for r in _rows(out)}
    more = suite_file(
        ONE, ('["reconstruction"]', '["reconstruction", "frechet"]'), ('["g', '["gmm-2", "g')
    )
    code, told = aebench(more)
    assert code == 0 and "1 evaluated" in told
    assert _files(folder)["checkpoint.safetensors"] == trained
    assert [item for kind, *item in computed if kind == "Evaluator"] == [
        ["frechet", "reconstruction", ""],
        ["frechet", "sample", "gmm-2"],
        ["frechet", "sample", "gaussian"],
        ["frechet", "interpolation", ""],
    ]
    new = {(r["metric"], r["images"], r["density"]): r for r in _rows(out)}
    assert old.items() <= new.items() and len(new) > len(old)


def test_more_pictures_are_made_without_training_or_scoring(
    finished, aebench, suite_file, computed
):
    import numpy as np

    _, out, folder = finished
    before, rows = _files(folder), _rows(out)
    aebench(suite_file(ONE, ("sheet_images = 4", "sheet_images = 6")))
    after = _files(folder)
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        assert len(arrays["test"]) == 6
    assert computed == [] and _rows(out) == rows
    trained = ("checkpoint.safetensors", "log.jsonl")
    assert [after[name] for name in trained] == [before[name] for name in trained]


def _another(monkeypatch, owner, name):
    digest = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given, **named: digest(*given, **named) + "x")


def test_a_change_of_evaluation_code_evaluates_again_from_the_checkpoint(
    finished, aebench, monkeypatch
):
    suite, _, folder = finished
    before = _files(folder)
    _another(monkeypatch, evaluation_identity, "evaluation_code")
    code, told = aebench(suite)
    assert code == 0 and "1 evaluated" in told
    after = _files(folder)
    assert after["checkpoint.safetensors"] == before["checkpoint.safetensors"]
    assert after["evaluation.json"] != before["evaluation.json"]


def test_a_change_of_training_code_makes_a_run_stale_until_it_is_trained_again(
    finished, aebench, monkeypatch
):
    suite, _, folder = finished
    before = _files(folder)
    _another(monkeypatch, runner, "training_code")
    code, told = aebench(suite)
    assert code == 0 and "1 stale" in told and "--rerun-stale trains them again" in told
    assert _files(folder) == before
    code, told = aebench(suite, "--rerun-stale")
    assert code == 0 and "1 trained" in told
    assert _files(folder)["checkpoint.safetensors"] != before["checkpoint.safetensors"]
    assert "1 complete" in aebench(suite, "--rerun-stale")[1]


def test_a_half_done_training_of_a_stale_run_waits_and_its_rows_keep_their_curves(
    finished, aebench, monkeypatch
):
    suite, out, folder = finished
    (committed,) = FigureFile(out, []).gather([folder.name])
    curves = committed.read_bytes()
    _another(monkeypatch, runner, "training_code")
    with monkeypatch.context() as stopping:
        stopping.setattr(TrainingLog, "sync", lambda log: interruption._REQUESTED.set())
        assert "Stopped. 0 of 1 runs" in aebench(suite, "--rerun-stale")[1]
    states = {name: own for name, own in _files(folder).items() if name.startswith("state")}
    assert states
    assert "1 stale" in aebench(suite)[1]
    assert states.items() <= _files(folder).items()
    (folder / "log.jsonl").write_text('{"step": 4, "distortion": 1.0}\n')
    FigureFile(out, []).gather([folder.name])
    assert committed.read_bytes() == curves


def test_another_data_file_than_the_run_was_trained_on_is_refused(finished, aebench, monkeypatch):
    suite, _, folder = finished
    before = _files(folder)
    data = runner.dataset("digits", "default")
    other = dataclasses.replace(data, validation=data.validation.flip(0))
    monkeypatch.setattr(runner, "dataset", lambda name, split: other)
    code, told = aebench(suite)
    assert code == 2 and "was trained on another data than is here now" in told
    assert _files(folder) == before


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_told_and_trained_again(finished, aebench, rows_in, how, caplog):
    suite, out, folder = finished
    rows = rows_in(out)
    path = folder / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[100:]
    else:
        content[-1] ^= 1
    path.write_bytes(content)
    code, told = aebench(suite)
    assert code == 0 and "1 trained" in told
    assert str(path) in caplog.text and "trained again" in caplog.text
    assert rows_in(out) == rows


@pytest.mark.parametrize("name", ["evaluation.json", "densities.safetensors", "result.json"])
def test_a_damaged_file_of_the_evaluation_is_written_again(finished, aebench, rows_in, name):
    suite, out, folder = finished
    rows = rows_in(out)
    (folder / name).write_bytes(b'{"schema": 1, "rows": [')
    assert aebench(suite)[0] == 0
    assert rows_in(out) == rows
    assert "1 complete" in aebench(suite)[1]


def test_a_run_names_the_commit_of_before_its_training(suite_file, aebench, tmp_path, monkeypatch):
    commits, steps = [], []
    monkeypatch.setattr(runner, "commit", lambda: f"commit after {len(steps)} steps")
    step = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", lambda self: (steps.append(self), step(self)))
    assert aebench(suite_file(('["ae", "vae"]', '"ae"')))[0] == 0
    for path in (tmp_path / "out").glob("runs/*/checkpoint.safetensors"):
        commits.append(load_checkpoint(path)[1]["commit"])
    assert len(steps) == 8 and commits == ["commit after 0 steps"]


def test_a_diverging_run_is_recorded_with_term_and_step_and_the_suite_goes_on(
    suite_file, aebench, tmp_path, rows_in
):
    bad = "\n[[runs]]\ndataset = 'digits'\nbackbone = 'tiny'\nlatent_dim = 3\n"
    bad += "objective = 'ae'\ntraining = {learning_rate = 1e30}\n"
    suite = suite_file(('"vae"]\n', '"vae"]\n' + bad), ('["ae", ', "["))
    code, told = aebench(suite)
    assert code == 1 and "1 diverged, 1 trained" in told
    lost = [rows for rows in rows_in(tmp_path / "out").values() if rows[0]["status"] != "ok"]
    ((row,),) = lost
    assert row["value"] is None and row["objective"] == "ae"
    assert "Term 'distortion'" in row["reason"] and "at step " in row["reason"]
    before = _files(tmp_path / "out")
    code, told = aebench(suite)
    assert code == 1 and "1 complete, 1 diverged" in told
    assert _files(tmp_path / "out") == before


@pytest.mark.parametrize("file", ["checkpoint.safetensors", "result.json", "evaluation.json"])
def test_a_full_disk_is_one_line_that_names_the_run_and_the_next_run_goes_on(
    suite_file, aebench, tmp_path, monkeypatch, file, rows_in
):
    suite = suite_file(ONE)
    aebench(suite, out=tmp_path / "whole")
    from pathlib import Path

    replace = Path.replace

    def full(self, target):
        if Path(target).name == file and "floor" not in str(target):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    code, told = aebench(suite)
    assert code == 1 and "aebench: run 'ae digits d=3 s=0': No space left on device" in told
    assert not list(tmp_path.glob("out/runs/*/*.part"))
    monkeypatch.undo()
    assert aebench(suite)[0] == 0
    assert rows_in(tmp_path / "out") == rows_in(tmp_path / "whole")


def test_a_stop_between_scores_keeps_what_was_scored(suite_file, aebench, tmp_path, monkeypatch):
    suite = suite_file(ONE, ('["reconstruction"]', '["reconstruction", "frechet"]'))
    calls = itertools.count()
    compute = Evaluator.compute

    def stop_in_second(self, item):
        if next(calls) == 1:
            interruption._REQUESTED.set()
        return compute(self, item)

    monkeypatch.setattr(Evaluator, "compute", stop_in_second)
    code, told = aebench(suite)
    assert code == 1 and told.strip().count("\n") == 0 and "Stopped. 0 of 1 runs" in told
    record = json.loads((_only_run(tmp_path / "out") / "evaluation.json").read_text())
    assert len(record["items"]) == 1
    code, told = aebench(suite)
    assert code == 0 and "1 evaluated" in told


def test_leftovers_of_a_killed_writer_and_an_old_lock_are_no_obstacle(finished, aebench):
    from aebench.bench.files.storage import _host

    suite, _, folder = finished
    left = folder / f".result.json.{_host()}-{2**22 + 1}.abc.part"
    left.write_text("half")
    (folder / ".lock").write_text("4194305")
    assert aebench(suite)[0] == 0
    assert not left.exists()


def _floor(out):
    """Returns the file of the floor's rows, beside those of damaged images."""
    paths = list((out / "runs").glob("floor-*/result.json"))
    names = [json.loads(path.read_text())["rows"][0]["objective"] for path in paths]
    assert sorted(names) == ["blur", "floor", "noise"]
    return paths[names.index("floor")]


def test_the_floor_scores_real_images_against_real_images(suite_file, aebench, tmp_path):
    suite = suite_file(ONE, ('["reconstruction"]', '["frechet"]'))
    aebench(suite)
    path = _floor(tmp_path / "out")
    (row,) = [r for r in json.loads(path.read_text())["rows"] if r["metric"] == "fd"]
    assert row["status"] == "ok"
    data = runner.dataset("digits", "default")
    from aebench.metrics import frechet_distance

    real, held = (x[:20].flatten(1).float().numpy() / 255 for x in (data.test, data.validation))
    assert row["value"] == pytest.approx(frechet_distance(real=real, generated=held), rel=1e-3)
    before = path.stat().st_mtime_ns
    aebench(suite)
    assert path.stat().st_mtime_ns == before
    more = suite_file(ONE, ('["reconstruction"]', '["frechet", "prd"]'))
    aebench(more)
    path = _floor(tmp_path / "out")
    scores = {r["metric"] for r in json.loads(path.read_text())["rows"]}
    assert "fd" in scores and len(scores) > 1


def test_a_metric_that_cannot_be_computed_is_a_row_with_its_reason(
    suite_file, aebench, tmp_path, monkeypatch
):
    from aebench.bench.evaluation.outputs import Outputs

    def refuse(self, name):
        raise ValueError("the codes have no spread")

    monkeypatch.setattr(Outputs, "density", refuse)
    monkeypatch.setattr(Outputs, "sheet", lambda self: {})
    monkeypatch.setattr("aebench.bench.runs.runner.save_artefacts", lambda *arguments: None)
    assert aebench(suite_file(ONE, ('["reconstruction"]', '["frechet"]')))[0] == 0
    rows = {r["images"]: r for r in _rows(tmp_path / "out")}
    assert rows["sample"]["status"] == "failed"
    assert rows["sample"]["reason"] == "the codes have no spread"
    assert rows["reconstruction"]["status"] == "ok"


def test_requests_name_their_folder_by_the_digest_alone(suite_file, tmp_path):
    config = load_suite(suite_file()).configs[0]
    assert runner.Request(config, tmp_path).folder == tmp_path / "runs" / config.digest

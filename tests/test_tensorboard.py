"""TensorBoard as a tracker: its event files say what the logs and the rows say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aebench.bench.cli.main import main
from aebench.bench.runs import tensorboard
from aebench.bench.runs.dispatch import Done, Event
from aebench.bench.runs.request import Request
from aebench.bench.suites.suite import load_suite

SUITE = """
scale = "smoke"
dataset = "fashion-mini"
backbone = "mlp"
backbone_options = {hidden = 8, layers = 1}
latent_dim = 2
[training]
steps = 20
batch_size = 20
train_images = 60
[evaluation]
features = []
metrics = ["reconstruction"]
densities = []
images = 20
sheet_images = 2
[[runs]]
objective = "ae"
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


def scalars(folder):
    """Returns (step, value) of each tag, read by TensorBoard's own reader."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = accumulator.EventAccumulator(str(folder))
    reader.Reload()
    return {t: [(e.step, e.value) for e in reader.Scalars(t)] for t in reader.Tags()["scalars"]}


def logged(log):
    """Returns (step, value as float32) of each tag by the log itself."""
    found = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        step, split = entry.pop("step"), entry.pop("split")
        for name, value in entry.items():
            if value is not None:
                found.setdefault(f"{name}/{split}", []).append((step, float(np.float32(value))))
    return found


def test_event_files_hold_the_values_of_log_and_rows_and_the_run_is_as_without_them(
    suite, tmp_path
):
    pytest.importorskip("tensorboard")
    plain, out = tmp_path / "plain", tmp_path / "out"
    assert main(["run", str(suite), "--out", str(plain), "--quiet"]) == 0
    words = ["--out", str(out), "--quiet", "--track", "tensorboard"]
    assert main(["run", str(suite), *words]) == 0
    (events,), (run,) = (
        (out / "tensorboard").iterdir(),
        (p for p in (out / "runs").glob("[!.]*") if p.is_dir()),
    )
    found = scalars(events)
    scores = {tag: found.pop(tag) for tag in list(found) if tag.startswith("scores/")}
    assert found == logged(run / "log.jsonl")
    rows = json.loads((run / "result.json").read_text())["rows"]
    values = sorted(float(np.float32(r["value"])) for r in rows if r["value"] is not None)
    assert sorted(value for points in scores.values() for _, value in points) == values
    other = plain / "runs" / run.name
    assert (run / "log.jsonl").read_bytes() == (other / "log.jsonl").read_bytes()


def test_a_log_that_was_cut_back_and_went_on_leaves_no_point_twice(suite, tmp_path):
    pytest.importorskip("tensorboard")
    (config,) = load_suite(str(suite)).configs
    request = Request(config, tmp_path / "out")
    log = request.folder / "log.jsonl"
    log.parent.mkdir(parents=True)
    lines = [json.dumps({"step": s, "split": "train", "loss": s / 7}) + "\n" for s in range(4)]
    tracker = tensorboard.TensorBoard([request])
    for count, rest in ((2, ""), (4, '{"half'), (1, ""), (3, "")):
        log.write_text("".join(lines[:count]) + rest)
        tracker.listen(Event(config.digest, "training"))
    tracker.close()
    (events,) = (tmp_path / "out" / "tensorboard").iterdir()
    assert scalars(events) == logged(log)


def test_a_tracker_that_fails_is_told_once_and_never_raises(suite, tmp_path, monkeypatch, caplog):
    def broken(self):
        raise RuntimeError("no space for events")

    monkeypatch.setattr(tensorboard.Curves, "read", broken)
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: True)
    (config,) = load_suite(str(suite)).configs
    request = Request(config, tmp_path / "out")
    tracker = tensorboard.TensorBoard([request])
    for _ in range(3):
        tracker.listen(Event(config.digest, "training"))
    tracker.finish(Done(request, "trained"))
    tracker.close()
    assert caplog.text.count("no space for events") == 1


def test_a_missing_package_is_told_before_anything_is_written(
    suite, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    words = ["--out", str(tmp_path / "out"), "--quiet", "--track", "tensorboard"]
    assert main(["run", str(suite), *words]) == 2
    told = capsys.readouterr().err
    assert "pip install aebench[tensorboard]" in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()

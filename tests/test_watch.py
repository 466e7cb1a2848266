"""``aebench watch``: how runs stand, from the folder alone."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.cli.watch import spelt
from aebench.bench.files.checkpoint import save_checkpoint
from aebench.bench.files.locking import held, is_held
from aebench.bench.runs.asked import read_asked, write_asked
from aebench.bench.runs.folder import ResultsFolder, Standing
from aebench.bench.runs.time_left import seconds_left
from aebench.bench.suites.suite import load_suite

FACTORY = runpy.run_path(str(Path(__file__).parent / "row_factory.py"))
make_row, write_runs = FACTORY["make_row"], FACTORY["write_runs"]
RUNNING, DONE, LOST, FAILED, KNOWN, WAITING = (letter * 16 for letter in "abcdef")
HOLD = """
import sys
from pathlib import Path
from aebench.bench.files.locking import held
with held(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a run of each kind; the one in progress is at step 40 of 100."""
    rows = [
        make_row(run=DONE, seed=1, steps=100, train_seconds=50.0),
        make_row(run=LOST, seed=2, status="diverged", reason="Term 'rate' is nan at step 7."),
        make_row(run=FAILED, seed=3, status="failed", reason="its process died"),
    ]
    write_runs(tmp_path, rows, arrays=False)
    run = tmp_path / "runs" / RUNNING
    run.mkdir()
    config = {"objective": "vae", "dataset": "digits", "latent_dim": 2, "seed": 0}
    (run / "config.json").write_text(json.dumps({"config": config | {"training": {"steps": 100}}}))
    lines = [json.dumps({"step": step, "split": "validation"}) for step in (20, 40)]
    (run / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 6')
    (run / ".lock").touch()
    return tmp_path


def states(folder):
    return {run.run: run for run in ResultsFolder(folder).look().runs}


def test_a_run_is_running_while_another_process_holds_its_lock_and_stopped_once_that_is_killed(
    folder,
):
    run = folder / "runs" / RUNNING
    worker = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout.readline() == "True\n"
    seen = states(folder)
    worker.kill()
    worker.communicate()
    assert (seen[RUNNING].state, seen[RUNNING].stage) == ("running", "training")
    assert (seen[RUNNING].step, seen[RUNNING].steps) == (40, 100)
    assert seen[RUNNING].label == "vae digits d=2 s=0"
    assert states(folder)[RUNNING].state == "stopped"


def test_done_diverged_and_failed_runs_are_told_by_their_rows(folder):
    seen = states(folder)
    assert [seen[run].state for run in (DONE, LOST, FAILED)] == ["done", "diverged", "failed"]
    assert seen[LOST].reason == "Term 'rate' is nan at step 7."


def test_a_run_whose_rows_alone_are_here_is_done(folder):
    from aebench.bench.records.results import frame, write_results

    write_results(folder / "results.csv", frame([make_row(run=KNOWN)]))
    assert states(folder)[KNOWN].state == "done"


def test_a_done_run_that_is_trained_again_is_running(folder):
    run = folder / "runs" / DONE
    looked = ResultsFolder(folder)
    later = (run / "result.json").stat().st_mtime + 60
    (run / "config.json").write_text("{}")
    os.utime(run / "log.jsonl", (later, later))
    with held(run):
        assert {own.run: own.state for own in looked.look().runs}[DONE] == "running"
    assert {own.run: own.state for own in looked.look().runs}[DONE] == "done"


def test_to_watch_takes_no_lock_from_a_worker_and_leaves_the_folder_as_it_is(folder, capsys):
    def content():
        return {p: p.stat().st_mtime_ns for p in folder.rglob("*")}

    before = content()
    assert main(["watch", str(folder)]) == 0
    assert content() == before
    run = folder / "runs" / RUNNING
    assert is_held(run) is False
    with held(run) as mine:
        assert mine and is_held(run) is True


def test_runs_that_were_asked_for_and_not_begun_are_waiting(tmp_path):
    suite = load_suite("quick")
    one, other = suite.configs[:3], suite.configs[2:5]
    # Two commands on one folder leave two lists; the same command leaves the same one.
    assert write_asked(tmp_path, one) != write_asked(tmp_path, other)
    assert write_asked(tmp_path, one) == write_asked(tmp_path, one)
    seen = states(tmp_path)
    assert set(seen) == {config.digest for config in suite.configs[:5]}
    assert {own.state for own in seen.values()} == {"waiting"}
    first = suite.configs[0]
    assert seen[first.digest].label == first.label
    assert seen[first.digest].steps == first.training.steps


def test_a_damaged_list_is_named_and_not_believed(tmp_path):
    path = write_asked(tmp_path, load_suite("quick").configs[:2])
    path.write_text(path.read_text().replace("vae", "eav").replace("1000", "1001"))
    found, warnings = read_asked(tmp_path)
    assert found == {}
    assert str(path) in warnings[0]


def run_of(state, label="vae digits d=2 s=0", **others):
    return Standing(str(len(label)), label, state, **others)


def test_time_left_is_work_by_cost_of_a_step_over_the_runs_that_go_on():
    whole = run_of("done", steps=100, rate=0.5, scoring=10.0)
    going = [run_of("running", step=40, steps=100), run_of("running", steps=100, rate=2.0)]
    waiting = run_of("waiting", steps=100)
    # (60 * s + 10) + (100 * 2 + 10) + (100 * s + 10) with s = (0.5 + 2) / 2, by two workers.
    assert seconds_left([whole, *going, waiting]) == pytest.approx((85 + 210 + 135) / 2)
    # No sooner than the longest run.
    assert seconds_left([whole, *going]) == pytest.approx(210)
    other = run_of("done", "ae digits d=2 s=0", steps=100, rate=100.0, scoring=10.0)
    assert seconds_left([whole, other, going[0]]) == pytest.approx(60 * 0.5 + 10)


def test_time_left_is_unknown_without_a_worker_or_a_cost_and_nothing_once_all_have_ended():
    assert seconds_left([run_of("done", rate=1.0), run_of("waiting", steps=5)]) is None
    assert seconds_left([run_of("running", steps=5)]) is None
    assert seconds_left([run_of("begun", steps=5)]) is None
    assert seconds_left([run_of("done"), run_of("diverged")]) == 0.0


def test_the_cost_of_a_step_comes_from_the_saved_state_of_a_training(folder):
    state = {"step": 30, "seconds": 60.0, "names": []}
    save_checkpoint(folder / "runs" / RUNNING / "state.safetensors", {"w": torch.ones(3)}, state)
    assert states(folder)[RUNNING].rate == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.4, "9 s"), (3000, "50 min"), (12000, "3 h 20 min"), (90000, "1 d 1 h")],
)
def test_a_span_is_told_in_its_largest_units(seconds, text):
    assert spelt(seconds) == text


def test_the_command_prints_one_table_off_a_terminal(folder, capsys):
    with held(folder / "runs" / RUNNING):
        assert main(["watch", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "4 runs: 1 running, 1 done, 1 diverged, 1 failed" in told
    assert "time left: 30 s" in told  # 60 steps of half a second.
    assert "40 of 100" in told
    assert "Term 'rate' is nan at step 7." in told
    assert "Runs that were not begun are not known" in told


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_results_is_refused_in_one_line(tmp_path, name, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["watch", str(tmp_path / name)]) == 2
    told = capsys.readouterr().err
    assert str(tmp_path / name) in told and told.count("\n") == 1

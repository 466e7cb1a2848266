"""Disks that fill, folders that are read-only, clocks and data that change under a run."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from aebench.bench import interruption
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.records import provenance
from aebench.bench.runs import runner
from aebench.bench.training.trainer import Trainer

ONE = ('["ae", "vae"]', '"ae"')
BALLAST = "ballast"


def _no_tmpfs(folder):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no command 'mount'"
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 4 MiB."""
    folder = tmp_path / "disk"
    refused = _no_tmpfs(folder)
    if refused:
        pytest.skip(f"no tmpfs can be mounted here: {refused}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(disk):
    """Leaves no byte free."""
    with (disk / BALLAST).open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def _stop_after(monkeypatch, owner, name, calls):
    """Asks for a stop when a method has been called so often."""
    function, counter = getattr(owner, name), itertools.count(1)

    def counted(self, *arguments):
        done = function(self, *arguments)
        if next(counter) == calls:
            interruption._REQUESTED.set()
        return done

    monkeypatch.setattr(owner, name, counted)


def _run_folder(out):
    (folder,) = (p for p in (out / "runs").iterdir() if not p.name.startswith("floor"))
    return folder


def _check_full(told, out):
    assert told.count("run 'ae digits d=3 s=0': No space left on device") == 1
    assert len([line for line in told.splitlines() if "suite 'small'" not in line]) == 1
    assert not list(out.rglob("*.part"))


@pytest.mark.long
def test_a_disk_that_is_full_at_a_checkpoint_keeps_the_older_state_and_the_run_goes_on_later(
    small_disk, suite_file, aebench, tmp_path, rows_in, monkeypatch
):
    suite = suite_file(ONE)
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    monkeypatch.setenv("AEBENCH_SAVE_SECONDS", "0")
    with monkeypatch.context() as patch:
        _stop_after(patch, Trainer, "train_step", 3)
        assert aebench(suite, out=small_disk)[0] == 1
    state = _run_folder(small_disk) / "state.safetensors"
    before = load_checkpoint(state)[1]
    assert before["step"] == 3
    _fill(small_disk)
    code, told = aebench(suite, out=small_disk)
    assert code == 1
    _check_full(told, small_disk)
    kept = [p for p in state.parent.glob("state*") if load_checkpoint(p)[1] == before]
    assert kept
    (small_disk / BALLAST).unlink()
    steps = []
    step = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", lambda self: (steps.append(self.step), step(self)))
    assert aebench(suite, out=small_disk)[0] == 0
    assert steps == [3, 4, 5, 6, 7]
    assert rows_in(small_disk) == rows_in(tmp_path / "whole")


@pytest.mark.long
def test_a_disk_that_is_full_at_the_results_keeps_the_training_and_the_run_goes_on_later(
    small_disk, suite_file, aebench, tmp_path, rows_in, monkeypatch
):
    suite = suite_file(ONE)
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    with monkeypatch.context() as patch:
        _stop_after(patch, runner.Run, "_train", 1)
        assert aebench(suite, out=small_disk)[0] == 1
    checkpoint = _run_folder(small_disk) / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    _fill(small_disk)
    code, told = aebench(suite, out=small_disk)
    assert code == 1
    _check_full(told, small_disk)
    assert checkpoint.read_bytes() == before
    (small_disk / BALLAST).unlink()
    code, told = aebench(suite, out=small_disk)
    assert code == 0 and "1 evaluated" in told
    assert rows_in(small_disk) == rows_in(tmp_path / "whole")


@pytest.mark.long
def test_a_disk_that_is_full_at_a_report_keeps_the_older_table(
    small_disk, suite_file, aebench, capsys
):
    from aebench.bench.cli.main import main
    from aebench.bench.records.results import read_results

    suite = suite_file(ONE)
    assert aebench(suite, out=small_disk)[0] == 0
    assert main(["report", str(small_disk)]) == 0
    rows = len(read_results(small_disk).rows)
    table = (small_disk / "results.csv").read_bytes()
    _fill(small_disk)
    capsys.readouterr()
    code = main(["report", str(small_disk)])
    told = capsys.readouterr().err
    assert code == 1 and told.count("\n") == 1 and "No space left on device" in told
    assert (small_disk / "results.csv").read_bytes() == table
    (small_disk / BALLAST).unlink()
    assert main(["report", str(small_disk)]) == 0
    assert len(read_results(small_disk).rows) == rows


@pytest.mark.long
def test_a_folder_that_is_read_only_is_one_line_and_stays_as_it_is(
    small_disk, suite_file, aebench, capsys
):
    from aebench.bench.cli.main import main

    suite = suite_file()
    assert aebench(suite_file(ONE), out=small_disk)[0] == 0
    before = sorted(p for p in small_disk.rglob("*"))
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    code, told = aebench(suite, out=small_disk)
    assert code == 2 and told.count("\n") == 1 and "cannot be written" in told
    capsys.readouterr()
    code = main(["report", str(small_disk)])
    told = capsys.readouterr().err
    assert code == 1 and told.count("\n") == 1 and "Read-only file system" in told
    assert sorted(p for p in small_disk.rglob("*")) == before


def test_a_report_that_cannot_be_written_is_one_line(
    suite_file, aebench, tmp_path, monkeypatch, capsys
):
    from aebench.bench.cli.main import main
    from aebench.bench.pages import report

    assert aebench(suite_file(ONE))[0] == 0

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(report, "write_atomically", full)
    capsys.readouterr()
    code = main(["report", str(tmp_path / "out")])
    told = capsys.readouterr().err
    assert code == 1 and told.count("\n") == 1
    assert "No space left on device" in told and "README.md" in told


def test_an_output_folder_below_one_that_may_not_be_entered_is_one_line(
    suite_file, aebench, tmp_path, lock
):
    private = tmp_path / "private"
    private.mkdir()
    lock(private)
    out = private / "mine" / "out"
    code, told = aebench(suite_file(ONE), out=out)
    assert code == 2
    assert told == f"aebench: Output folder '{out}' cannot be written; name another with --out.\n"


def test_no_space_for_a_lock_is_a_failure_and_not_a_wrong_folder(suite_file, aebench, monkeypatch):
    from aebench.bench.files import locking

    def full(self, timeout):
        raise OSError(errno.ENOSPC, "No space left on device", ".lock")

    monkeypatch.setattr(locking.FileLock, "acquire", full)
    code, told = aebench(suite_file(ONE))
    assert code == 1 and "No space left on device" in told


def test_a_file_system_without_locks_is_one_line_where_filelock_has_no_other_way(
    suite_file, aebench, monkeypatch
):
    from aebench.bench.files import locking

    def refuse(self, timeout):  # As filelock 3.16 does.
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(locking.FileLock, "acquire", refuse)
    code, told = aebench(suite_file(ONE))
    assert code == 2 and "is on a file system without locks" in told
    assert "Traceback" not in told and "pip install -U filelock" in told


def test_a_clock_that_goes_backwards_changes_nothing_but_dates(
    suite_file, aebench, tmp_path, rows_in, monkeypatch
):
    from aebench.bench.cli.main import main

    suite = suite_file(ONE)
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    monkeypatch.setenv("AEBENCH_SAVE_SECONDS", "0.001")
    seconds = itertools.count(2e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(seconds))

    class Backwards(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(next(seconds), UTC)

    monkeypatch.setattr(provenance, "datetime", Backwards)
    with monkeypatch.context() as patch:
        _stop_after(patch, Trainer, "train_step", 3)
        assert aebench(suite)[0] == 1
    assert aebench(suite)[0] == 0
    folder = _run_folder(tmp_path / "out")
    rows = json.loads((folder / "result.json").read_text())["rows"]
    dates = [row["date"] for row in rows]
    assert dates[0] > dates[-1]
    assert all(row["train_seconds"] >= 0 for row in rows)
    assert rows_in(tmp_path / "out") == rows_in(tmp_path / "whole")
    written = (folder / "result.json").stat().st_mtime_ns
    code, told = aebench(suite)
    assert code == 0 and "1 complete" in told
    assert (folder / "result.json").stat().st_mtime_ns == written
    assert main(["report", str(tmp_path / "out")]) == 0


def test_files_that_seem_to_be_from_the_future_are_no_obstacle(suite_file, aebench, tmp_path):
    suite = suite_file(ONE)
    assert aebench(suite)[0] == 0
    later = time.time() + 1e8
    for path in (tmp_path / "out").rglob("*"):
        os.utime(path, (later, later))
    code, told = aebench(suite)
    assert code == 0 and "1 complete" in told


def _npz(path, seed=0):
    generator = np.random.default_rng(seed)
    sizes = {"train": 100, "validation": 30, "test": 30}
    np.savez(
        path, **{k: generator.integers(0, 256, (n, 1, 8, 8), np.uint8) for k, n in sizes.items()}
    )


@pytest.fixture
def on_file(suite_file, tmp_path):
    """Returns a suite on a data file, and the file."""
    path = tmp_path / "images.npz"
    _npz(path)
    runner.dataset.cache_clear()
    yield suite_file(ONE, ('"digits"', f'"npz:{path}"')), path
    runner.dataset.cache_clear()


def test_a_data_file_that_changed_since_the_training_is_refused_and_no_row_is_touched(
    on_file, aebench, tmp_path
):
    suite, path = on_file
    assert aebench(suite)[0] == 0
    result = _run_folder(tmp_path / "out") / "result.json"
    before = result.read_bytes()
    _npz(path, seed=1)
    runner.dataset.cache_clear()
    code, told = aebench(suite)
    assert code == 2 and "was trained on another data than is here now" in told
    assert "--rerun-stale trains it again" in told and result.read_bytes() == before
    assert "1 trained" in aebench(suite, "--rerun-stale")[1]
    assert result.read_bytes() != before


def test_a_data_file_that_changed_during_a_training_is_told_and_the_training_begins_anew(
    on_file, aebench, tmp_path, rows_in, monkeypatch, caplog
):
    suite, path = on_file
    with monkeypatch.context() as patch:
        _stop_after(patch, Trainer, "train_step", 3)
        assert aebench(suite)[0] == 1
    assert list((tmp_path / "out").rglob("state.safetensors"))
    _npz(path, seed=1)
    runner.dataset.cache_clear()
    assert aebench(suite)[0] == 0
    assert "belongs to another run, other data or other training code" in caplog.text
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    assert rows_in(tmp_path / "out") == rows_in(tmp_path / "whole")


def test_a_data_file_that_is_cut_short_is_refused_before_any_step(on_file, aebench, tmp_path):
    suite, path = on_file
    path.write_bytes(path.read_bytes()[:-200])
    code, told = aebench(suite)
    assert code == 2 and told.count("\n") == 1 and str(path) in told
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_term_that_is_nan_at_a_step_is_a_row_that_says_so(
    suite_file, aebench, tmp_path, monkeypatch, step
):
    from aebench.models.objectives.vae import VAE

    terms = VAE.terms

    def spoilt(self, x, generator):
        found = terms(self, x, generator)
        spoilt.calls += self.training
        if self.training and spoilt.calls == step:
            found["rate"] = found["rate"] * float("nan")
        return found

    spoilt.calls = 0
    monkeypatch.setattr(VAE, "terms", spoilt)
    code, told = aebench(suite_file(('["ae", "vae"]', '"vae"')))
    assert code == 1 and "1 diverged" in told
    (row,) = json.loads((_run_folder(tmp_path / "out") / "result.json").read_text())["rows"]
    assert row["status"] == "diverged" and row["value"] is None
    assert f"Term 'rate' of the loss is not finite at step {step}." in row["reason"]
    lines = [line for line in told.splitlines() if row["reason"] in line]
    assert len(lines) == 1 and re.match(r"aebench: run 'vae digits .*' diverged: Term", lines[0])


def test_intervals_are_not_measured_by_a_clock_that_can_be_set():
    found = []
    for package in ("bench", "models", "metrics"):
        module = __import__(f"aebench.{package}", fromlist=["__path__"])
        for path in Path(next(iter(module.__path__))).rglob("*.py"):
            found += [
                path.name for _ in range(path.read_text(encoding="utf-8").count("time.time("))
            ]
    assert found == []

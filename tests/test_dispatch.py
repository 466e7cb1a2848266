from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli.main import main
from aebench.bench.cli.words import tell_failures
from aebench.bench.errors import RunFailed
from aebench.bench.files.locking import held
from aebench.bench.interruption import Stopped, stop_on_signals, stop_requested
from aebench.bench.runs import dispatch, workers
from aebench.bench.runs.dispatch import Done, InProcess, carry_out
from aebench.bench.runs.request import Request
from aebench.bench.runs.runner import Run
from aebench.bench.suites.suite import load_suite

SECONDS = 120


def _images(tmp_path):
    """Returns the change to data that need no scikit-learn, which each process would import."""
    generator = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    sizes = {"train": 100, "validation": 30, "test": 30}
    images = {k: generator.integers(0, 256, (n, 1, 8, 8), np.uint8) for k, n in sizes.items()}
    np.savez(path, **images)
    return ('"digits"', f'"npz:{path}"')


def _long(tmp_path, steps):
    """Returns changes that make the suite last."""
    return (
        ("steps = 8", f"steps = {steps}"),
        ("validate_every = 4", "validate_every = 10"),
        _images(tmp_path),
    )


def _start(suite, out, *arguments, save_seconds="0.05"):
    """Starts ``aebench run`` in a process group of its own."""
    program = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            program,
            "run",
            suite,
            "--out",
            str(out),
            "--device",
            "cpu",
            "--quiet",
            *list(arguments),
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "AEBENCH_SAVE_SECONDS": save_seconds, "OMP_NUM_THREADS": "1"},
    )


def _wait_for(condition, process=None):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if condition():
            return
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}: {process.stderr.read()}")
        time.sleep(0.01)
    raise TimeoutError


def _counts(told):
    return [(word, int(count)) for count, word in re.findall(r"(\d+) (trained|complete)", told)]


def _logs(out):
    return {p.parent.name: p.read_bytes() for p in Path(out).glob("runs/*/log.jsonl")}


@pytest.fixture(scope="module")
def whole(suite_in, rows_in, tmp_path_factory):
    """The suite with its rows and logs when nothing happens to it."""
    folder = tmp_path_factory.mktemp("whole")
    suite, out = suite_in(folder, *_long(folder, 300)), folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        words = ("--device", "cpu", "--workers", "1", "--quiet")
        assert main(["run", suite, "--out", str(out), *words]) == 0
    return suite, rows_in(out), _logs(out)


@pytest.fixture
def undisturbed(whole, monkeypatch):
    """Returns the suite with its rows and logs when nothing happens to it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return whole


# Of forked commands, test_torture.py shows the same.
@pytest.mark.long
def test_kill_9_and_a_stop_by_signal_end_with_the_rows_and_logs_of_an_undisturbed_run(
    undisturbed, aebench, tmp_path, rows_in
):
    suite, rows, logs = undisturbed
    out = tmp_path / "out"
    killed = _start(suite, out, "--workers", "1")
    _wait_for(lambda: list(out.glob("runs/*/state.previous.safetensors")), killed)
    killed.kill()
    killed.communicate()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/state.safetensors")}
        stopped = _start(suite, out, "--workers", "1")
        _wait_for(
            lambda before=before: any(
                p.stat().st_mtime_ns != before.get(p) for p in out.glob("runs/*/state.safetensors")
            ),
            stopped,
        )
        stopped.send_signal(number)
        _, told = stopped.communicate(timeout=SECONDS)
        assert stopped.returncode == 1
        assert told.startswith("aebench: Stopped. ") and told.count("\n") == 1
        assert list(out.glob("runs/*/state.safetensors"))
    assert aebench(suite)[0] == 0
    assert rows_in(out) == rows
    assert _logs(out) == logs
    assert not [*out.rglob("*.part"), *out.rglob("state.*")]


@pytest.mark.long
def test_a_worker_that_is_killed_loses_nothing_and_two_workers_equal_one(
    undisturbed, aebench, tmp_path, rows_in, monkeypatch
):
    suite, rows, logs = undisturbed
    out = tmp_path / "out"
    monkeypatch.setenv("AEBENCH_SAVE_SECONDS", "0.05")
    killed = []

    def kill_one():
        _wait_for(lambda: list(out.glob("runs/*/state.safetensors")))
        child = multiprocessing.active_children()[0]
        killed.append(child.pid)
        os.kill(child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    code, told = aebench(suite, "--workers", "2")
    killer.join()
    assert code == 0 and "2 trained" in told and len(killed) == 1
    assert rows_in(out) == rows and _logs(out) == logs


@pytest.mark.long
@pytest.mark.parametrize(
    "stop",
    [
        lambda process: os.killpg(process.pid, signal.SIGINT),
        lambda process: process.send_signal(signal.SIGTERM),
    ],
    ids=["terminal", "sigterm"],
)
def test_workers_stop_with_a_saved_state_on_an_interrupt_of_the_terminal_or_sigterm_to_the_parent(
    suite_file, tmp_path, stop
):
    suite, out = suite_file(*_long(tmp_path, 100_000)), tmp_path / "out"
    stopped = _start(suite, out, "--workers", "2", save_seconds="1000")
    _wait_for(lambda: len(list(out.glob("runs/*/log.jsonl"))) == 2, stopped)
    stop(stopped)
    _, told = stopped.communicate(timeout=SECONDS)
    assert stopped.returncode == 1
    assert told == (
        "aebench: Stopped. 0 of 2 runs are whole; the same command goes on from here.\n"
    )
    assert len(list(out.glob("runs/*/state.safetensors"))) == 2


def test_two_commands_on_one_folder_share_the_work_and_do_no_run_twice(
    undisturbed, aebench, tmp_path, rows_in, monkeypatch
):
    suite, rows, logs = undisturbed
    out = tmp_path / "out"
    monkeypatch.setattr(dispatch, "BUSY_SECONDS", 0.1)
    other = _start(suite, out, "--workers", "1")
    _wait_for(lambda: list(out.glob("runs/*/log.jsonl")), other)
    code, told = aebench(suite)
    _, told_other = other.communicate(timeout=SECONDS)
    assert code == other.returncode == 0
    counts = [dict(_counts(line)) for line in (told, told_other)]
    assert sum(c.get("trained", 0) for c in counts) == 2, counts
    assert sum(c.get("complete", 0) for c in counts) == 2, counts
    assert rows_in(out) == rows and _logs(out) == logs


@pytest.fixture
def requests(suite_file, tmp_path):
    configs = load_suite(suite_file(_images(tmp_path)), seeds=[0, 1]).configs
    return [Request(config, tmp_path / "out") for config in configs]


def test_runs_held_elsewhere_come_last_and_are_waited_for_without_spinning(requests, monkeypatch):
    elsewhere = {requests[0].folder, requests[1].folder}
    tried, slept = [], []

    def carry(request, listen):
        tried.append(request)
        return Done(request, "busy" if request.folder in elsewhere else "trained")

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            elsewhere.clear()

    monkeypatch.setattr(dispatch, "carry_out", carry)
    monkeypatch.setattr(dispatch, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(dispatch.time, "sleep", sleep)
    ended = [done.request for done in InProcess().map(requests, lambda event: None)]
    assert ended == [*requests[2:], *requests[:2]]
    assert len(tried) <= 4 + 2 * 4


def test_a_run_that_another_holds_is_told_once_with_the_file_of_its_lock(
    requests, monkeypatch, caplog
):
    first, tried = requests[0], []

    def carry(request, listen):
        tried.append(request)
        return Done(request, "busy" if request == first and tried.count(first) < 4 else "trained")

    monkeypatch.setattr(dispatch, "carry_out", carry)
    monkeypatch.setattr(dispatch, "BUSY_SECONDS", 0.0)
    assert len([*InProcess().map(requests[:2], lambda event: None)]) == 2
    here = [record.getMessage() for record in caplog.records]
    caplog.clear()
    waiting = dispatch.Waiting([], {})
    assert [waiting.settle(Done(first, "busy")) for _ in range(3)] == [None] * 3
    assert here == [record.getMessage() for record in caplog.records]
    (told,) = here
    assert told == (
        f"aebench: run '{first.config.label}' waits for another process, which holds "
        f"'{first.folder / '.lock'}'; delete this file only if no other is at work."
    )


def test_a_run_whose_lock_another_holds_is_busy(requests):
    with held(requests[0].folder) as mine:
        assert mine
        assert carry_out(requests[0], lambda event: None).outcome == "busy"
    with held(requests[0].folder) as mine:
        assert mine


def test_an_error_of_one_run_does_not_end_the_others(requests, monkeypatch):
    execute = Run.execute

    def fail(self, report, watch=None):
        if self.request == requests[1]:
            raise RunFailed("it broke")
        return execute(self, report, watch)

    monkeypatch.setattr(Run, "execute", fail)
    ended = list(InProcess().map(requests, lambda event: None))
    assert [done.outcome for done in ended] == ["trained", "failed", "trained", "trained"]
    assert str(ended[1].error) == "it broke"


def test_a_stop_is_not_taken_for_a_failure(requests, monkeypatch):
    def stop(self, report, watch=None):
        raise Stopped

    monkeypatch.setattr(Run, "execute", stop)
    with pytest.raises(Stopped):
        carry_out(requests[0], lambda event: None)


def test_a_bug_is_raised(requests, monkeypatch):
    def broken(self, report, watch=None):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Run, "execute", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        carry_out(requests[0], lambda event: None)


def test_events_tell_stage_and_step(requests):
    events = []
    carry_out(requests[0], events.append)
    assert events[0].stage == "training" and events[0].step == 0
    assert [e.step for e in events if e.step] == [4, 8]
    assert events[-1].stage == "pictures"


UNLUCKY = """
import os, signal
from dataclasses import dataclass
from aebench.bench.runs.request import Request

@dataclass(frozen=True)
class Deadly(Request):
    def opened(self):
        with (self.folder / "deaths").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

@dataclass(frozen=True)
class Ended(Request):
    def opened(self):
        with (self.folder / "ends").open("a") as file:
            file.write("x")
        if (self.folder / "ends").stat().st_size == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().opened()

@dataclass(frozen=True)
class Broken(Request):
    def opened(self):
        import torch
        sure = torch.are_deterministic_algorithms_enabled()
        raise LookupError(f"a bug of its own, {torch.get_num_threads()} threads, {sure}")
"""


@pytest.fixture
def unlucky(tmp_path, monkeypatch):
    """Returns a module, there for workers too, with requests that die and that meet a bug."""
    (tmp_path / "unlucky.py").write_text(UNLUCKY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("unlucky")
    del sys.modules["unlucky"]


def test_a_run_that_kills_its_process_each_time_fails_after_three_and_changes_no_other(
    requests, unlucky, capsys, rows_in, tmp_path
):
    deadly = unlucky.Deadly(requests[1].config, requests[1].out)
    given = [requests[0], deadly, requests[2]]
    ended = list(workers.Processes(2).map(given, lambda event: None))
    failed = [done for done in ended if done.request == deadly]
    assert (deadly.folder / "deaths").read_text() == "xxx"
    told = "its process died 3 times, perhaps for lack of memory."
    assert [done.outcome for done in failed] == ["failed"]
    assert sorted(done.outcome for done in ended) == ["failed", "trained", "trained"]
    assert tell_failures(ended, "run ") == 1
    assert capsys.readouterr().err == f"aebench: run '{deadly.config.label}': {told}\n"
    assert not multiprocessing.active_children()
    alone = [replace(request, out=tmp_path / "alone") for request in given if request != deadly]
    list(InProcess().map(alone, lambda event: None))
    assert rows_in(tmp_path / "out") == rows_in(tmp_path / "alone")


def test_a_run_goes_on_where_its_worker_alone_was_told_to_end(requests, unlucky):
    ended = unlucky.Ended(requests[1].config, requests[1].out)
    outcomes = [d.outcome for d in workers.Processes(1).map([ended], lambda event: None)]
    assert outcomes == ["trained"]
    assert (ended.folder / "ends").read_text() == "xx"


def test_an_error_of_what_listens_is_not_taken_for_the_death_of_a_worker(requests):
    def listen(event):
        raise ConnectionError("of the listener")

    with pytest.raises(ConnectionError, match="of the listener"):
        list(workers.Processes(1).map(requests[:1], listen))
    assert not multiprocessing.active_children()


@pytest.mark.long
def test_an_idle_worker_that_was_killed_is_replaced(requests):
    worker = workers.Worker()
    told = []

    def outcome(request):
        worker.start(request)
        while not (done := worker.take_end(told.append)):
            time.sleep(0.01)
        return done.outcome

    try:
        assert outcome(requests[0]) == "trained"
        child = multiprocessing.active_children()[0]
        child.kill()
        child.join()
        assert outcome(requests[1]) == "trained"
    finally:
        worker.end()
    assert {event.digest for event in told} == {r.config.digest for r in requests[:2]}


def test_one_of_several_workers_has_the_threads_and_determinism_of_the_run_and_raises_its_bug(
    requests, unlucky, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name in (dispatch.DETERMINISTIC, "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "")  # So that what is set now is gone afterwards.
    dispatch.ask_for_determinism()
    broken = unlucky.Broken(requests[0].config, requests[0].out)
    with pytest.raises(LookupError, match="a bug of its own, 1 threads, True") as caught:
        list(workers.Processes(2).map([broken], lambda event: None))
    assert "in opened" in caught.value.__notes__[0]
    assert not multiprocessing.active_children()


def test_signals_are_requests_inside_the_block_only():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        _wait_for(stop_requested)
    assert signal.getsignal(signal.SIGTERM) == before
    with stop_on_signals():
        assert not stop_requested()


def test_a_run_has_the_threads_that_the_environment_names_or_one(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert dispatch.threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert dispatch.threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert dispatch.threads() == 1


FORKED = """
import os, sys
import numpy, torch
from threadpoolctl import threadpool_info
from aebench.bench.python.session import session
from aebench.bench.runs import dispatch

assert not {"scipy.linalg", "sklearn"} & sys.modules.keys()

def of_libraries():
    import scipy.linalg, sklearn.cluster
    print(*{pool["num_threads"] for pool in threadpool_info()})

def command():
    dispatch.set_up_torch()
    of_libraries()

def python():
    with session():
        of_libraries()

def determinism():
    for asked in ({}, {dispatch.DETERMINISTIC: "1"}):
        os.environ.update(asked)
        dispatch.set_up_torch()
        print(
            torch.are_deterministic_algorithms_enabled(),
            os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
            torch.cuda.is_initialized(),
        )

for work in (command, python, determinism):
    print(work.__name__, flush=True)
    if os.fork() == 0:
        work()
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0, work
"""


@pytest.fixture(scope="module")
def forked():
    """Returns the lines that each kind of process wrote; they share the import of torch alone."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        env={
            name: value
            for name, value in os.environ.items()
            if not name.endswith("_NUM_THREADS")
            and name not in ("CUBLAS_WORKSPACE_CONFIG", dispatch.DETERMINISTIC)
        },
        capture_output=True,
        text=True,
        check=True,
    )
    words = re.split("(command|python|determinism)\n", done.stdout)
    return dict(zip(words[1::2], words[2::2], strict=True))


@pytest.mark.parametrize("inside", ["command", "python"])
def test_every_library_computes_in_the_threads_of_the_run(inside, forked):
    # The pools of a library are as large as the machine where nothing says otherwise, and their
    # size changes last digits. numpy is loaded before, scipy and scikit-learn perhaps afterwards.
    assert forked[inside] == "1\n"


def test_the_result_file_is_whole_at_every_moment(requests):
    result = requests[0].folder / "result.json"
    seen = []

    def look(event):
        if result.exists():
            seen.append(json.loads(result.read_text())["rows"])

    carry_out(requests[0], look)
    assert seen == []
    assert json.loads(result.read_text())["rows"]


def test_asking_for_determinism_by_the_variable_alone_sets_what_cublas_needs(forked):
    found = [line.split() for line in forked["determinism"].splitlines()]
    # Either of the two values in which cuBLAS repeats its results; it is read when CUDA starts.
    assert found == [["False", "None", "False"], ["True", ":4096:8", "False"]]

"""Runs on Ray: what is refused, and that nothing is lost, doubled or different."""

from __future__ import annotations

import csv
import importlib
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import time
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.runs import ray_cluster, ray_engine
from aebench.bench.runs.asked import write_asked
from aebench.bench.runs.dispatch import InProcess, set_up_torch
from aebench.bench.runs.ray_cluster import Cluster
from aebench.bench.runs.request import Request
from aebench.bench.suites.suite import load_suite

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
TORTURE = Path(__file__).parents[1] / "scripts" / "torture"
SECONDS = 600
AEBENCH = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"


@pytest.fixture
def refused(suite_file, tmp_path, capsys):
    """Returns a function that gives words to ``aebench run`` and returns the line that refuses."""
    from aebench.bench.cli.main import main

    suite = suite_file()

    def run(*words: str) -> str:
        out = tmp_path / "a" / "b"
        assert main(["run", suite, "--out", str(out), *words]) == 2
        told = capsys.readouterr().err
        assert told.startswith("aebench: ") and told.count("\n") == 1
        assert not (tmp_path / "a").exists()
        return told

    return run


@pytest.fixture(autouse=True)
def no_token_of_the_user(tmp_path, monkeypatch):
    """Takes the user's token and addresses away, and takes back what a connection sets."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    kept = dict(os.environ)
    yield
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]


def _missing(name):
    raise PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (_missing, "'--engine' is 'ray', whose package is missing; `pip install aebench[ray]`"),
        (lambda name: "2.59.1", "Ray 2.59.1 is installed; expected at least 2.60, before 3."),
        (lambda name: "3.0.0", "Ray 3.0.0 is installed; expected at least 2.60, before 3."),
    ],
)
def test_a_missing_ray_or_another_version_is_told_with_what_to_install(
    refused, monkeypatch, found, told
):
    monkeypatch.setattr(ray_cluster, "version", found)
    line = refused("--engine", "ray")
    assert told in line and "`pip install aebench[ray]`" in line


def test_the_extra_asks_for_the_versions_that_the_engine_accepts():
    extra = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]["ray"]
    major, minor = ray_cluster.LOWEST
    assert extra == [f"ray>={major}.{minor},<{major + 1}"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--engine", "ray", "--workers", "2"], "'--workers' is 2; with --engine ray"),
        (["--address", "auto"], "'--address' is 'auto'; it needs --engine ray."),
        (["--gpu-share", "0.5"], "'--gpu-share' is '0.5'; it needs --engine ray."),
        (["--engine", "ray", "--gpu-share", "0"], "'--gpu-share' is 0; expected more than 0"),
        (["--engine", "ray", "--gpu-share", "1.5"], "'--gpu-share' is 1.5; expected more than 0"),
        (["--engine", "ray", "--gpu-share", "nan"], "'--gpu-share' is nan; expected more than 0"),
        (["--engine", "ray", "--address", "here"], "'--address' is 'here'; expected 'auto' or"),
        (["--engine", "ray", "--address", "ray://a:b"], "'--address' is 'ray://a:b'; expected"),
    ],
)
def test_words_that_do_not_go_together_are_refused(refused, words, told):
    assert told in refused(*words)


def test_a_cluster_without_a_token_is_refused(refused, monkeypatch):
    words = ("--engine", "ray", "--address", "127.0.0.1:6379")
    assert "RAY_AUTH_MODE is not set; expected 'token'" in refused(*words)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "RAY_AUTH_MODE is disabled; expected 'token'" in refused(*words)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "There is no token for the Ray cluster at '127.0.0.1:6379'" in refused(*words)


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 32)


@pytest.mark.usefixtures("token")
def test_an_address_where_nothing_listens_is_refused(refused):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    told = refused("--engine", "ray", "--address", f"127.0.0.1:{port}")
    assert f"No Ray cluster answers at '127.0.0.1:{port}'" in told


@pytest.mark.usefixtures("token")
def test_an_address_where_something_else_listens_is_given_up_soon(refused, monkeypatch):
    monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        told = refused("--engine", "ray", "--address", f"127.0.0.1:{port}")
    assert f"No Ray cluster answered at '127.0.0.1:{port}' within 0.5 seconds" in told


class Pretended(Cluster):
    """A cluster that is not there, on nodes with the given resources."""

    def __init__(self, gpu_share: float | None = None) -> None:
        self.gpu_share = gpu_share


def _pretend(monkeypatch, *resources, sees=lambda probe: None):
    nodes = [{"Resources": r, "NodeID": str(i)} for i, r in enumerate(resources)]
    monkeypatch.setattr(ray_cluster, "_nodes", lambda: nodes)
    monkeypatch.setattr(ray_cluster, "_look_on_all", lambda probe: [("10.0.0.7", sees(probe))])
    monkeypatch.setattr(
        Cluster, "__init__", lambda self, a, share: setattr(self, "gpu_share", share)
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "cuda"], "A run needs 1 CPU and 1 GPU on one machine; no node"),
        (["--gpu-share", "0.5"], "A run needs 1 CPU and 0.5 GPU on one machine; no node"),
        (["--device", "cpu", "--gpu-share", "0.5"], "'--gpu-share' is for runs on GPUs"),
    ],
)
def test_a_cluster_without_the_gpu_that_was_asked_for_is_refused(
    refused, monkeypatch, words, told
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _pretend(monkeypatch, {"CPU": 4.0}, {"CPU": 0.0, "GPU": 2.0})
    assert told in refused("--engine", "ray", *words)


def test_a_run_takes_a_gpu_where_the_cluster_has_one_and_a_core_for_each_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    _pretend(monkeypatch, {"CPU": 4.0, "GPU": 1.0})
    assert Pretended().device("auto") == "cuda"
    assert Pretended(0.25).needs("cuda") == {"num_cpus": 2, "num_gpus": 0.25}
    assert Pretended().needs("cpu") == {"num_cpus": 2, "num_gpus": 0}
    _pretend(monkeypatch, {"CPU": 4.0})
    assert Pretended().device("auto") == "cpu"


@pytest.mark.parametrize(
    ("sees", "told"),
    [
        (lambda probe: ("", "token", ray_cluster._code()), "does not see the folder '"),
        (lambda probe: ("other", "token", ray_cluster._code()), "does not see the folder '"),
        (lambda probe: (*ray_cluster._look(probe)[:1], "", {}), "lets anybody in"),
        (lambda probe: (probe.read_text(), "token", {"torch": "1.0"}), "torch 1.0 (here "),
        (lambda probe: ImportError("trace\nNo module named 'aebench'"), "No module named 'aebe"),
        (lambda probe: None, "did not answer within 60 seconds"),
    ],
    ids=["absent", "another", "open", "code", "broken", "silent"],
)
def test_a_node_that_is_open_or_has_another_folder_or_code_is_refused_before_the_first_run(
    refused, monkeypatch, sees, told
):
    _pretend(monkeypatch, {"CPU": 4.0}, sees=sees)
    line = refused("--engine", "ray", "--device", "cpu")
    assert line.startswith("aebench: Node 10.0.0.7 of the Ray cluster") and told in line


def test_a_worker_gets_the_threads_and_choices_of_the_command_and_nothing_of_its_node(monkeypatch):
    for name in ("OMP_NUM_THREADS", "AEBENCH_DETERMINISTIC", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AEBENCH_EAGER", "1")
    found = ray_engine._environment()
    assert found["AEBENCH_EAGER"] == "1" and found["AEBENCH_CACHE"]
    assert found["OMP_NUM_THREADS"] == found["AEBENCH_DETERMINISTIC"] == ""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert ray_engine._environment()["OMP_NUM_THREADS"] == "3"


def test_a_run_on_a_node_that_came_later_without_the_folder_fails_and_says_why(
    suite_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    request = Request(load_suite(suite_file()).configs[0], tmp_path / "elsewhere")
    done = ray_engine._serve(request, tmp_path, None)
    assert done.outcome == "failed"
    assert "is not there; all machines must share it" in str(done.error)
    assert not request.out.exists()


def test_local_runs_do_not_import_ray(suite_file, tmp_path):
    program = (
        "import sys; from aebench.bench.cli.main import main\n"
        "code = main(sys.argv[1:]); print(code, 'ray' in sys.modules)"
    )
    np.savez(tmp_path / "images.npz", np.zeros((200, 1, 8, 8), np.uint8))  # Without scikit-learn.
    suite = suite_file(('"digits"', f'"npz:{tmp_path / "images.npz"}"'))
    words = ["run", suite, "--out", str(tmp_path / "out"), "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("0 False\n")


DEADLY = """
import os, signal
from dataclasses import dataclass
from aebench.bench.runs.request import Request

@dataclass(frozen=True)
class Deadly(Request):
    def opened(self):
        with (self.folder / "deaths").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    paths = (str(tmp_path), os.environ.get("PYTHONPATH", ""))  # For workers, too.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    yield importlib.import_module("deadly").Deadly
    del sys.modules["deadly"]


# Long, though small: Ray takes 10 to 20 seconds to start on two busy cores, and each of the six
# processes some more for torch.
@pytest.mark.long
@pytest.mark.timeout(SECONDS)
def test_a_cluster_of_its_own_gives_local_rows_fails_what_kills_it_and_listens_to_nobody_else(
    suite_file, tmp_path, rows_in, deadly, monkeypatch, capfd
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    set_up_torch()
    out = tmp_path / "out"
    configs = load_suite(suite_file(), seeds=[0, 1]).configs
    here = [Request(config, tmp_path / "local") for config in configs]
    assert all(done.outcome == "trained" for done in InProcess().map(here, lambda event: None))
    requests = [Request(config, out) for config in configs]
    requests[1] = deadly(configs[1], out)
    capfd.readouterr()
    cluster = Cluster(None, None)
    import ray

    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
    assert _listening_outside() == set()
    cluster.check(out)
    write_asked(out, configs)
    events = []
    tasks = ray_engine.Tasks(cluster, cluster.device("cpu"))
    ended = {done.request.folder: done for done in tasks.map(requests, events.append)}
    outcomes = [ended[request.folder].outcome for request in requests]
    assert outcomes == ["trained", "failed", "trained", "trained"]
    told = "its process died 3 times, perhaps for lack of memory."
    assert str(ended[requests[1].folder].error) == told
    assert (requests[1].folder / "deaths").read_text() == "xxx"
    assert {e.digest for e in events if e.step} >= {configs[i].digest for i in (0, 2, 3)}
    local = rows_in(tmp_path / "local")
    del local[configs[1].digest]
    assert rows_in(out) == local
    assert {path.name for path in out.iterdir()} == {"asked", "runs"}
    assert capfd.readouterr() == ("", "")


def _listening_outside():
    """Returns the ports on which this process and Ray's listen on more than the loopback."""
    mine = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.name == str(os.getpid()) or _is_ray(folder):
                mine |= {str(path.readlink()) for path in (folder / "fd").iterdir()}
        except OSError:  # It ended just now.
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            address, _, state, *_ = line.split()[1:]
            loopback = address.partition(":")[0].endswith(("0100007F", "0001000000"))
            if state == "0A" and not loopback and f"socket:[{line.split()[9]}]" in mine:
                found.add(address)
    return found


def _is_ray(process):
    if f"PPid:\t{os.getpid()}\n" in (process / "status").read_text():
        return True  # Its servers are started by this process, its workers by a server.
    return b"ray::" in (process / "cmdline").read_bytes()


@pytest.fixture
def nodes(monkeypatch):
    """Returns the address of a real cluster of a head and two nodes."""
    cluster = runpy.run_path(str(TORTURE / "ray_nodes.py"))
    for name, value in cluster["SETTINGS"].items():
        monkeypatch.setenv(name, value)
    with cluster["nodes"]() as (address, _):
        yield address


def _start(suite, out, address, *words, save_seconds="0.1"):
    return subprocess.Popen(
        [
            *(sys.executable, "-c", AEBENCH, "run", suite, "--out", str(out), "--device", "cpu"),
            *("--engine", "ray", "--address", address, *words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "AEBENCH_SAVE_SECONDS": save_seconds,
            "OMP_NUM_THREADS": "1",
        },
    )


def _wait_for(condition, process):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


@pytest.mark.long
@pytest.mark.timeout(SECONDS)
def test_a_stop_saves_all_trainings_and_says_what_a_local_one_says(suite_file, tmp_path, nodes):
    suite, out = suite_file(("steps = 8", "steps = 100000")), tmp_path / "out"
    stopped = _start(suite, out, nodes, save_seconds="1000")
    _wait_for(lambda: len(list(out.glob("runs/*/log.jsonl"))) == 2, stopped)
    stopped.send_signal(signal.SIGTERM)
    told, _ = stopped.communicate(timeout=SECONDS)
    assert told == (
        "aebench: Stopped. 0 of 2 runs are whole; the same command goes on from here.\n"
    )
    assert stopped.returncode == 1
    assert len(list(out.glob("runs/*/state.safetensors"))) == 2


@pytest.mark.long
@pytest.mark.timeout(3 * SECONDS)
def test_a_killed_worker_node_and_command_lose_double_and_change_nothing(tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    words = ["--rounds", "1", "--seed", str(seed), "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(TORTURE / "cluster.py"), *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "cluster.csv").open(newline="") as stream:
        (found,) = csv.DictReader(stream)
    assert 7 <= int(found["whole_when_the_command_died"]) < int(found["runs"]) == 24
    assert int(found["rows"]) >= 24
    for quantity in ("lost", "doubled", "altered", "broken", "leftovers"):
        assert found[quantity] == "0", quantity
    assert "Rounds: 1, of 24 runs each." in (tmp_path / "README.md").read_text()

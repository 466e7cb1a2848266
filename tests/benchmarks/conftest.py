"""Timing of ours and a peer in turn, their ratio, and the closing table."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

PACKAGES = (
    "aebench",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pythae",
    "pytorch-fid",
    "torch-fidelity",
    "prdc",
)
RESULTS: list[Ratio] = []


@dataclass(frozen=True)
class Ratio:
    """One row of the closing table; above 1 ours is faster.

    Attributes:
        ratio: Of the least wall times.
        cpu_ratio: Of the least CPU times, which other load on the machine disturbs less; None
            where they are not known.
        work: What one unit of time is: a step, a distance, an epoch.
    """

    benchmark: str
    peer: str
    work: str
    ratio: float
    cpu_ratio: float | None
    ours_seconds: float
    peer_seconds: float
    rounds: int
    threads: int
    device: str
    note: str


class Clock:
    """Wall and CPU times of repeated calls."""

    def __init__(self, call, count):
        self.call, self.count = call, count
        self.wall, self.cpu = [], []

    def __call__(self):
        wall, cpu = time.perf_counter(), time.process_time()
        result = self.call()
        self.cpu.append((time.process_time() - cpu) / self.count)
        self.wall.append((time.perf_counter() - wall) / self.count)
        return result


def pytest_addoption(parser):
    group = parser.getgroup("speed")
    group.addoption("--speed-out", metavar="DIR", help="write the ratios there, as JSON")
    group.addoption("--speed-full", action="store_true", help="10,000 x 10,000 x 2048, batch 100")


@pytest.fixture(scope="session")
def full(request):
    return request.config.getoption("--speed-full")


@pytest.fixture
def versus(benchmark, request):
    """Returns a function that times ours and a peer in turn and returns what both returned."""

    def measure(
        ours,
        theirs,
        *,
        peer,
        work,
        count=1,
        rounds=5,
        warm=True,
        note="",
        device="cpu",
        elsewhere=False,  # Ours runs in other processes, whose CPU time is not known here.
    ):
        clocks = [Clock(ours, count), Clock(theirs, count)]
        if warm:
            ours()
            theirs()
        results = [None, None]

        def take_peer():
            results[1] = clocks[1]()

        def take_ours():
            results[0] = clocks[0]()

        benchmark.pedantic(take_ours, setup=take_peer, rounds=rounds, iterations=1)
        row = _row(request.node.name, clocks, peer, work, note, device)
        if elsewhere:
            row = replace(row, cpu_ratio=None)
        RESULTS.append(row)
        benchmark.extra_info.update(asdict(row))
        return results

    return measure


def _row(name, clocks, peer, work, note, device):
    import torch

    wall = [min(clock.wall) for clock in clocks]
    cpu = [max(min(clock.cpu), 1e-9) for clock in clocks]
    return Ratio(
        benchmark=name.removeprefix("test_"),
        peer=peer,
        work=work,
        ratio=wall[1] / wall[0],
        cpu_ratio=cpu[1] / cpu[0],
        ours_seconds=wall[0],
        peer_seconds=wall[1],
        rounds=len(clocks[0].wall),
        threads=torch.get_num_threads(),
        device=device,
        note=note,
    )


def pytest_terminal_summary(terminalreporter, config):
    if not RESULTS:
        return
    terminalreporter.section("ours against the peer, by the least time")
    line = "{:<52} {:<28} {:>8} {:>8} {:>11} {:>11}"
    terminalreporter.line(line.format("benchmark", "peer", "ratio", "by CPU", "ours", "peer"))
    for row in RESULTS:
        times = f"{row.ours_seconds:.3g} s", f"{row.peer_seconds:.3g} s"
        by_cpu = "-" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}"
        ratios = f"{row.ratio:.2f}", by_cpu
        terminalreporter.line(line.format(row.benchmark, row.peer, *ratios, *times))
        if row.note:
            terminalreporter.line(f"    {row.note}")
    folder = config.getoption("--speed-out")
    if folder:
        _write(Path(folder))


def _write(folder):
    rows = [asdict(row) for row in RESULTS]
    folder.mkdir(parents=True, exist_ok=True)
    from aebench.bench.records.provenance import commit, now

    record = {
        "machine": _machine(),
        "versions": _versions(),
        "commit": commit(),
        "date": now(),
        "ratios": rows,
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    (folder / "ratios.json").write_text(text, encoding="utf-8")


def _machine():
    names = [platform.processor() or platform.machine()]
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        names = [x.partition(":")[2].strip() for x in lines if x.startswith("model name")] or names
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": names[0],
        "cores": os.cpu_count(),
        "load_at_end": load,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _versions():
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found

"""Kills a worker, a node and the command of runs on a Ray cluster, and checks what is left.

Each round is a cluster of its own on the loopback, a head and two nodes as processes, and 24 runs
on it. At random moments a worker and a node are killed, then the command, and the same command is
started again. When it is done, rows, logs, weights and arrays are compared with those of an
undisturbed run of two local workers. Writes cluster.csv and README.md; exits with 1 if anything is
wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aebench.bench.files.csv_cells import csv_text
from aebench.bench.files.storage import write_atomically
from aebench.bench.records.provenance import commit, device_name, now, versions
from audit import Audit, compare, compare_folders, conclude, rows_of
from page import CHECKS, CLUSTER, CLUSTER_COLUMNS, write_page
from ray_nodes import SETTINGS, nodes
from subject import SUITE

RESULTS = Path(__file__).resolve().parents[2] / "results" / "reliability"
AEBENCH = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"
SEEDS = 12
MOST_SECONDS = 1800
# A strike comes when so many runs are whole and another goes on, or up to these seconds later.
WORKER_AFTER, NODE_AFTER, COMMAND_AFTER = 1, 4, 7
LATER_SECONDS = 3.0


class Round:
    """One cluster and the runs on it.

    Args:
        suite: The suite's file.
        out: Folder of the runs.
        seed: Seed of the moments and of the worker that is struck.
    """

    def __init__(self, suite: Path, out: Path, seed: int) -> None:
        self.words = _words(suite, out)
        self.out, self.random = out, random.Random(seed)

    def carry_out(self) -> int:
        """Returns how many runs were whole when the command was killed.

        Raises:
            RuntimeError: The command ended too early, or badly.
        """
        with nodes() as (address, tell):
            on_it = [*self.words, "--engine", "ray", "--address", address]
            command = _start(on_it)
            self._wait(command, WORKER_AFTER)
            os.kill(self.random.choice(_workers()), signal.SIGKILL)
            self._wait(command, NODE_AFTER)
            tell("kill")
            self._wait(command, COMMAND_AFTER)
            command.kill()
            command.communicate()
            whole = self._whole()
            tell("add")
            command = _start(on_it)
            told, _ = command.communicate(timeout=MOST_SECONDS)
            if command.returncode != 0:
                raise RuntimeError(f"the command ended with {command.returncode}: {told}")
        return whole

    def _whole(self) -> int:
        return len(list(self.out.glob("runs/*/result.json")))

    def _wait(self, command: subprocess.Popen[str], runs: int) -> None:
        end = time.monotonic() + MOST_SECONDS
        while self._whole() < runs or not _workers():
            if command.poll() is not None or time.monotonic() > end:
                command.kill()  # If it hangs, it has no end to wait for.
                raise RuntimeError(f"the command ended, or hung: {command.communicate()[0]}")
            time.sleep(0.02)
        time.sleep(self.random.uniform(0, LATER_SECONDS))


def _words(suite: Path, out: Path) -> list[str]:
    seeds = ",".join(map(str, range(SEEDS)))
    return ["run", str(suite), "--out", str(out), "--device", "cpu", "--seeds", seeds]


def _start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", AEBENCH, *words, "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _workers() -> list[int]:
    """Returns the numbers of the processes in which Ray carries out runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # It ended just now.
            found += [int(path.parent.name)] if b"ray::_serve" in path.read_bytes() else []
    return found


def _set_environment(work: Path) -> None:
    """Takes the user's own cluster and token away, and pins what the commands use."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    os.environ |= {
        "HOME": str(work),
        **SETTINGS,
        "AEBENCH_CACHE": str(work / "cache"),
        "AEBENCH_SAVE_SECONDS": "0.1",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> int:
    """Carries out the rounds and writes their counts after each."""
    args = _parse()
    work = Path(tempfile.mkdtemp(prefix="cluster-"))
    _set_environment(work)
    suite, whole = work / "suite.toml", work / "whole"
    suite.write_text(SUITE.replace("steps = 60", "steps = 600"), encoding="utf-8")
    undisturbed = _start([*_words(suite, whole), "--workers", "2"])
    told, _ = undisturbed.communicate(timeout=MOST_SECONDS)
    if undisturbed.returncode != 0:
        raise RuntimeError(f"the undisturbed run ended with {undisturbed.returncode}: {told}")
    about = (commit(), versions(), device_name("cpu"))
    lines: list[tuple[object, ...]] = [CLUSTER_COLUMNS]
    troubles: list[str] = []
    for seed in range(args.seed, args.seed + args.rounds):
        audit, out = Audit(), work / f"round-{seed}"
        expected = rows_of(whole, audit)
        before = Round(suite, out, seed).carry_out()
        compare(rows_of(out, audit), expected, expected, audit, str(out))
        compare_folders(out, whole, audit)
        counts = [getattr(audit, name) for name in CHECKS]
        lines.append((seed, SEEDS * 2, before, *counts, *about, now()))
        troubles += audit.troubles
        write_atomically(args.out / CLUSTER, csv_text(lines))
        write_page(args.out)
        sys.stderr.write(f"round {seed}: {before} runs whole at the command's death\n")
    return conclude(troubles, work)


if __name__ == "__main__":
    sys.exit(main())

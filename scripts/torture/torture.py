"""Kills `aebench run` and `aebench report` at random moments, and checks that nothing is lost.

Each kill is followed by a restart of the same command. When a folder is finished, its rows,
logs and weights are compared with those of an undisturbed run, and a fresh folder is begun,
until the wanted numbers of SIGKILL, SIGTERM and SIGINT have struck. Writes torture.csv and
README.md; exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit import (
    Audit,
    Rows,
    check_files,
    compare,
    compare_folders,
    conclude,
    rows_of,
    temporary_files,
)
from page import write_page, write_table
from process import End, carry_out, prepare
from subject import SUITE

RESULTS = Path(__file__).resolve().parents[2] / "results" / "reliability"
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
# A run goes on from where it was, so it is struck early, each time a bit later; a report starts
# afresh, so it is let through at times.
EARLY = 0.25
PATIENCE = 1.05
STRUCK_REPORTS = 0.5
STOPPED = ("aebench: Stopped", "aebench: Interrupted")


@dataclass
class Tally:
    """What one signal did.

    Attributes:
        wanted: How often it shall strike.
        phases: How often it struck in each phase.
        restarts: Commands started after a hit.
        rounds: Folders finished and compared.
        unclean: Processes that did not stop as they should.
    """

    wanted: int
    phases: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    rounds: int = 0
    unclean: int = 0

    @property
    def hits(self) -> int:
        """How often it struck."""
        return sum(self.phases.values())


class Torture:
    """The undisturbed run, and rounds that are disturbed.

    Args:
        work: Folder for everything.
        seed: Seed of the times of the kills.
        seeds: The suite's seeds, run and reported one after the other: a report replaces an
            older one.
    """

    def __init__(self, work: Path, seed: int, seeds: Sequence[str]) -> None:
        self.seeds = seeds
        self.work, self.random, self.audit = work, random.Random(seed), Audit()
        self.suite = work / "torture.toml"
        self.suite.write_text(SUITE, encoding="utf-8")
        prepare(self.suite)
        self.whole = work / "whole"
        self.seconds: dict[str, float] = {}
        self.expected: dict[str, Rows] = {}
        for step, arguments in self._steps(self.whole):
            end = self._start(self.whole, arguments)
            if end.code != 0:
                raise RuntimeError(f"the undisturbed run ended with {end.code}: {end.told}")
            self.seconds[step] = end.seconds
            self.expected[step] = rows_of(self.whole / "out", self.audit)

    def strike(self, name: str, tally: Tally, publish: Callable[[], None]) -> None:
        """Starts rounds until a signal has struck as often as wanted, and ends the last.

        Args:
            name: The signal.
            tally: Its counts.
            publish: Called after each round.
        """
        while tally.hits < tally.wanted:
            folder = self.work / f"{name}-{tally.rounds}"
            known: Rows = {}
            for step, arguments in self._steps(folder):
                known = self._finish(folder, step, arguments, known, name, tally)
            self._compare_end(folder)
            tally.rounds += 1
            sys.stderr.write(f"{name}: {tally.hits} of {tally.wanted}, {tally.rounds} rounds\n")
            publish()
            if not self.audit.troubles:
                shutil.rmtree(folder)

    def _finish(
        self,
        folder: Path,
        step: str,
        arguments: list[str],
        known: Rows,
        name: str,
        tally: Tally,
    ) -> Rows:
        """Starts a command again and again until it is done; returns the rows then there."""
        hit, before = True, tally.hits
        while hit:
            struck = tally.hits - before
            seconds = self._moment(step, struck) if tally.hits < tally.wanted else None
            end = self._start(folder, arguments, seconds, SIGNALS[name])
            hit = end.hit
            if hit:
                tally.phases[end.phase] += 1
                tally.restarts += 1
                self._check_stop(end, folder, name, tally)
            elif end.code != 0:
                raise RuntimeError(f"'{step}' ended with {end.code}: {end.told}")
            known = self._check(folder, step, known)
        return known

    def _moment(self, step: str, struck: int) -> float | None:
        """Returns when to strike, in seconds; None to let the command through."""
        if step.startswith("run"):
            return self.random.uniform(0, EARLY * PATIENCE**struck * self.seconds[step])
        struck = self.random.random() < STRUCK_REPORTS
        return self.random.uniform(0, self.seconds[step]) if struck else None

    def _check(self, folder: Path, step: str, known: Rows) -> Rows:
        check_files(folder, self.audit)
        found = rows_of(folder / "out", self.audit)
        compare(found, self.expected[step], known, self.audit, str(folder))
        return found

    def _check_stop(self, end: End, folder: Path, name: str, tally: Tally) -> None:
        """Checks that a process ended as its signal wants."""
        if name == "SIGKILL":
            clean = end.code == -signal.SIGKILL
        else:
            clean = end.code == 1 and end.told.count("\n") == 1 and end.told.startswith(STOPPED)
            clean = clean and not temporary_files(folder)
            if end.phase == "training":
                states = [*folder.rglob("state.safetensors"), *folder.rglob("checkpoint.*")]
                clean = clean and bool(states)
        if not clean:
            tally.unclean += 1
            told = f"{name} while {end.phase}: exit code {end.code}, {temporary_files(folder)}"
            self.audit.troubles.append(f"{told}, {end.told!r}")

    def _compare_end(self, folder: Path) -> None:
        last = list(self.expected)[-1]
        found = rows_of(folder / "out", self.audit)
        compare(found, self.expected[last], self.expected[last], self.audit, str(folder))
        compare_folders(folder, self.whole, self.audit)

    def _start(
        self, folder: Path, arguments: list[str], seconds: float | None = None, number: int = 0
    ) -> End:
        folder.mkdir(exist_ok=True)
        os.environ["AEBENCH_CACHE"] = str(folder / "cache")
        return carry_out(arguments, self.work / "stderr.txt", seconds, number)

    def _steps(self, folder: Path) -> list[tuple[str, list[str]]]:
        """Returns the commands of one round with their names."""
        out = str(folder / "out")
        steps = []
        for seeds in self.seeds:
            run = ["run", str(self.suite), "--out", out, "--seeds", seeds, "--device", "cpu"]
            steps.append((f"run of seeds {seeds}", [*run, "--workers", "1"]))
            steps.append((f"report of seeds {seeds}", ["report", out]))
        return steps


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="SIGKILL")
    parser.add_argument("--stops", type=int, default=50, help="SIGTERM, and as many SIGINT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", nargs="+", default=["0", "0,1,2"], help="of the suite")
    parser.add_argument("--save-seconds", default="0.02", help="time between saved states")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--readme", action="store_true", help="only write README.md again")
    return parser.parse_args()


def main() -> int:
    """Runs the torture and writes its report."""
    args = _parse()
    if args.readme:
        write_page(args.out)
        return 0
    os.environ["AEBENCH_SAVE_SECONDS"] = args.save_seconds
    started = time.monotonic()
    counts = {"SIGKILL": args.kills, "SIGTERM": args.stops, "SIGINT": args.stops}
    tallies = {name: Tally(count) for name, count in counts.items()}
    work = Path(tempfile.mkdtemp(prefix="torture-"))
    torture = Torture(work, args.seed, args.seeds)

    def publish() -> None:
        write_table(args.out, tallies, torture.audit, args.seed, time.monotonic() - started)
        write_page(args.out)

    for name, tally in tallies.items():
        torture.strike(name, tally, publish)
    gc.unfreeze()
    return conclude(torture.audit.troubles, work)


if __name__ == "__main__":
    sys.exit(main())

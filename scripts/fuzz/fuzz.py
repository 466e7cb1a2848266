"""Fuzzes every parser of files; writes the counts and exits 1 if one fails in another way.

    python scripts/fuzz/fuzz.py results/reliability/fuzz.csv [--seed 0] [--share 1.0] [--only NAME]

Each input is a valid file, mutated. It is accepted, or refused by an error that the parser
documents. Another exception, a warning, more than five seconds of processor time or more than
512 MiB is a crash: the input is made smaller and kept below ``--keep``.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aebench.bench.files.csv_cells import csv_text
from aebench.bench.files.storage import write_atomically
from aebench.bench.records.provenance import commit, device_name, now, versions
from mutations import mutate_bytes
from targets import Target, all_targets

SECONDS = 5.0
LARGEST_GROWTH = 512 << 20
COLUMNS = (
    *("parser", "inputs", "documented_errors", "accepted", "crashes"),
    *("seed", "commit", "versions", "device", "date"),
)


class TooLarge(Exception):
    """The parser took more than 512 MiB."""


class TooSlow(BaseException):
    """The parser took more than five seconds of processor time."""


@dataclass
class Count:
    """What became of the inputs of one parser.

    Attributes:
        parser: The target's name.
        refused: How many raised a documented error.
        accepted: How many were read.
        crashes: For each crash the smallest input found and the error.
    """

    parser: str
    refused: int = 0
    accepted: int = 0
    crashes: list[tuple[bytes, str]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """All inputs."""
        return self.refused + self.accepted + len(self.crashes)


def fuzz(target: Target, inputs: int, seed: int, folder: Path) -> Count:
    """Gives a parser so many mutated files.

    Args:
        target: The parser.
        inputs: How many files; the valid ones come first and must be accepted.
        seed: What the mutations are drawn from, with the target's name.
        folder: An empty folder.
    """
    rng = random.Random(f"{seed}/{target.name}")
    for name, content in target.beside:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / target.file).parent.mkdir(parents=True, exist_ok=True)
    (folder / target.file).write_bytes(target.seeds[0])
    target.parse(folder / target.file)  # What it imports is no part of any input's cost.
    count = Count(target.name)
    for at in range(inputs):
        data = target.seeds[at % len(target.seeds)]
        if at >= len(target.seeds):
            data = rng.choice(target.mutations)(data, rng)
            if rng.random() < 0.1:
                data = mutate_bytes(data, rng)
        outcome = attempt(target, data, folder / target.file)
        if isinstance(outcome, BaseException) and not isinstance(outcome, target.errors):
            kind = describe(outcome)
            if kind not in (known for _, known in count.crashes):
                data = smaller(target, data, folder / target.file, kind)
            count.crashes.append((data, kind))
        elif isinstance(outcome, BaseException):
            count.refused += 1
        else:
            count.accepted += 1
    return count


def attempt(target: Target, data: bytes, path: Path) -> object:
    """Parses one input and returns what was raised, or ``True``."""
    path.write_bytes(data)
    before = _memory()
    timer = signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        target.parse(path)
    except TooSlow as error:
        return error
    except Exception as error:
        outcome: object = error
    else:
        outcome = True
    finally:
        signal.setitimer(signal.ITIMER_PROF, *timer)
    after = _memory()
    if after["VmPeak"] > before["VmPeak"]:
        grown = after["VmPeak"] - before["VmSize"]
        if grown > LARGEST_GROWTH:
            return TooLarge(f"{grown >> 20} MiB")
    return outcome


def smaller(target: Target, data: bytes, path: Path, kind: str) -> bytes:
    """Returns a shorter input that fails in the same way, where cutting leads to one."""
    deadline = time.monotonic() + 2
    size = len(data) // 2
    while size and time.monotonic() < deadline:
        for start in range(0, len(data), size):
            shorter = data[:start] + data[start + size :]
            outcome = attempt(target, shorter, path)
            if isinstance(outcome, BaseException) and describe(outcome) == kind:
                data = shorter
                break
            if time.monotonic() > deadline:
                break
        else:
            size //= 2
    return data


def describe(error: BaseException) -> str:
    """Returns an error's type and where its last line in the product stands."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if re.search(r"/(bench|metrics|models)/\w+\.py$", code.co_filename):
            place = f"{Path(code.co_filename).name}:{code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__} in {place}"


def run(
    seed: int, share: float, only: str = "", least: int = 1, keep: Path | None = None
) -> Iterable[Count]:
    """Yields the count of each parser whose name contains ``only``."""
    signal.signal(signal.SIGPROF, _stop)
    logging.getLogger("aebench").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=_memory_disk()) as scratch, warnings.catch_warnings():
        set_warnings()
        for target in all_targets(Path(scratch)):
            if only not in target.name:
                continue
            folder = Path(scratch) / "work"
            folder.mkdir()
            started = time.monotonic()
            count = fuzz(target, max(least, round(target.inputs * share)), seed, folder)
            shutil.rmtree(folder)
            _tell(count, time.monotonic() - started, keep)
            yield count


def set_warnings() -> None:
    """Makes a warning an error, but for those that numpy and Pillow give of a file they read."""
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
    warnings.filterwarnings("ignore", "TypedStorage is deprecated", UserWarning)
    warnings.filterwarnings("ignore", "Reading `.npy`", UserWarning)


def write(path: Path, counts: list[Count], seed: int) -> None:
    """Writes one line for each parser and one for all; lines of other parsers are kept."""
    about = (seed, commit(), versions(), device_name("cpu"), now())
    lines: dict[str, tuple[object, ...]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            lines = {line[0]: tuple(line) for line in csv.reader(file)}
    for name in (COLUMNS[0], "all"):
        lines.pop(name, None)
    for c in counts:
        lines[c.parser] = (c.parser, c.inputs, c.refused, c.accepted, len(c.crashes), *about)
    total = (sum(int(str(line[at])) for line in lines.values()) for at in range(1, 5))
    write_atomically(path, csv_text([COLUMNS, *lines.values(), ("all", *total, *about)]))


def main() -> int:
    """Parses the command line, fuzzes and writes the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="CSV file of the counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the 100,000 inputs and more")
    parser.add_argument("--only", default="", help="parsers whose name contains this")
    parser.add_argument("--keep", type=Path, help="folder for inputs that crash")
    arguments = parser.parse_args()
    least = 3000 if arguments.share >= 1 else 1
    counts = list(run(arguments.seed, arguments.share, arguments.only, least, arguments.keep))
    if arguments.out is not None:
        write(arguments.out, counts, arguments.seed)
    return int(any(count.crashes for count in counts))


def _tell(count: Count, seconds: float, keep: Path | None) -> None:
    sys.stderr.write(
        f"{count.parser}: {count.inputs} inputs, {count.refused} refused, {count.accepted} "
        f"accepted, {len(count.crashes)} crashes in {seconds:.0f} s\n"
    )
    kinds: dict[str, bytes] = {}
    for data, kind in count.crashes:
        if len(data) < len(kinds.get(kind, data + b" ")):
            kinds[kind] = data
    for kind, data in kinds.items():
        sys.stderr.write(f"  {kind}\n    {data[:150]!r}\n")
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{zlib.crc32(kind.encode()):08x}").write_bytes(data)


def _memory_disk() -> Path | None:
    place = Path("/dev/shm")
    return place if place.is_dir() and os.access(place, os.W_OK) else None


def _memory() -> dict[str, int]:
    found = {"VmPeak": 0, "VmSize": 0}
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="ascii").splitlines() if status.is_file() else ():
        name, _, value = line.partition(":")
        if name in ("VmPeak", "VmSize"):
            found[name] = int(value.split()[0]) << 10
    return found


def _stop(number: int, frame: object) -> None:
    raise TooSlow(f"more than {SECONDS:g} s")


if __name__ == "__main__":
    raise SystemExit(main())

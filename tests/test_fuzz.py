"""A short fuzz of every parser in each test run, and the whole one among the long tests."""

import csv
import importlib
import logging
import mmap
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts" / "fuzz"
sys.path.insert(0, str(SCRIPTS))
fuzz = importlib.import_module("fuzz")
with tempfile.TemporaryDirectory() as scratch:
    TARGETS = fuzz.all_targets(Path(scratch))


CASES = [pytest.param(target, id=target.name) for target in TARGETS]


@pytest.fixture(autouse=True)
def alarm(monkeypatch):
    before = signal.signal(signal.SIGPROF, fuzz._stop)
    monkeypatch.setattr(logging.getLogger("aebench"), "disabled", True)
    with warnings.catch_warnings():
        fuzz.set_warnings()
        yield
    signal.signal(signal.SIGPROF, before)


@pytest.mark.parametrize("target", CASES)
def test_a_mutated_file_is_read_or_refused_by_a_documented_error(target, tmp_path):
    count = fuzz.fuzz(target, 50, seed=1, folder=tmp_path)
    assert count.inputs == 50
    assert [kind for _, kind in count.crashes] == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_file_that_is_mutated_is_accepted_as_it_is(target, tmp_path):
    count = fuzz.fuzz(target, len(target.seeds), seed=1, folder=tmp_path)
    assert count.accepted == len(target.seeds)


def test_the_whole_fuzz_has_at_least_100000_inputs_and_3000_for_each_parser():
    assert sum(target.inputs for target in TARGETS) >= 100_000
    assert min(target.inputs for target in TARGETS) >= 3000


def test_another_exception_a_warning_a_hang_and_a_large_allocation_are_crashes(
    tmp_path, monkeypatch
):
    def parse(path):
        first = path.read_bytes()[:1]
        if first == b"1":
            raise KeyError("undocumented")
        if first == b"2":
            warnings.warn("odd", RuntimeWarning, stacklevel=1)
        if first == b"3":
            while True:
                pass
        if first == b"4":
            mmap.mmap(-1, 800 << 20).close()
        if first == b"5":
            raise ValueError("documented")

    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    seeds = tuple(str(i).encode() for i in range(6))
    target = fuzz.Target("made", "x", seeds, (), parse, (ValueError,))
    count = fuzz.fuzz(target, 6, seed=0, folder=tmp_path)
    kinds = [kind.partition(" ")[0] for _, kind in count.crashes]
    assert kinds == ["KeyError", "RuntimeWarning", "TooSlow", "TooLarge"]
    assert (count.accepted, count.refused) == (1, 1)


def test_the_counts_are_written_with_their_provenance(tmp_path):
    counts = [fuzz.Count("a", 1, 2, [(b"", "KeyError")]), fuzz.Count("b", 3, 4)]
    fuzz.write(tmp_path / "fuzz.csv", counts, seed=7)
    with (tmp_path / "fuzz.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [tuple(line.values())[:6] for line in lines] == [
        ("a", "4", "1", "2", "1", "7"),
        ("b", "7", "3", "4", "0", "7"),
        ("all", "11", "4", "6", "1", "7"),
    ]
    fuzz.write(tmp_path / "fuzz.csv", [fuzz.Count("a", 5, 5)], seed=8)
    with (tmp_path / "fuzz.csv").open(newline="") as file:
        again = [tuple(line.values())[:6] for line in csv.DictReader(file)]
    assert again[0] == ("a", "10", "5", "5", "0", "8") and again[1][5] == "7"
    assert again[2][:5] == ("all", "17", "8", "9", "0")
    assert all(line["versions"] and line["device"] and line["date"] for line in lines)


@pytest.mark.long
def test_more_than_100000_mutated_files_are_read_or_refused():
    counts = list(fuzz.run(seed=1, share=1.0, least=3000))
    assert sum(count.inputs for count in counts) >= 100_000
    crashed = {count.parser: count.crashes for count in counts if count.crashes}
    assert not crashed

from __future__ import annotations

import csv
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.files import storage
from aebench.bench.files.storage import write_atomically
from aebench.bench.records import results
from aebench.bench.records.results import frame, read_results, records_of, write_results

SCRIPT = Path(__file__).parents[1] / "scripts" / "torture" / "torture.py"
FACTORY = Path(__file__).with_name("row_factory.py")
NOBODY = 2**22 + 1


def _torture(out, *arguments):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(out), *arguments],
        capture_output=True,
        text=True,
    )
    with (out / "torture.csv").open(newline="") as stream:
        found = {(r["signal"], r["quantity"]): r["value"] for r in csv.DictReader(stream)}
    return done, found


def _check(done, found, kills, stops):
    assert done.returncode == 0, done.stderr
    wanted = {"SIGKILL": kills, "SIGTERM": stops, "SIGINT": stops}
    assert {name: int(found[name, "delivered"]) for name in wanted} == wanted
    for quantity in ("lost", "doubled", "altered", "broken", "leftovers"):
        assert found["", quantity] == "0", quantity
    assert int(found["", "files"]) > 0 and int(found["", "rows"]) > 0


@pytest.mark.timeout(300)
def test_a_few_kills_and_stops_lose_nothing(tmp_path):
    done, found = _torture(tmp_path, "--kills", "2", "--stops", "1", "--seeds", "0")
    _check(done, found, 2, 1)
    assert "| rows lost | 0 |" in (tmp_path / "README.md").read_text()


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_five_hundred_kills_and_fifty_stops_of_each_kind_lose_nothing(tmp_path):
    done, found = _torture(tmp_path, "--kills", "500", "--stops", "50")
    _check(done, found, 500, 50)
    assert all(int(found["SIGKILL", phase]) > 0 for phase in _phases())


def _phases():
    text = SCRIPT.with_name("process.py").read_text()
    listed = re.search(r"PHASES = \((.*?)\)", text, re.DOTALL)
    return re.findall(r'"(.+?)"', listed[1])


def test_a_report_that_was_killed_between_a_table_and_its_checksums_is_no_obstacle(
    tmp_path, monkeypatch
):
    make_row = runpy.run_path(str(FACTORY))["make_row"]
    table = tmp_path / "results.csv"
    write_results(table, frame([make_row(value=1.0)]))
    write = results.write_atomically

    def killed(path, data):
        if path.name.endswith(".sha256"):
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(results, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write_results(table, frame([make_row(value=2.0), make_row(value=1.5, seed=1)]))
    monkeypatch.undo()
    read = read_results(tmp_path)
    assert read.table_is_sound and not read.warnings
    assert {row["value"] for row in records_of(read.rows)} == {1.5, 2.0}


def test_every_fault_of_the_page_has_the_test_that_it_names():
    faults = runpy.run_path(str(SCRIPT.with_name("faults.py")))["FAULTS"]
    for fault, _, test in faults:
        file, name = test.split("::")
        source = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert f"def {name}(" in source, fault


def test_whoever_writes_next_removes_what_a_killed_writer_left(tmp_path):
    left = tmp_path / f".README.md.{storage._host()}-{NOBODY}.abc.part"
    other = tmp_path / f".README.md.00000000-{NOBODY}.abc.part"
    left.write_text("half")
    other.write_text("of another machine")
    write_atomically(tmp_path / "results.csv", "whole")
    assert not left.exists() and other.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_any_command_with_one_line_and_exit_code_1(
    tmp_path, monkeypatch, capsys, number
):
    def strike(*arguments):
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr("aebench.bench.pages.report.suite_folders", strike)
    # A shell's background job ignores SIGINT from its start.
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}[number]
    inherited = signal.signal(number, usual)
    try:
        assert main(["report", str(tmp_path)]) == 1
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, inherited)
    told = capsys.readouterr().err
    assert told.startswith("aebench: Interrupted.") and told.count("\n") == 1

"""The page over many results names what was run, where, and what is missing."""

from __future__ import annotations

import runpy
from pathlib import Path

from aebench.bench.pages.overview import build_overview
from aebench.bench.records.results import frame, write_results
from aebench.bench.suites.suite_files import suite_names

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))


def test_the_page_shows_each_suite_with_its_reading_and_lists_what_was_not_run(tmp_path):
    for name, seconds in (("quick", 1800.0), ("likelihood", 3600.0)):
        rows = FACTORY["table_rows"](objectives=("vae", "ae"), suite=name, compute_seconds=seconds)
        write_results(tmp_path / name / "results.csv", frame(rows))
    [path] = build_overview([tmp_path / "quick", tmp_path / "likelihood"], tmp_path)
    text = path.read_text()
    assert "## [quick (scale: small)](quick/README.md)" in text
    assert text.count("2 objectives on fashion-mini") == 2
    trained = [row for row in rows if row["objective"] != "floor"]
    runs, seeds = len({row["run"] for row in trained}), len({row["seed"] for row in trained})
    counts = f"{runs} | 2 | {seeds} | {runs:.2f} | cpu | 2.11 | `0123456`"
    assert f"| likelihood (scale: small) | {counts} |" in text
    last = text.rpartition("## Not run here")[2]
    assert "`quick`" not in last
    assert all(f"`{n}`" in last for n in suite_names() if n not in ("quick", "likelihood"))


def test_the_page_has_a_verdict_of_each_suite_on_each_claim(tmp_path):
    for name, seeds in (("one", 6), ("two", 1)):
        rows = FACTORY["table_rows"](objectives=("rae", "ae"), suite=name, seeds=range(seeds))
        write_results(tmp_path / name / "results.csv", frame(rows))
    [path] = build_overview([tmp_path / "one", tmp_path / "two"], tmp_path)
    text = path.read_text()
    found = ("supported", "supported", "supported", "-", "-", "-", "-", "-", "-")
    assert f"| one (scale: small) | {' | '.join(found)} | 1,000 steps" in text
    found = ("undecided", "undecided", "undecided", "-", "-", "-", "-", "-", "-")
    assert f"| two (scale: small) | {' | '.join(found)} | 1,000 steps" in text


def test_hours_that_no_run_measured_are_not_made_up_from_wall_seconds(tmp_path):
    rows = FACTORY["table_rows"](objectives=("ae",), suite="one", compute_seconds=None)
    write_results(tmp_path / "one" / "results.csv", frame(rows))
    [path] = build_overview([tmp_path / "one"], tmp_path)
    assert "| one (scale: small) | 3 | 1 | 3 | - | cpu |" in path.read_text()


def test_hours_of_two_devices_are_never_one_number(tmp_path):
    rows = FACTORY["table_rows"](objectives=("ae",), compute_seconds=3600.0)
    short = {"device": "NVIDIA H200", "compute_seconds": 36.0, "steps": 9, "variant": '{"w":1}'}
    rows += FACTORY["table_rows"](objectives=("ae",), **short)
    write_results(tmp_path / "one" / "results.csv", frame(rows))
    [path] = build_overview([tmp_path / "one"], tmp_path)
    assert "| 0.03 on NVIDIA H200, 3.00 on cpu | NVIDIA H200, cpu |" in path.read_text()

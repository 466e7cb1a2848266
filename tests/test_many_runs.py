"""What a folder of many runs costs: each run's files are read equally often, however many."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from aebench.bench.records.per_image import ScoreKey, read_per_image
from aebench.bench.records.results import read_results
from aebench.bench.records.trainings import by_run
from aebench.bench.runs.folder import ResultsFolder

ROOT = Path(__file__).parent.parent
FACTORY = runpy.run_path(str(ROOT / "tests" / "row_factory.py"))
make_row, write_runs = FACTORY["make_row"], FACTORY["write_runs"]


def folder_of(path, count):
    rows = [make_row(run=f"{at:016x}", seed=at) for at in range(count)]
    return write_runs(path, rows, arrays=False, log=False)


def calls_in(work):
    """Returns how many Python calls a piece of work makes."""
    counts = Counter()
    sys.setprofile(lambda frame, event, of: counts.update([event]))
    try:
        work()
    finally:
        sys.setprofile(None)
    return counts["call"]


@pytest.mark.parametrize("work", [ResultsFolder, read_per_image], ids=["watch", "likelihoods"])
def test_four_times_the_runs_take_four_times_the_calls(work, tmp_path):
    few, many = folder_of(tmp_path / "few", 50), folder_of(tmp_path / "many", 200)
    work(few)  # What is imported or compiled once is not counted.
    assert calls_in(lambda: work(many)) <= 4.2 * calls_in(lambda: work(few))


def test_each_result_is_decoded_once_by_two_looks(tmp_path, monkeypatch):
    from aebench.bench.runs import folder

    seen = Counter()
    decode = folder.decode_result
    monkeypatch.setattr(
        folder, "decode_result", lambda text, run: (seen.update([run]), decode(text, run))[1]
    )
    ResultsFolder(folder_of(tmp_path, 30)).look()
    assert len(seen) == 30 and set(seen.values()) == {1}


def test_scores_are_sorted_by_run():
    keys = [
        ScoreKey(run, "", "log_prob", "exact", "native", None, n) for run in "ab" for n in (1, 2)
    ]
    assert {run: list(own) for run, own in by_run(dict.fromkeys(keys)).items()} == {
        "a": keys[:2],
        "b": keys[2:],
    }


def test_rows_of_a_directory_take_the_place_of_those_in_the_table(tmp_path):
    from aebench.bench.records.results import frame, write_results

    folder = folder_of(tmp_path, 5)
    old = [make_row(run=f"{at:016x}", seed=at, value=9.0) for at in range(3, 8)]
    write_results(folder / "results.csv", frame(old))
    found = read_results(folder).rows.set_index("seed")["value"].to_dict()
    assert found == {**dict.fromkeys(range(5), 1.0), **dict.fromkeys(range(5, 8), 9.0)}


@pytest.mark.long
def test_ten_thousand_runs_are_watched_within_two_gibibytes(tmp_path):
    make = [sys.executable, str(ROOT / "scripts" / "many_runs.py"), str(tmp_path), "--runs"]
    subprocess.run([*make, "10000"], check=True)
    script = (
        "import resource, sys\nfrom aebench.bench.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10))\n"
        "sys.exit(code)"
    )
    words = [sys.executable, "-c", script, "watch", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "10000 runs" in done.stdout or "10,000 runs" in done.stdout
    assert int(done.stderr) < 2048

"""What a folder of many runs costs: each run's files are read equally often, however many."""

from __future__ import annotations

import cProfile
import json
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from aebench.bench.comparison.cells import column_cells
from aebench.bench.comparison.columns import columns_of
from aebench.bench.comparison.lost import SCORE, spread_lost
from aebench.bench.comparison.parts import table_parts
from aebench.bench.comparison.significance import paired_p_values
from aebench.bench.records.per_image import ScoreKey, read_per_image
from aebench.bench.records.results import read_results
from aebench.bench.records.trainings import by_run
from aebench.bench.runs.folder import ResultsFolder
from aebench.bench.tables.paired import paired_scores, with_methods

ROOT = Path(__file__).parent.parent
FACTORY = runpy.run_path(str(ROOT / "tests" / "row_factory.py"))
make_row, write_runs = FACTORY["make_row"], FACTORY["write_runs"]


def folder_of(path, count):
    rows = [make_row(run=f"{at:016x}", seed=at) for at in range(count)]
    return write_runs(path, rows, arrays=False, log=False)


def cost_of(work):
    """Returns how many Python calls a piece of work makes and cells it takes out of frames."""
    import pandas as pd

    counts = Counter()
    take = pd.DataFrame.__getitem__

    def counted(frame, key):
        found = take(frame, key)
        counts["cells"] += found.size
        return found

    pd.DataFrame.__getitem__ = counted
    profile = cProfile.Profile(builtins=False)
    try:
        profile.runcall(work)
    finally:
        pd.DataFrame.__getitem__ = take
    calls = sum(entry.callcount for entry in profile.getstats())
    return np.array([calls, counts["cells"]])


@pytest.mark.parametrize("work", [ResultsFolder, read_per_image], ids=["watch", "likelihoods"])
def test_four_times_the_runs_take_four_times_the_calls(work, tmp_path):
    few, many = folder_of(tmp_path / "few", 50), folder_of(tmp_path / "many", 200)
    work(few)  # What is imported or compiled once is not counted.
    assert (cost_of(lambda: work(many)) <= 4.2 * cost_of(lambda: work(few))).all()


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


def settings_rows(count, seeds=5):
    """Returns rows of so many settings of one objective: three scores, one of them a bound."""
    scores = (
        {"metric": "fd"},
        {"metric": "fd", "images": "sample", "density": "gaussian"},
        {
            **{"metric": "log_prob", "images": "test", "kind": "lower bound", "model": "native"},
            **{"better": "higher", "space": "logit", "samples_k": 100, "features": ""},
            **{"n_generated": None, "stderr": 0.5, "ess_median": 50.0, "value": -90.0},
        },
    )
    rows = [make_row(objective="floor", images="test", value=0.5, run="f" * 16)]
    for at in range(count):
        for seed in range(seeds):
            draw = np.random.default_rng([at, seed])
            lost = {"status": "diverged", "metric": ""} if (at, seed) == (1, 1) else {}
            for score in scores[: 1 if lost else None]:
                moved = float(draw.normal()) + score.get("value", 10.0)
                own = {**score, **lost, "space": "logit", "value": moved}
                variant = json.dumps({"weight": at})
                rows.append(make_row(objective="rae", variant=variant, seed=seed, **own))
    return rows


def page_of(count):
    """Returns what writes a page on so many settings, from rows that are read already."""
    rows = FACTORY["frame"](settings_rows(count))

    def write(path=None):
        from aebench.bench.pages.claims import findings, reading
        from aebench.bench.pages.report import all_tables, missing_runs

        judged = findings(rows, {})
        tables, _ = all_tables(rows, {})
        texts = [table.as_markdown() + table.as_csv() for table in tables]
        return [*texts, reading(rows, judged), *missing_runs(rows)]

    return write


@pytest.mark.long
def test_four_times_the_settings_take_four_times_the_calls_and_cells_of_a_page():
    few, many = page_of(30), page_of(120)
    assert len(few()) >= 5  # What is imported or compiled once is not counted.
    assert (cost_of(many) <= 4.2 * cost_of(few)).all()


def test_four_times_the_scores_are_compared_with_four_times_the_calls():
    def compared(count):
        rows = FACTORY["frame"](settings_rows(count))
        moved = rows.assign(value=rows["value"] + 1.0)
        return lambda: paired_scores(*with_methods([rows, moved]))

    few, many = compared(50), compared(200)
    few()
    assert (cost_of(many) <= 4.2 * cost_of(few)).all()


def test_a_cell_says_what_the_rows_of_its_method_say():
    rows = FACTORY["frame"](settings_rows(8))
    [part] = table_parts(rows)
    own = part.rows[part.rows["metric"] == "fd"]
    own = own[own["images"] == "reconstruction"]
    [column] = columns_of(own)[0]
    methods = sorted(set(own["method"]))
    cells = column_cells(column, methods, dict.fromkeys(methods, 5), {})
    assert len(cells) == 8 and sum(cell.seeds == "4/5, 1 diverged" for cell in cells.values()) == 1
    for method, cell in cells.items():
        values = own[(own["method"] == method) & (own["status"] == "ok")]["value"]
        half = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)
        assert (cell.value, cell.half_width) == pytest.approx((values.mean(), half))


def test_p_values_of_many_pairs_are_those_of_each_pair():
    draw = np.random.default_rng(0)
    pairs = []
    for count in (2, 3, 5, 5, 9, 20):
        seeds = draw.permutation(30)[:count].tolist()
        first = {seed: float(draw.normal()) for seed in seeds}
        pairs.append(
            (first, {seed: value + float(draw.normal()) for seed, value in first.items()})
        )
    for (first, second), p in zip(pairs, paired_p_values(pairs), strict=True):
        values = ([own[seed] for seed in sorted(first)] for own in (first, second))
        expected = scipy.stats.ttest_rel(*values).pvalue if len(first) > 2 else 1.0
        assert p == expected


def test_a_diverged_run_stands_in_every_column_of_its_like():
    rows = FACTORY["frame"](settings_rows(3))
    spread = spread_lost(rows)
    lost = spread[spread["status"] == "diverged"]
    like = rows[(rows["objective"] == "rae") & (rows["status"] == "ok")]
    expected = set(map(tuple, like[list(SCORE)].astype(str).drop_duplicates().to_numpy()))
    assert set(map(tuple, lost[list(SCORE)].astype(str).to_numpy())) == expected
    assert set(lost["run"]) == set(rows[rows["status"] == "diverged"]["run"])


def test_plots_of_too_many_settings_are_left_out_with_a_sentence(tmp_path):
    from aebench.bench.figures.all import MOST_SETTINGS, write_figures
    from aebench.bench.figures.run_files import RunFiles

    runs = RunFiles(tmp_path)
    rows = FACTORY["frame"](settings_rows(MOST_SETTINGS + 1, seeds=1))
    assert write_figures(rows, runs, tmp_path / "plots") == []
    [note] = runs.warnings
    assert "no plots" in note and "at most 60 settings and there are 61" in note


def test_a_board_of_too_many_entries_has_no_ranks_and_says_so():
    from aebench.bench.tables.boards import MOST_RANKED, board_entries, board_tables

    def board(count):
        entries = board_entries(FACTORY["frame"](settings_rows(count, seeds=1)))
        of_first = [entry for entry in entries if entry["board"] == entries[0]["board"]]
        return of_first, " ".join(board_tables(of_first)[0].notes)

    few, notes = board(3)
    assert len(few) == 3 and "A rank is an interval" in notes
    many, notes = board(MOST_RANKED + 1)
    assert {entry["rank"] for entry in many} == {"-"} and len(many) == MOST_RANKED + 1
    assert "This board has 301 entries" in notes and "at most 300" in notes


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

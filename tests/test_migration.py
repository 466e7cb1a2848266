"""Rows of schema 1, alone and beside others, as rows of today."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest
from aebench.bench.files.csv_cells import csv_text
from aebench.bench.records.encoding import checksum, decode_result, encode_result
from aebench.bench.records.migration import ADDED, OLDER_COLUMNS
from aebench.bench.records.results import read_results
from aebench.bench.records.rows import BadRow

HERE = Path(__file__).parent
FACTORY = runpy.run_path(str(HERE / "row_factory.py"))
make_row, write_runs = FACTORY["make_row"], FACTORY["write_runs"]
GOLDEN = HERE / "golden" / "schema-1" / "results"


def older(**columns):
    """Returns a row as schema 1 wrote it."""
    row = make_row(**columns)
    return {name: row[name] for name in OLDER_COLUMNS} | {"schema": 1}


def read_older(folder, *rows):
    """Writes a table of schema 1 with its checksums, and reads it."""
    folder.mkdir(exist_ok=True)
    text = csv_text([OLDER_COLUMNS, *(row.values() for row in rows)])
    (folder / "results.csv").write_text(text, encoding="utf-8")
    sums = "".join(checksum(row)[:16] + "\n" for row in rows)
    (folder / "results.csv.sha256").write_text(sums, encoding="ascii")
    return read_results(folder)


def test_older_rows_are_checked_in_the_form_in_which_they_were_written(tmp_path):
    row = older(value=3.0)
    found = read_older(tmp_path, row)
    assert not found.warnings and found.rows["value"].tolist() == [3.0]
    text = (tmp_path / "results.csv").read_text(encoding="utf-8")
    (tmp_path / "results.csv").write_text(
        text + text.splitlines()[1].replace(",3.0,", ",2.0,"), encoding="utf-8"
    )
    assert any("was edited by hand" in told for told in read_results(tmp_path).warnings)


def test_a_column_of_today_in_an_older_row_is_refused():
    with pytest.raises(BadRow, match=r"unknown: .*recipe"):
        decode_result(encode_result("r", [older() | {"recipe": "ab"}]))


def test_seeds_of_one_older_recipe_agree_and_two_recipes_do_not(tmp_path):
    rows = [older(seed=seed) for seed in range(3)]
    rows += [older(seed=0, run="ab" * 8, steps=500), older(seed=0, run="cd" * 8, selection="x")]
    found = read_older(tmp_path, *rows).rows
    assert found["recipe"].nunique() == 3
    assert found[(found["steps"] == 1000) & (found["selection"] != "x")]["recipe"].nunique() == 1


def test_an_older_recipe_made_of_columns_is_none_of_today(tmp_path):
    alone = shutil.copy(GOLDEN / "results.csv", tmp_path / "results.csv").parent
    told, known = read_results(alone).rows, read_results(GOLDEN).rows
    trained = told["objective"] != "floor"
    assert not set(told[trained]["recipe"]) & set(known["recipe"])
    assert set(told[~trained]["recipe"]) == set(known[known["objective"] == "floor"]["recipe"])


def test_an_older_run_that_diverged_has_the_recipe_of_its_like(tmp_path):
    lost = older(seed=2, status="diverged", steps=17)
    found = read_older(tmp_path, older(seed=0), older(seed=1), lost).rows
    assert found["recipe"].nunique() == 1


def test_an_older_bound_with_a_warning_is_not_trusted_and_loses_its_error(tmp_path):
    bound = {"metric": "log_prob", "kind": "lower bound", "stderr": 0.1, "samples_k": 500}
    doubted = older(**bound, seed=0, reason="Effective sample size 1.3 in the median and ...")
    found = read_older(tmp_path, doubted, older(**bound, seed=1), older(seed=2)).rows
    assert found["trusted"].tolist() == ["no", "yes", ""]
    assert found["stderr"].isna().tolist() == [True, False, True]
    assert found["compute_seconds"].isna().all()


def test_older_and_todays_rows_lie_in_one_folder(tmp_path):
    read_older(tmp_path, older(seed=0))
    write_runs(tmp_path, [make_row(seed=1)], arrays=False, log=False)
    found = read_results(tmp_path)
    assert len(found.rows) == 2 and not found.warnings
    assert found.rows.columns[4] == "recipe" and set(ADDED) <= set(found.rows.columns)

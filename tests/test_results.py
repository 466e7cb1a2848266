import csv
import json
import math
import runpy
from pathlib import Path

import pytest
from aebench.bench.errors import UserError
from aebench.bench.files.csv_cells import csv_text
from aebench.bench.pages.report import suite_folders
from aebench.bench.records.encoding import check_record, decode_result, encode_result
from aebench.bench.records.results import (
    frame,
    has_results,
    read_results,
    records_of,
    write_results,
)
from aebench.bench.records.rows import BadRow

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row, table_rows, write_runs = (
    FACTORY[name] for name in ("make_row", "table_rows", "write_runs")
)


def test_rows_come_back_from_json_and_from_csv_as_they_were(tmp_path):
    rows = [make_row(value=1 / 3), make_row(seed=1, status="diverged", reason="nan, at step 4")]
    write_runs(tmp_path, rows, arrays=False, log=False)
    read = read_results(tmp_path)
    write_results(tmp_path / "copy" / "results.csv", read.rows)
    again = read_results(tmp_path / "copy")
    assert records_of(read.rows) == records_of(again.rows)
    assert sorted(r["seed"] for r in records_of(again.rows)) == [0, 1]
    assert {r["value"] for r in records_of(again.rows)} == {1 / 3, None}
    assert read.warnings == again.warnings == ()


def test_a_cell_that_a_spreadsheet_would_run_is_made_harmless_and_numbers_stay():
    text = csv_text([["=HYPERLINK(1)", "+a", "-b", "@c", "\td", "-1.5", -1.5, None, math.nan]])
    cells = next(csv.reader([text]))
    assert [cell[:1] for cell in cells[:5]] == ["'"] * 5
    assert cells[5:] == ["-1.5", "-1.5", "", ""]


def test_a_formula_as_a_name_survives_the_round_trip(tmp_path):
    write_results(tmp_path / "results.csv", frame([make_row(objective="=cmd|x", reason="'-q")]))
    assert "'=cmd|x" in (tmp_path / "results.csv").read_text()
    row = records_of(read_results(tmp_path).rows)[0]
    assert (row["objective"], row["reason"]) == ("=cmd|x", "'-q")


def test_a_half_written_result_is_named_and_the_others_are_read(tmp_path):
    rows = [make_row(seed=0), make_row(seed=1)]
    write_runs(tmp_path, rows, arrays=False, log=False)
    broken = tmp_path / "runs" / rows[0]["run"] / "result.json"
    broken.write_text(broken.read_text()[:200])
    results = read_results(tmp_path)
    assert list(results.rows["seed"]) == [1]
    assert len(results.warnings) == 1
    assert "half-written" in results.warnings[0] and str(broken) in results.warnings[0]


def test_an_edited_result_is_named_and_left_out(tmp_path):
    rows = [make_row(seed=0, value=3.0), make_row(seed=1)]
    write_runs(tmp_path, rows, arrays=False, log=False)
    path = tmp_path / "runs" / rows[0]["run"] / "result.json"
    path.write_text(path.read_text().replace('"value": 3.0', '"value": 2.0'))
    results = read_results(tmp_path)
    assert list(results.rows["seed"]) == [1]
    assert "edited" in results.warnings[0]


def test_an_edited_csv_row_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "results.csv"
    write_results(path, frame([make_row(seed=s, value=3.5 + s) for s in range(3)]))
    path.write_text(path.read_text().replace("4.5", "0.1"))
    results = read_results(tmp_path)
    assert list(results.rows["seed"]) == [0, 2]
    assert "record 2" in results.warnings[0] and "edited by hand" in results.warnings[0]
    assert not results.table_is_sound


def test_a_removed_csv_row_is_noticed(tmp_path):
    path = tmp_path / "results.csv"
    write_results(path, frame([make_row(seed=s) for s in range(3)]))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "1 rows were removed" in read_results(tmp_path).warnings[0]


def test_a_cut_csv_line_is_named(tmp_path):
    path = tmp_path / "results.csv"
    write_results(path, frame([make_row(seed=s) for s in range(2)]))
    path.write_text(path.read_text()[:-60])
    results = read_results(tmp_path)
    assert list(results.rows["seed"]) == [0]
    assert any("half-written" in w for w in results.warnings)


def test_another_schema_is_named_with_both_versions(tmp_path):
    document = json.loads(encode_result("r", [make_row()]))
    with pytest.raises(BadRow, match="schema 7; this version reads schema 2"):
        decode_result(json.dumps(document | {"schema": 7}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "high"}, "column 'value' is 'high'"),
        ({"value": math.nan}, "column 'value' is nan"),
        ({"seed": 1.5}, "column 'seed' is 1.5"),
        ({"status": "fine"}, "status is 'fine'"),
        ({"value": None}, "value is None with status 'ok'"),
    ],
)
def test_a_row_of_the_wrong_form_says_which_column(change, message):
    with pytest.raises(BadRow, match=message):
        check_record(make_row() | change)


def test_the_run_folder_wins_over_an_older_csv(tmp_path):
    write_results(tmp_path / "results.csv", frame([make_row(value=9.0)]))
    write_runs(tmp_path, [make_row(value=2.0)], arrays=False, log=False)
    assert list(read_results(tmp_path).rows["value"]) == [2.0]


def test_an_unfinished_run_is_named(tmp_path):
    write_runs(tmp_path, table_rows(seeds=(0,)), arrays=False, log=False)
    (tmp_path / "runs" / "abc").mkdir()
    assert any("'abc' has no result.json" in w for w in read_results(tmp_path).warnings)


def test_a_folder_without_rows_is_an_error(tmp_path):
    with pytest.raises(UserError, match="No result rows"):
        read_results(tmp_path)
    with pytest.raises(UserError, match="No results folder"):
        read_results(tmp_path / "nowhere")


def test_an_error_names_a_few_bad_rows_and_counts_the_rest(tmp_path):
    table = "a,b\n" + "1,2\n" * 50
    (tmp_path / "results.csv").write_text(table)
    with pytest.raises(UserError, match="47 more like these") as caught:
        read_results(tmp_path)
    assert len(str(caught.value)) < 1500


def test_a_table_of_something_else_is_no_result(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "results.csv").write_text("extractor,value\nlite0,1\n")
    assert not has_results(tmp_path / "study")
    write_results(tmp_path / "suite" / "results.csv", frame([make_row()]))
    assert has_results(tmp_path / "suite")
    assert suite_folders(tmp_path) == [tmp_path / "suite"]


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "results.csv"
    write_results(path, frame([make_row(), make_row(objective="ae")]))
    expected = read_results(tmp_path).rows
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = read_results(tmp_path)
    assert not found.warnings and found.rows.equals(expected)

"""Writing a baseline: what `aebench check --update` refuses, and that it then writes nothing."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli.main import main
from aebench.bench.records.results import write_results
from aebench.bench.regression import check as check_module
from aebench.bench.regression import exact as check_exact

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
table_rows, write_runs, frame = (FACTORY[name] for name in ("table_rows", "write_runs", "frame"))
UPDATE = ("--update", "--reason", "x")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A results folder ``first``, and a baseline ``baseline`` of it with few exact values."""
    monkeypatch.setattr(check_exact, "split_digests", lambda names: ({}, []))
    write_runs(tmp_path / "first", table_rows(seeds=range(3)), arrays=False, log=False)
    (tmp_path / "baseline").mkdir()
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.savez(tmp_path / "baseline" / "features.npz", codes=codes)
    assert check(tmp_path / "first", tmp_path / "baseline", *UPDATE) == 0
    return tmp_path


def check(directory, baseline, *words):
    return main(["check", str(directory), "--against", str(baseline), *words])


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_update_with_the_folders_swapped_is_refused_and_the_results_are_kept(folders, capsys):
    committed, whole = folders / "committed", folders / "first"
    write_results(committed / "results.csv", frame(table_rows(seeds=range(4))))
    for results, what in ((committed, "results.csv"), (whole, "runs")):
        before = content(results)
        assert check(folders / "baseline", results, *UPDATE) == 2
        said = capsys.readouterr().err
        assert f"has {what} but no baseline.json" in said and "Name another" in said
        assert content(results) == before


def test_a_file_in_the_place_of_a_baseline_is_bad_input(folders, capsys):
    (folders / "file").write_text("mine")
    assert check(folders / "first", folders / "file", *UPDATE) == 2
    assert "is a file; expected the folder of a baseline" in capsys.readouterr().err
    assert (folders / "file").read_text() == "mine"


def test_update_and_equivalent_exclude_each_other(folders, capsys):
    before = content(folders)
    with pytest.raises(SystemExit, match="2"):
        check(folders / "first", folders / "baseline", *UPDATE, "--equivalent")
    assert "--equivalent: not allowed with argument --update" in capsys.readouterr().err
    assert content(folders) == before


@pytest.mark.parametrize("words", [(), ("--equivalent",)])
def test_a_reason_without_an_update_is_bad_input(folders, capsys, words):
    assert check(folders / "first", folders / "baseline", "--reason", "meant", *words) == 2
    assert "'--reason' is 'meant' without '--update'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "damaged", "removed"),
    [
        ("baseline.json", b'{"schema": 1, "his', ("baseline.json", "results.csv")),
        ("baseline.json", b'{"schema": 1, "history": 3}', ("baseline.json", "results.csv")),
        ("features.npz", b"PK no archive", ("features.npz",)),
    ],
)
def test_a_damaged_baseline_is_not_half_written_over_and_the_advice_on_it_helps(
    folders, capsys, monkeypatch, name, damaged, removed
):
    monkeypatch.setattr(check_exact, "made_features", lambda: {"codes": np.eye(9, 3)})
    write_runs(folders / "new", table_rows(seeds=range(4)), arrays=False, log=False)
    baseline = folders / "baseline"
    (baseline / name).write_bytes(damaged)
    before = content(baseline)
    for words in ((), UPDATE):
        assert check(folders / "new", baseline, *words) == 2
        said = capsys.readouterr().err
        assert f"{baseline / name}" in said and "Restore it, or remove" in said
        assert all(other in said for other in removed) and "--update --reason" in said
    assert content(baseline) == before
    for other in removed:
        (baseline / other).unlink()
    assert check(folders / "new", baseline, *UPDATE) == 0
    assert check(folders / "new", baseline) == 0


@pytest.mark.parametrize(
    "damaged",
    [
        *(
            "null",
            '{"metrics": null, "data": {}}',
            '{"metrics": {}, "data": {"digits/default": 5}}',
        ),
        *(
            f'{{"metrics": {{"x": {x}}}, "data": {{}}}}'
            for x in ('"a"', "null", "[]", "NaN", "true")
        ),
        f'{{"metrics": {{"x": 1{400 * "0"}}}, "data": {{}}}}',
    ],
)
def test_expected_values_that_are_no_values_are_bad_input_and_the_advice_helps(
    folders, capsys, damaged
):
    (folders / "baseline" / "expected.json").write_text(damaged)
    assert check(folders / "first", folders / "baseline") == 2
    said = capsys.readouterr().err
    assert "expected.json' cannot be read" in said and "--update --reason" in said
    assert check(folders / "first", folders / "baseline", *UPDATE) == 0
    assert check(folders / "first", folders / "baseline") == 0


def test_the_split_of_a_data_set_that_is_not_loaded_is_noted_and_not_checked():
    digests, (note,) = check_exact.split_digests(["of-a-plug-in/default"])
    assert digests == {}
    assert note.startswith("Split of-a-plug-in/default was not checked: Unknown data set")


def test_a_first_baseline_whose_writer_was_killed_is_written_by_the_same_command(
    folders, monkeypatch
):
    def killed(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_module, "write_atomically", killed)
    assert check(folders / "first", folders / "new", *UPDATE) == 1
    monkeypatch.undo()
    assert (folders / "new" / "results.csv").exists()
    assert not (folders / "new" / "baseline.json").exists()
    assert check(folders / "first", folders / "new", *UPDATE) == 0
    assert check(folders / "first", folders / "new") == 0


def test_a_folder_without_a_baseline_is_named_as_such(folders, capsys):
    assert check(folders / "first", folders / "first") == 2
    assert (
        f"No baseline at '{folders / 'first'}'; expected a folder with" in capsys.readouterr().err
    )


def test_results_with_a_damaged_record_of_trainings_leave_the_baseline_as_it_is(folders, capsys):
    write_results(folders / "new" / "results.csv", frame(table_rows(seeds=range(4))))
    (folders / "new" / "trainings.json").write_text('{"schema"')
    before = content(folders / "baseline")
    assert check(folders / "new", folders / "baseline", *UPDATE) == 2
    assert "trainings.json is damaged" in capsys.readouterr().err
    assert content(folders / "baseline") == before

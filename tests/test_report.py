import hashlib
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aebench.bench.files.written import LIST, read_list
from aebench.bench.pages import report
from aebench.bench.pages.report import build_report, missing_runs, provenance_block, suite_folders

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, write_runs = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "write_runs")
)
SHEET = ("test", "reconstruction")
OBJECTIVES = ("vae", "rae", "ae")


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A folder of one run with its report, and the files of the report from there."""
    folder = tmp_path_factory.mktemp("reported")
    write_runs(folder, table_rows(objectives=("vae",), seeds=(0,)), arrays=SHEET, log=False)
    return folder, [path.relative_to(folder) for path in build_report(folder)]


@pytest.fixture
def pictured(reported, tmp_path):
    """The files of a report of one run with pictures, a copy of which lies in ``tmp_path``."""
    folder, files = reported
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return files


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr(report, "write_figures", lambda rows, arrays, folder: [])


def test_the_report_is_whole_and_a_second_one_changes_nothing(pictured, tmp_path):
    files = [tmp_path / path for path in pictured]
    names = {path.relative_to(tmp_path).as_posix() for path in files}
    assert {"results.csv", "tables/fd.csv", "tables/fd.md", "tables/fd.tex"} <= names
    assert {"plots/sheet.png", "README.md"} <= names
    before = {path: path.read_bytes() for path in files}
    assert build_report(tmp_path) == files
    assert {path: path.read_bytes() for path in files} == before


def test_the_report_works_from_the_committed_csv_alone(tmp_path, no_plots):
    write_runs(tmp_path, table_rows(objectives=OBJECTIVES), arrays=False, log=False)
    build_report(tmp_path)
    page, table = ((tmp_path / n).read_text() for n in ("README.md", "tables/fd.md"))
    shutil.rmtree(tmp_path / "runs")
    shutil.rmtree(tmp_path / "tables")
    build_report(tmp_path)
    assert (tmp_path / "README.md").read_text() == page
    assert (tmp_path / "tables/fd.md").read_text() == table


def test_the_report_needs_no_torch(tmp_path):
    write_runs(tmp_path, table_rows(objectives=("ae",), seeds=(0,)), arrays=SHEET, log=False)
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['sklearn'] = None\n"
        "from pathlib import Path\nfrom aebench.bench.pages.report import build_report\n"
        "from aebench.bench.leaderboard import build\n"
        "from aebench.bench.regression import check\nfrom aebench.bench.tables import paired\n"
        f"build_report(Path({str(tmp_path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "README.md").is_file()


def test_a_csv_with_edited_rows_is_left_alone_and_named_on_the_page(tmp_path, no_plots):
    write_runs(tmp_path, table_rows(objectives=OBJECTIVES), arrays=False, log=False)
    build_report(tmp_path)
    shutil.rmtree(tmp_path / "runs")
    path = tmp_path / "results.csv"
    path.write_text(path.read_text().replace(",gmm-10,", ",gmm-99,", 1))
    edited = path.read_text()
    build_report(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert path.read_text() == edited
    assert "edited by hand" in page and "results.csv was left as it is" in page


def test_missing_seeds_and_diverged_runs_are_named():
    rows = table_rows(objectives=("vae", "ae"))
    rows = [row for row in rows if (row["objective"], row["seed"]) != ("ae", 1)]
    rows.append(make_row(objective="rae", status="diverged", reason="Term 'gp' is nan at step 4."))
    notes = missing_runs(frame(rows))
    assert any("'ae' has no run of seeds [1]" in note for note in notes)
    assert any("'rae'" in note and "nan at step 4" in note for note in notes)


def test_the_provenance_names_every_commit_and_device():
    rows = [make_row(), make_row(seed=1, commit="fffffff", device="NVIDIA H200")]
    text = provenance_block(frame(rows))
    assert "`0123456`, `fffffff`" in text and "NVIDIA H200" in text and "torch=2.11" in text


def test_a_folder_of_suites_is_reported_suite_by_suite(tmp_path):
    for name in ("one", "two"):
        write_runs(tmp_path / name, [make_row(suite=name)], arrays=False, log=False)
    assert suite_folders(tmp_path) == [tmp_path / "one", tmp_path / "two"]
    assert suite_folders(tmp_path / "one") == [tmp_path / "one"]


def test_tables_and_plots_that_the_rows_no_longer_give_go_and_no_other_file(tmp_path, no_plots):
    rows = table_rows(objectives=("vae", "ae"), metrics=("fd", "mse"), seeds=(0,))
    write_runs(tmp_path, rows, arrays=False, log=False)
    plot = tmp_path / "plots" / "old.png"
    plot.parent.mkdir()
    plot.write_bytes(b"a plot of a former report")
    own = [tmp_path / "tables" / "own.md", tmp_path / "plots" / "own.png", tmp_path / "notes.txt"]
    build_report(tmp_path)
    for path in own:
        path.write_text("a user's file")
    with (tmp_path / LIST).open("a") as file:
        file.write(f"{hashlib.sha256(plot.read_bytes()).hexdigest()}  plots/old.png\n")
        file.write(f"{hashlib.sha256(own[2].read_bytes()).hexdigest()}  tables/../notes.txt\n")
    gone = [tmp_path / "tables" / f"mse.{ending}" for ending in ("csv", "md", "tex")]
    assert all(path.is_file() for path in [*own, *gone])
    gone[0].write_text("changed by a user")
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "results.csv").unlink()
    write_runs(tmp_path, [row for row in rows if row["metric"] == "fd"], arrays=False, log=False)
    build_report(tmp_path)
    assert [path.is_file() for path in gone] == [True, False, False]
    assert not plot.exists() and all(path.read_text() == "a user's file" for path in own)
    assert "mse" not in (tmp_path / "README.md").read_text()


def test_the_list_of_what_was_written_holds_under_its_own_checksums(tmp_path, no_plots):
    write_runs(tmp_path, table_rows(objectives=("ae",), seeds=(0,)), arrays=False, log=False)
    build_report(tmp_path)
    found = read_list(tmp_path)
    assert {"tables/fd.csv", "tables/fd.md", "tables/fd.tex"} <= found.keys()
    for name, digest in found.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_without_runs_and_arrays_the_plots_that_need_them_stay_and_stay_listed(pictured, tmp_path):
    before, page = read_list(tmp_path), (tmp_path / "README.md").read_text()
    assert "plots/sheet.png" in before and "plots/sheet.png" in page
    for name in ("runs", "arrays"):
        shutil.rmtree(tmp_path / name)
    build_report(tmp_path)
    assert read_list(tmp_path) == before and (tmp_path / "plots/sheet.png").is_file()
    assert (tmp_path / "README.md").read_text() == page


def test_a_lost_seed_is_named_in_its_own_space():
    rows = table_rows(objectives=("ae",), seeds=(0, 1))
    rows += [
        r | {"space": "logit", "run": r["run"][::-1], "recipe": "c" * 16}
        for r in rows
        if r["seed"] == 0
    ]
    assert any(
        "'ae (logit)' has no run of seeds [1]" in note for note in missing_runs(frame(rows))
    )


def test_a_failure_names_the_score_that_failed():
    row = make_row(metric="fd", status="failed", reason="Images have nan values.", images="sample")
    [note] = missing_runs(frame([row]))
    assert note.startswith("'ae' (seed 0, run ") and "fd failed: Images have nan values." in note


def test_the_page_links_to_the_page_of_trials_beside_it(tmp_path, no_plots):
    write_runs(tmp_path, table_rows(objectives=("vae",), seeds=(0,)), arrays=False, log=False)
    build_report(tmp_path)
    assert "tuning.md" not in (tmp_path / "README.md").read_text()
    (tmp_path / "tuning.md").write_text("# Tuning\n")
    build_report(tmp_path)
    assert "[tuning](tuning.md)" in (tmp_path / "README.md").read_text()


def test_the_page_of_a_packaged_suite_says_what_it_compares_and_another_suites_page_does_not(
    tmp_path, no_plots
):
    for suite in ("families-fashion-mnist", "structured-expressions", "own"):
        write_runs(tmp_path / suite, [make_row(suite=suite)], arrays=False, log=False)
        build_report(tmp_path / suite)
    families, strings, own = (
        (tmp_path / suite / "README.md").read_text()
        for suite in ("families-fashion-mnist", "structured-expressions", "own")
    )
    assert "RAE-SN is absent: it needs batch-norm" in families.partition("## Provenance")[0]
    assert "the learning rate is halved after three validations" in strings
    assert "as it is packaged" in families and "as it is packaged" not in own

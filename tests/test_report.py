import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aebench.bench.pages import report
from aebench.bench.pages.claims import reading
from aebench.bench.pages.report import build_report, missing_runs, provenance_block, suite_folders

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows, write_runs = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "likelihood_rows", "write_runs")
)
SHEET = ("test", "reconstruction")
OBJECTIVES = ("vae", "rae", "ae")


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr(report, "write_figures", lambda rows, arrays, folder: [])


def test_the_report_is_whole_and_a_second_one_changes_nothing(tmp_path):
    write_runs(tmp_path, table_rows(objectives=("vae",), seeds=(0,)), arrays=SHEET, log=False)
    files = build_report(tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in files}
    assert {"results.csv", "tables/fd.csv", "tables/fd.md", "tables/fd.tex"} <= names
    assert {"plots/sheet.png", "plots/sheet.pdf", "README.md"} <= names
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


def test_a_report_from_the_csv_alone_keeps_the_pictures_that_are_there(tmp_path):
    write_runs(tmp_path, table_rows(objectives=("vae",), seeds=(0,)), arrays=SHEET, log=False)
    build_report(tmp_path)
    page = (tmp_path / "README.md").read_text()
    shutil.rmtree(tmp_path / "runs")
    build_report(tmp_path)
    assert (tmp_path / "README.md").read_text() == page and "plots/sheet.png" in page


def test_the_report_needs_no_torch(tmp_path):
    write_runs(tmp_path, table_rows(objectives=("ae",), seeds=(0,)), arrays=SHEET, log=False)
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['sklearn'] = None\n"
        "from pathlib import Path\nfrom aebench.bench.pages.report import build_report\n"
        "from aebench.bench.pages import leaderboard\n"
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


def test_the_reading_counts_for_how_many_objectives_the_mixture_helps():
    rows = table_rows(objectives=OBJECTIVES, noise=0)
    assert "lowers the FD of 3 of 3 methods: RAE claim i holds" in reading(frame(rows))
    for row in rows:
        if row["objective"] == "ae" and row["density"] == "gmm-10":
            row["value"] += 100
    text = reading(frame(rows))
    assert "lowers the FD of 2 of 3 methods, but not of ae: RAE claim i fails" in text


def test_the_reading_names_the_lowest_samples_and_follows_the_numbers():
    rows = table_rows(objectives=OBJECTIVES, noise=0)
    text = reading(frame(rows))
    assert "the lowest Fréchet distance (FD) of samples is 33.00, of rae with gmm-10" in text
    assert "claim ii holds" in text and "the FD of ae is 1.03 times that of rae" in text
    assert "Interpolations of 1 of 1 RAE variants" in text and "claim iv holds" in text
    for row in rows:
        if row["objective"] == "rae":
            row["value"] += 50
    text = reading(frame(rows))
    assert "of ae with gmm-10" in text and "claim ii fails" in text and "claim iv fails" in text


def test_the_reading_compares_interpolations_with_the_vae_of_the_unit_space():
    rows = table_rows(objectives=OBJECTIVES, noise=0)
    other = [row | {"space": "logit", "run": row["run"][::-1]} for row in rows]
    rows += [row for row in other if row["objective"] == "vae"]
    assert "a lower FD than those of vae (unit): RAE claim iv holds" in reading(frame(rows))


def test_the_reading_tests_only_with_five_seeds():
    three, six = (frame(table_rows(objectives=OBJECTIVES, seeds=range(n))) for n in (3, 6))
    assert "too few seeds for a test" in reading(three)
    assert "Paired tests (Holm-corrected) separate 3 of 3 pairs" in reading(six)


def test_more_monte_carlo_samples_are_compared_where_the_suite_has_them():
    rows = [make_row(objective="vae", value=30.0)]
    rows += [make_row(objective="vae", variant='{"samples":10}', value=25.0)]
    text = reading(frame(rows))
    assert "is 25.00 with 10 Monte-Carlo samples and 30.00 with 1: RAE claim v holds" in text
    assert "claim v" not in reading(frame(rows[:1]))
    other = make_row(objective="vae", variant='{"beta":2.0,"samples":10}', value=1.0)
    assert "is 25.00 with 10" in reading(frame([*rows, other]))


def test_the_reading_compares_aef_with_the_vae_under_one_estimator():
    text = reading(frame(likelihood_rows(seeds=(0,), levels={"vae": 5.0, "aef-center": 4.0})))
    assert "bits/dim (exact), of aef-center." in text
    assert "holds: 1 of 1 cases reach it" in text
    text = reading(frame(likelihood_rows(seeds=(0,), levels={"vae": 3.0, "aef-center": 4.0})))
    assert "fails: 0 of 1 cases" in text
    levels = {"vae": 4.0, "aef-center": 3.0, "aef-linear": 3.99}
    rows = likelihood_rows(seeds=(0, 1), sizes=(2, 8), levels=levels)
    assert "holds in part: 2 of 4 cases" in reading(frame(rows))


def test_the_reading_takes_the_gain_over_the_vae_with_its_sign():
    rows = likelihood_rows(seeds=(0,), levels={"vae": 5.0, "aef-center": 4.0})
    for row in rows:
        row["value"] = {"vae": 5.0, "aef-center": 4.25}[row["objective"]]
    assert "+0.750 by aef-center at d = 8" in reading(frame(rows))


def test_the_reading_says_how_far_annealing_moves_the_bounds():
    rows = likelihood_rows(seeds=(0,), levels={"vae": 5.0, "aef-center": 4.0})
    vae = next(row for row in rows if row["objective"] == "vae")
    extra = {"metric": "log_prob_gain_from_annealing", "value": 0.25, "kind": ""}
    gap = {"metric": "bracket_gap", "value": 1.5, "kind": ""}
    text = reading(frame([*rows, vae | extra, vae | gap]))
    assert "by 0.250 to 0.250 nats" in text
    assert "1.50 nats in the median and 1.50 at most" in text


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

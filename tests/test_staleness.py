import dataclasses
import json
import runpy
import shlex
from pathlib import Path

import pytest
from aebench.bench.cli.main import build_parser
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.pages import report
from aebench.bench.pages.report import build_report
from aebench.bench.pages.staleness import staleness
from aebench.bench.suites.suite import load_suite

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, write_runs = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "write_runs")
)


def parsed(note):
    """Returns what the command line makes of a note's first command."""
    words = shlex.split(note.split("`")[1])
    assert words[0] == "aebench"
    return build_parser().parse_args(words[1:])


def notes_of(folder, rows):
    return staleness(folder, frame(rows), RunFiles(folder))


def suite_rows(configs, **columns):
    names = ("suite", "scale", "dataset", "objective", "latent_dim", "seed")
    return [
        make_row(run=c.digest, **{name: getattr(c, name) for name in names}, **columns)
        for c in configs
    ]


@pytest.fixture(scope="module")
def quick():
    return load_suite("quick").configs


def test_a_whole_suite_has_nothing_stale_and_nothing_missing(tmp_path, quick):
    assert notes_of(tmp_path, suite_rows(quick)) == []


def test_a_run_that_is_no_longer_part_of_the_suite_is_named_with_what_to_do(tmp_path, quick):
    other = dataclasses.replace(quick[0], latent_dim=quick[0].latent_dim + 1)
    (note,) = notes_of(tmp_path, suite_rows([*quick, other]))
    assert f"1 of {len(quick) + 1} runs are not among" in note
    assert f"{other.objective} {other.digest[:12]}" in note and parsed(note).suite == "quick"


def test_another_seed_of_a_listed_run_is_part_of_the_suite(tmp_path, quick):
    more = [dataclasses.replace(config, seed=17) for config in quick]
    assert notes_of(tmp_path, suite_rows([*quick, *more])) == []


def test_a_missing_run_is_named_by_its_label(tmp_path, quick):
    (note,) = notes_of(tmp_path, suite_rows(quick[1:]))
    assert f"1 of the suite's {len(quick)} runs have no rows" in note
    assert quick[0].label in note and "goes on" in note


@pytest.mark.parametrize(
    ("folder", "out"),
    [("structured-expressions-medium", None), ("structured-expressions", Path("DIR"))],
)
def test_the_command_that_goes_on_is_that_of_the_pages_own_scale_and_folder(tmp_path, folder, out):
    medium = load_suite("structured-expressions", settings={"scale": "medium"}).configs
    rows = suite_rows(medium[2:], commit="aaaaaaa") + suite_rows(medium[1:2], commit="bbbbbbb")
    lost, commits = notes_of(tmp_path / folder, rows)
    for note, again in ((lost, False), (commits, True)):
        asked = parsed(note)
        assert (asked.suite, asked.set) == ("structured-expressions", ["scale=medium"])
        assert (asked.out, asked.rerun_stale) == (out, again)
        assert ("(DIR: this folder)" in note) == (out is not None)


def test_the_command_for_a_suite_of_the_users_own_names_its_file(tmp_path):
    rows = [make_row(suite="mine", seed=seed, commit=str(seed)) for seed in (0, 1)]
    (note,) = notes_of(tmp_path / "mine-small", rows)
    asked = parsed(note)
    assert (asked.suite, asked.set, asked.out) == ("mine.toml", ["scale=small"], None)
    assert asked.rerun_stale


def test_rows_of_two_commits_and_of_a_changed_tree_are_named(tmp_path, quick):
    rows = suite_rows(quick[:1], commit="aaaaaaa") + suite_rows(quick[1:], commit="bbbbbbb+")
    two, changed = notes_of(tmp_path, rows)
    assert "2 commits (aaaaaaa, bbbbbbb+)" in two and "--rerun-stale" in two
    assert "uncommitted changes (bbbbbbb+)" in changed


def test_checkpoints_of_one_objective_by_two_versions_of_the_code_are_named(tmp_path):
    rows = [make_row(suite="mine", seed=seed) for seed in (0, 1)]
    for row, code in zip(rows, ("old", "new"), strict=True):
        folder = tmp_path / "runs" / row["run"]
        folder.mkdir(parents=True)
        config = {"objective": "ae", "backbone": "tiny", "space": ""}
        record = {"config": config, "training_code": code}
        (folder / "config.json").write_text(json.dumps(record))
    (note,) = notes_of(tmp_path, rows)
    assert "'ae' (tiny) was trained by 2 versions" in note
    (tmp_path / "runs" / rows[0]["run"] / "config.json").write_text("{")
    assert notes_of(tmp_path, rows) == []


def test_the_page_names_every_kind_of_bad_input_and_still_reports_the_other_rows(
    tmp_path, monkeypatch, quick
):
    monkeypatch.setattr(report, "write_figures", lambda rows, arrays, folder: [])
    columns = {"images": "sample", "density": "gaussian"}
    rows = suite_rows([c for c in quick if c.objective in ("ae", "rae", "ae-l2")], **columns)
    rows[0]["n_real"] = rows[0]["n_generated"] = 500
    rows.append(make_row(objective="vae", scale="full", **columns, commit="fffffff"))
    write_runs(tmp_path, rows, arrays=False, log=False)
    broken = tmp_path / "runs" / rows[1]["run"] / "result.json"
    broken.write_text(broken.read_text()[:100])
    build_report(tmp_path)
    page = (tmp_path / "README.md").read_text()
    for text in (
        "scores under different protocols have separate columns",
        "half-written",
        "are not among the suite's runs",
        "have no rows",
        "2 commits",
    ):
        assert text in page, text
    assert f"| {rows[0]['objective']} " in page and "| vae " in page

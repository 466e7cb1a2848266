"""`aebench report --open`, and a report while the suite goes on."""

from __future__ import annotations

import runpy
import webbrowser
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.pages import report
from aebench.bench.pages.report import build_report

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row, write_runs = FACTORY["make_row"], FACTORY["write_runs"]
content_of = runpy.run_path(str(Path(__file__).with_name("shown.py")))["content_of"]


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr(report, "write_figures", lambda rows, runs, folder: [])


@pytest.fixture
def browser(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    return opened


def test_report_opens_the_page_of_a_suite_and_keeps_it_up_to_date(tmp_path, browser, no_plots):
    write_runs(tmp_path / "s", [make_row(objective="rae")], arrays=False, log=False)
    assert main(["report", str(tmp_path / "s")]) == 0
    assert browser == [] and not (tmp_path / "s" / "leaderboard.html").exists()
    assert main(["report", str(tmp_path / "s"), "--open"]) == 0
    page = tmp_path / "s" / "leaderboard.html"
    assert browser == [page.resolve().as_uri()] and len(content_of(page)["cards"]) == 1
    write_runs(tmp_path / "s", [make_row(objective="vae")], arrays=False, log=False)
    assert main(["report", str(tmp_path / "s")]) == 0
    assert len(content_of(page)["cards"]) == 2 and len(browser) == 1
    assert "What was run" not in (tmp_path / "s" / "README.md").read_text()


@pytest.mark.parametrize("refusal", [False, "error"])
def test_without_a_browser_a_line_says_where_the_page_is(
    tmp_path, monkeypatch, capsys, no_plots, refusal
):
    def refuse(url):
        if refusal == "error":
            raise webbrowser.Error("could not locate runnable browser")
        return False

    monkeypatch.setattr(webbrowser, "open", refuse)
    write_runs(tmp_path / "a" / "s", [make_row(objective="rae")], arrays=False, log=False)
    assert main(["report", str(tmp_path / "a"), "--open"]) == 0
    [told] = capsys.readouterr().err.splitlines()
    page = tmp_path / "a" / "leaderboard.html"
    assert told == f"aebench: No browser could be opened. The page is {page}." and page.is_file()


def test_pictures_of_finished_runs_are_shown_while_others_go_on(tmp_path, no_plots):
    rows = [make_row(objective="rae", seed=0), make_row(objective="vae", seed=0)]
    folder = write_runs(tmp_path / "s", rows, log=False)
    going = folder / "runs" / rows[1]["run"]
    (going / "result.json").unlink()  # Its arrays are of a training that has no scores yet.
    build_report(folder)
    [board] = [
        b
        for b in content_of(build_leaderboard([folder], folder)[2])["boards"]
        if b["of"] == "reconstructions"
    ]
    assert [row["name"] for row in board["rows"]] == ["rae"] and board["rows"][0]["picture"]

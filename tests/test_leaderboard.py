import base64
import csv
import hashlib
import html.parser
import json
import runpy
from pathlib import Path

import pytest
from aebench.bench.figures.methods import parts_of
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.pages.report import build_report
from aebench.bench.tables.boards import board_entries, board_tables
from aebench.bench.tables.wide import wide_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows, write_runs = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "likelihood_rows", "write_runs")
)
HOSTILE = "</script><img src=x onerror=alert(1)>"


class Scripts(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags, self._open = [], [], None

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = dict(attributes) if tag == "script" else None

    def handle_data(self, data):
        if self._open is not None:
            self.found.append((self._open, data))
            self._open = None


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("board")
    rows = table_rows(objectives=("vae", "ae"), seeds=(0, 1))
    rows.append(make_row(objective=HOSTILE, value=3.0))
    write_runs(tmp_path / "quick", rows, log=False)
    write_runs(tmp_path / "other", likelihood_rows(suite="other"), arrays=False, log=False)
    paths = build_leaderboard([tmp_path / "quick", tmp_path / "other"], tmp_path)
    scripts = Scripts()
    scripts.feed(paths[2].read_text())
    return paths, scripts


def test_the_three_forms_have_entries_of_both_suites(page):
    paths, scripts = page
    assert [path.name for path in paths] == [f"leaderboard.{e}" for e in ("csv", "md", "html")]
    lines = list(csv.DictReader(paths[0].read_text().splitlines()))
    assert {line["suite"] for line in lines} == {"quick (scale: small)", "other (scale: small)"}
    data = json.loads(scripts.found[0][1])
    assert sum(len(board["rows"]) for board in data["boards"]) == len(lines)
    assert {line["kind"] for line in lines} == {"", "exact", "lower bound"}


def test_the_page_asks_the_network_for_nothing(page):
    _, scripts = page
    policy = next(a["content"] for t, a in scripts.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    assert "http" not in policy and "img-src data:" in policy and "unsafe" not in policy
    assert not any("src" in a or "href" in a for _, a in scripts.tags)


def test_only_the_bundled_script_may_run(page):
    _, scripts = page
    policy = next(a["content"] for t, a in scripts.tags if a.get("http-equiv"))
    runnable = [text for a, text in scripts.found if a.get("type") != "application/json"]
    assert len(runnable) == 1
    digest = base64.b64encode(hashlib.sha256(runnable[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_a_hostile_name_stays_text(page):
    paths, scripts = page
    assert HOSTILE not in paths[2].read_text() and "onerror=alert(1)>" not in paths[2].read_text()
    boards = json.loads(scripts.found[0][1])["boards"]
    assert HOSTILE in {row["name"] for board in boards for row in board["rows"]}
    assert "<img" not in paths[1].read_text().replace(r"\<", "")


def test_without_arrays_the_committed_sheet_is_linked_and_rows_have_no_picture(tmp_path):
    rows = table_rows(objectives=("vae", "ae"), seeds=(0,))
    write_runs(tmp_path / "quick", rows, log=False, arrays=False)
    (tmp_path / "quick" / "plots").mkdir()
    (tmp_path / "quick" / "plots" / "sheet.png").write_bytes(b"")
    table, text, page = build_leaderboard([tmp_path / "quick"], tmp_path)
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert {line["sheet"] for line in lines} == {"quick/plots/sheet.png"}
    assert "Pictures: [sheet](<quick/plots/sheet.png>)" in text.read_text()
    scripts = Scripts()
    scripts.feed(page.read_text())
    assert json.loads(scripts.found[0][1])["pictures"] == {}


def test_entries_of_two_latent_sizes_are_told_apart(tmp_path):
    write_runs(tmp_path / "s", likelihood_rows(sizes=(2, 8)), arrays=False, log=False)
    table = build_leaderboard([tmp_path / "s"], tmp_path)[0]
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert {line["latent_dim"] for line in lines} == {"2", "8"}


def test_each_board_names_its_protocol(page):
    text = page[0][1].read_text()
    assert text.count("Protocol: ") == text.count("| rank") > 1
    assert "features=lite0@64:579344248a93, n_real=1000" in text


def test_boards_of_other_protocols_are_apart_and_ranks_are_intervals():
    rows = table_rows(seeds=range(6)) + table_rows(
        objectives=("ae", "vae"), seeds=(0,), features="pixels:-"
    )
    entries = [e for e in board_entries(frame(rows)) if e["place"] == "Rec"]
    boards = {}
    for entry in entries:
        boards.setdefault(entry["board"], {})[entry["objective"]] = entry["rank"]
    ranks = list(boards.values())
    assert len(ranks) == 2
    assert ranks[0]["rae-gp"] == "1" and ranks[0]["vae"] == "5"
    assert set(ranks[1].values()) == {"1 to 2"}


def test_a_diverged_method_is_listed_without_a_rank():
    rows = table_rows(objectives=("ae", "vae"))
    rows.append(make_row(objective="rae", status="diverged", metric="loss", images="test"))
    lost = [e for e in board_entries(frame(rows)) if e["objective"] == "rae"]
    assert lost and {e["rank"] for e in lost} == {"1 diverged"} and lost[0]["mean"] is None


def test_objectives_of_different_spaces_are_labelled_in_table_board_and_sheet():
    rows = table_rows(objectives=("ae",), seeds=(0,)) + [
        row | {"objective": "aef-center", "space": "logit", "run": row["run"][::-1]}
        for row in table_rows(objectives=("vae",), seeds=(0,))[1:]
    ]
    names = {"ae (unit)", "aef-center (logit)"}
    assert {entry["objective"] for entry in board_entries(frame(rows))} == names
    [table] = wide_tables(frame(rows))
    assert {label for label, _ in table.lines} == names | {"floor"}
    [(_, _, own)] = parts_of(frame(rows), "sheet")
    assert set(own["method"]) == names
    alone = [row for row in rows if row["space"] == "unit"]
    assert {entry["objective"] for entry in board_entries(frame(alone))} == {"ae"}


def test_a_value_beyond_all_sense_takes_no_page_with_it(tmp_path):
    values = (1e300, -1e300, 1e200)
    rows = table_rows(seeds=(0, 1, 2)) + [
        make_row(objective="lost", metric="kid", seed=seed, value=value, images="sample")
        for seed, value in enumerate(values)
    ]
    write_runs(tmp_path / "s", rows, arrays=False, log=False)
    build_report(tmp_path / "s")
    _, text, _ = build_leaderboard([tmp_path / "s"], tmp_path)
    assert "lost" in text.read_text() and "| rae-gp" in text.read_text()


def test_an_untrusted_estimate_is_listed_without_a_rank_and_without_an_interval():
    rows = likelihood_rows(seeds=range(6), levels={"vae": 4.0, "iwae": 4.5})
    rows += likelihood_rows(seeds=range(6), levels={"vae-iaf": 3.0}, trusted="no")
    found = {e["objective"]: e for e in board_entries(frame(rows))}
    assert found["vae"]["rank"] != "" and found["vae-iaf"]["rank"] == "6 untrusted"
    assert found["vae-iaf"]["mean"] is None and found["vae-iaf"]["half_width"] is None


def test_bounds_carry_their_sign_on_every_page(tmp_path):
    rows = likelihood_rows(seeds=(0, 1), levels={"vae": 4.0, "aef-center": 4.5})
    write_runs(tmp_path / "s", rows, arrays=False, log=False)
    table, text, page = build_leaderboard([tmp_path / "s"], tmp_path)
    signs = {r["objective"]: r["sign"] for r in csv.DictReader(table.read_text().splitlines())}
    assert signs == {"vae": "≤", "aef-center": ""}
    lines = {
        line.split("|")[2].strip(): line
        for line in text.read_text().splitlines()
        if line.startswith("| ") and "(2)" in line
    }
    assert "≤ 3." in lines["vae"] and "≤" not in lines["aef-center"]
    assert '"sign":"\\u2264"' in page.read_text() and '"sign":"="' in page.read_text()


def test_ranks_are_intervals_over_all_places_below_five_seeds():
    entries = board_entries(frame(table_rows(objectives=("ae", "vae"), seeds=range(4))))
    shared = [e for e in entries if e["place"] in ("Rec", "GMM-10", "Interp")]
    assert {entry["rank"] for entry in shared} == {"1 to 2"}
    assert {e["rank"] for e in entries if e not in shared} == {"-"}  # Nothing to be ahead of.


def test_a_row_whose_seeds_two_versions_of_the_code_trained_says_so_in_all_forms(tmp_path):
    rows = [make_row(objective=name, seed=seed) for name in ("own", "ae") for seed in (0, 1)]
    write_runs(tmp_path / "s", rows, arrays=False, log=False)
    for row, code in zip(rows, ("of before", "of now", "of now", "of now"), strict=True):
        record = {"config": {}, "training_code": code}
        (tmp_path / "s" / "runs" / row["run"] / "config.json").write_text(json.dumps(record))
    table, text, page = build_leaderboard([tmp_path / "s"], tmp_path)
    told = "its runs were trained by 2 versions of the training code; --rerun-stale trains the"
    found = {r["objective"]: r["warnings"] for r in csv.DictReader(table.read_text().splitlines())}
    assert told in found["own"] and found["ae"] == ""
    assert f"¹ {told}" in text.read_text()
    scripts = Scripts()
    scripts.feed(page.read_text())
    [board] = json.loads(scripts.found[0][1])["boards"]
    assert {row["name"]: row.get("notes") for row in board["rows"]} == {"own": [1], "ae": None}
    assert board["notes"][0].startswith(told)


def test_suites_that_compare_all_families_come_first(tmp_path):
    names = ("aef-grid-mnist", "families-mnist", "rae-prd")
    for name in names:
        write_runs(tmp_path / name, [make_row(suite=name, objective=o) for o in ("ae", "vae")])
    build_leaderboard([tmp_path / name for name in names], tmp_path)
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8") as stream:
        listed = [row["suite"].split(" ")[0] for row in csv.DictReader(stream)]
    assert list(dict.fromkeys(listed)) == ["families-mnist", "aef-grid-mnist", "rae-prd"]


def test_a_score_that_no_model_of_a_board_can_have_makes_no_board():
    rows = likelihood_rows(levels={"vae": 4.6})
    blank = {"status": "not applicable", "kind": "", "samples_k": None, "value": None}
    rows += [row | blank | {"objective": "2svae", "run": f"{row['seed']}" * 16} for row in rows]
    entries = board_entries(frame(rows))
    assert {entry["objective"] for entry in entries} == {"vae"}
    lost = [row | {"status": "failed"} if row["objective"] == "2svae" else row for row in rows]
    assert {entry["objective"] for entry in board_entries(frame(lost))} == {"vae", "2svae"}


def test_the_markdown_board_explains_its_columns_and_signs_where_it_has_them():
    [board] = board_tables(board_entries(frame(likelihood_rows(seeds=range(6)))))[:1]
    caption = board.as_markdown().rpartition("\n\n")[2]
    assert "kind: an exact likelihood or a lower bound." in caption
    assert "outside: parameters outside it." in caption and "compute s: CPU seconds" in caption
    rows = table_rows(objectives=("ae", "vae"), seeds=(0, 1))
    devices = [row | {"device": "cpu" if row["seed"] else "gpu"} for row in rows]
    board = board_tables(board_entries(frame(devices)))[0].as_markdown()
    assert "〃: the rank of the line above." in board and "kind: an" not in board
    assert "Seconds are those of the runs on cpu, 1 of each model." in board


def test_a_board_names_the_entries_that_were_trained_for_other_steps_than_most(tmp_path):
    rows = [make_row(objective=name, steps=10000) for name in ("ae", "rae", "vae")]
    shorter = [*rows, make_row(objective="iwae", steps=1818)]
    [board] = board_tables(board_entries(frame(shorter)))
    assert "Steps: 10,000, but iwae 1,818." in board.as_markdown()
    [board] = board_tables(board_entries(frame(rows)))
    assert "Steps:" not in board.as_markdown()
    write_runs(tmp_path / "quick", shorter, arrays=False, log=False)
    scripts = Scripts()
    scripts.feed(build_leaderboard([tmp_path / "quick"], tmp_path)[2].read_text())
    [board] = json.loads(scripts.found[0][1])["boards"]
    assert board["steps"] == "Steps: 10,000, but iwae 1,818."


def test_the_markdown_board_rounds_once_and_so_says_what_the_table_of_the_score_says():
    values = (548.0 - 1.06024, 548.0 + 1.06024)  # Half-width 13.4714: 13, but 13.5 is 14.
    rows = [
        make_row(objective=name, seed=seed, value=value + shift, features="lite0")
        for name, shift in (("ae", 0.0), ("vae", 40.0))
        for seed, value in enumerate(values)
    ]
    [wide] = wide_tables(frame(rows))
    [board] = board_tables(board_entries(frame(rows)))
    own = {label: cells[0].text for label, cells in wide.lines}["ae"]
    assert own == "548 ± 13 (2)"
    assert [cells[1].text for _, cells in board.lines if cells[0].text == "ae"] == [own]

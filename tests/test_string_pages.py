"""Pages, pictures and boards of texts, alone and beside images."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.columns import with_places
from aebench.bench.data.dataset import find_source
from aebench.bench.figures import best_strings
from aebench.bench.figures.best_strings import drawer
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.figures.text_sheets import _around, sample_sheets
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.pages import report
from aebench.bench.pages.claims import findings, reading
from aebench.bench.pages.effects import claims_table
from aebench.bench.pages.overview import build_overview
from aebench.bench.pages.protocol import budget_sentences
from aebench.bench.pages.report import all_tables, build_report
from aebench.bench.tables.boards import board_entries
from aebench.models import form

FACTORY = runpy.run_path(str(Path(__file__).with_name("string_factory.py")))
string_rows, proper_rows, write_string_runs = (
    FACTORY[name] for name in ("string_rows", "proper_rows", "write_string_runs")
)
frame, table_rows, write_runs = (
    FACTORY["ROWS"][name] for name in ("frame", "table_rows", "write_runs")
)
SIX = tuple(range(6))


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr(report, "write_figures", lambda rows, arrays, folder: [])


def verdicts(rows):
    return {(f.effect.claim, f.effect.comparison): f.verdict for f in findings(frame(rows), {})}


def test_a_grae_that_is_better_in_every_seed_supports_the_claims():
    found = verdicts(string_rows("molecules", seeds=SIX, noise=0.01))
    assert found == {
        (claim, f"GRAE rae instead of {rival}"): "supported"
        for claim in ("RAE vi", "RAE vii")
        for rival in ("GVAE", "CVAE")
    }


@pytest.mark.parametrize(
    ("seeds", "told"),
    [((0, 1, 2), "codes, are as means over 3 seeds CVAE"), ((0,), "codes, are CVAE")],
)
def test_the_best_scores_of_a_search_are_said_to_be_means_over_seeds(seeds, told):
    page = reading(frame(string_rows("expressions", seeds=seeds)), [])
    sentence = next(line for line in page.splitlines() if "best scores of the search" in line)
    assert told in sentence


def test_a_grae_is_compared_with_models_of_as_many_training_steps_alone():
    rows = string_rows("expressions", seeds=SIX, noise=0.01)
    for row in rows:
        if row["objective"] == "rae":
            row["steps"] *= 10
    compared = {comparison for _, comparison in verdicts(rows)}
    assert len(compared) == 4 and not any("GRAE rae instead" in name for name in compared)


def test_models_of_fewer_steps_are_named_in_captions_and_left_out_of_the_reading():
    rows = string_rows("expressions", noise=0.0)
    for row in rows:
        row["steps"] = 100 if row["objective"] == "rae" else 7500
    told = frame(rows)
    page = reading(told, [])
    assert "GRAE rae," not in page and "0.98" in page.partition("ours are")[2]
    assert page.count("search on expressions, of the models of 7,500 steps,") == 1
    assert page.count("On expressions, of the models of 7,500 steps,") == 2
    assert "of the models" not in reading(frame(string_rows("expressions", noise=0.0)), [])
    captions = {table.name: table.as_markdown() for table in all_tables(told, {})[0]}
    noted = [stem for stem, text in captions.items() if "Steps: 7,500, but GRAE rae 100." in text]
    assert noted == ["figure2", "strings", "codes", "grae-grid"]
    told = told.assign(settings='{"training":{"batch_size":600}}')
    (sentence,) = [text for text in budget_sentences(told) if "published" in text]
    assert "this is 1.33 to 100 % of the published training" in sentence


def test_a_lower_score_is_the_better_one_for_expressions():
    rows = string_rows("expressions", seeds=SIX, noise=0.001)
    assert verdicts(rows)["RAE vii", "GRAE rae instead of CVAE"] == "supported"
    for row in rows:  # The other way about.
        if row["metric"] == "mean_score":
            row["value"] = -row["value"]
    assert verdicts(rows)["RAE vii", "GRAE rae instead of CVAE"] == "contradicted"


def test_three_seeds_decide_nothing_and_the_page_says_what_they_could_have_seen():
    rows = frame(string_rows("expressions"))
    judged = findings(rows, {})
    assert {finding.verdict for finding in judged} == {"undecided"}
    text = reading(rows, judged)
    assert "1.00 and 3.22 for the GRAE" in text and "0.82 and 4.74 for the CVAE" in text
    assert "undecided (3 of 5 seeds). So many seeds find a difference of" in text
    assert "a tie of the two is expected" in text


def test_a_share_has_no_room_for_a_gain_that_is_larger_than_what_is_left_to_1():
    shares = {"vae": (0.90, 0.95, 0.98), "rae": (0.97, 0.80, 0.88)}
    rows = frame(
        row | {"value": shares.get(row["objective"], shares["vae"])[row["seed"]]}
        if row["metric"] == "validity" and row["dataset"] == "expressions"
        else row
        for row in string_rows("expressions", noise=0.0)
    )
    judged = findings(rows, {})
    [gain] = [
        f
        for f in judged
        if (f.effect.claim, f.effect.comparison) == ("RAE vi", "GRAE rae instead of GVAE")
    ]
    assert gain.detectable > 1 - np.mean(shares["vae"])
    lines = reading(rows, judged).splitlines()
    [share] = [line for line in lines if "GRAE rae over the GVAE in the share of valid" in line]
    assert share.endswith(
        "So few seeds could show no gain here: below a share of 1 there is too little room."
    )
    table = claims_table(judged).as_markdown()
    compared = "GRAE rae instead of GVAE "
    [line] = [own for own in table.splitlines() if "RAE vi " in own and compared in own]
    assert line.split("|")[6].strip() == "none"
    assert "none: what the scores have room for is smaller" in table
    assert "none:" not in claims_table([f for f in judged if f.has_room]).as_markdown()


def test_the_page_says_why_likelihood_ranks_no_model_of_expressions():
    rows = frame(proper_rows("expressions"))
    text = reading(rows, [])
    assert "reaches 11.701 nats" in text and "log 100,000 = 11.513" in text
    assert "GVAE (proper) ≥ -11.7" in text and "with 0 active units" in text
    assert "log 100,000" not in reading(frame(proper_rows("molecules")), [])
    characters = proper_rows("expressions", dataset="expressions-characters")
    assert "log 100,000" not in reading(frame(characters), [])


def test_random_draws_stand_beside_the_search():
    rows = frame(string_rows("molecules", noise=0.0))
    text = reading(rows, findings(rows, {}))
    assert "GVAE 3.10 and 3.08" in text
    assert (
        "Of the candidates of the search on moses-mini, 70 % are training strings, 10 to 60 % are "
        "valid and 5 to 55 % are valid at a single decoding."
    ) in text


def test_the_page_pictures_and_tables_are_the_same_without_the_runs(tmp_path):
    rows = string_rows("expressions", seeds=(0,), only="CVAE")
    rows += proper_rows("expressions", seeds=(0,))
    write_string_runs(tmp_path, "expressions", rows)
    files = build_report(tmp_path, cards=True)
    names = {path.relative_to(tmp_path).as_posix() for path in files}
    shown = ("best", "sheet-texts", "texts-interpolation", "texts-neighbours")
    assert {f"plots/{name}.png" for name in shown} <= names
    assert {"tables/figure2.md", "tables/best-strings.md", "cards"} <= {
        *names,
        *(name.partition("/")[0] for name in names),
    }
    before = {path: path.read_bytes() for path in files}
    shutil.rmtree(tmp_path / "runs")
    shutil.rmtree(tmp_path / "plots")
    assert build_report(tmp_path, cards=True) == files
    assert {path: path.read_bytes() for path in files} == before
    page = (tmp_path / "README.md").read_text()
    assert page.index("plots/best.png") < page.index("**Strings**") < page.index("Best expr")


def test_a_folder_of_images_and_texts_reports_and_ranks_both(tmp_path, no_plots):
    for task in ("expressions", "molecules"):
        rows = string_rows(task, seeds=(0,)) + proper_rows(task, seeds=(0,))
        write_runs(tmp_path / f"structured-{task}", rows, arrays=False, log=False)
    images = table_rows(objectives=("vae", "rae"), seeds=(0,))
    write_runs(tmp_path / "quick", images, arrays=False, log=False)
    folders = sorted(tmp_path.iterdir())
    for folder in folders:
        build_report(folder)
    build_leaderboard(folders, tmp_path)
    build_overview(folders, tmp_path)
    board = (tmp_path / "leaderboard.md").read_text()
    assert "expressions, d = 25: Valid strings" in board and "Fréchet distance" in board
    assert "| RAE vi | RAE vii |" in (tmp_path / "README.md").read_text()


def test_a_board_ranks_models_of_grammars_and_of_characters_together():
    entries = board_entries(frame(string_rows("molecules", seeds=SIX, noise=0.001)))
    found = {
        entry["objective"]: entry["rank"]
        for entry in entries
        if entry["place"] == "bayesian" and entry["score"].startswith("Valid")
    }
    assert found == {"GRAE rae": "1", "GVAE": "2", "CVAE": "3"}
    assert "random" not in {entry["place"] for entry in entries}


def test_without_rdkit_molecules_are_strings_and_the_picture_says_so(tmp_path, monkeypatch):
    rows = string_rows("molecules", seeds=(0,))
    write_string_runs(tmp_path, "molecules", rows)
    monkeypatch.setattr(best_strings, "drawer", lambda: None)
    [(_, figure)] = best_strings.best_plots(frame(rows), RunFiles(tmp_path))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "CCCCCCCCCC" in texts and "rdkit is not installed" in figure.get_suptitle()


def test_a_molecule_is_drawn_and_what_is_none_is_not():
    draw = drawer()
    if draw is None:
        pytest.skip("rdkit is not installed")
    picture = draw("c1ccccc1")
    assert picture.shape == (300, 420, 3) and 0 < (picture < 128).mean() < 0.2
    assert draw("c1ccccc") is None


def test_a_sheet_has_test_strings_and_samples_and_names_what_does_not_end(tmp_path):
    rows = string_rows("expressions", seeds=(0,))
    folder = write_string_runs(tmp_path, "expressions", rows)
    [(name, figure)] = sample_sheets(frame(rows), RunFiles(folder))
    assert name == "sheet-texts" and len(with_places(frame(rows))) > 0
    panels = {axis.get_title(loc="left"): axis.texts[0].get_text() for axis in figure.axes[:5]}
    assert set(panels) >= {"CVAE", "GVAE", "GRAE rae"}
    assert panels["GVAE"].startswith("test strings\n  1/3+(x)+sin(x*x)")
    assert "gmm-10" in panels["GVAE"]


@pytest.mark.parametrize("dataset", ["expressions", "expressions-characters"])
def test_a_text_without_a_character_is_called_empty_in_every_form(dataset):
    padding = form(find_source(dataset).form).padding
    arrays = {"texts_neighbours": np.full((2, 15), padding, dtype=np.uint8)}
    assert _around(arrays, dataset) == ["(empty)", "  (empty)"]

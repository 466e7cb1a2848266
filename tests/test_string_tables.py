"""Tables of texts: the layout of Figure 2, samples, codes, and the best strings by name."""

from __future__ import annotations

import dataclasses
import functools
import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aebench.bench.comparison.texts import best_texts
from aebench.bench.pages.report import all_tables, missing_runs
from aebench.bench.records.compact import compact_arrays
from aebench.bench.records.figure_file import encode_figures
from aebench.bench.suites.suite import load_suite
from aebench.bench.tables.best_strings import best_string_tables
from aebench.bench.tables.printed_strings import printed, search_notes
from aebench.bench.tables.strings import string_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("string_factory.py")))
string_rows, proper_rows, text_arrays = (
    FACTORY[name] for name in ("string_rows", "proper_rows", "text_arrays")
)
frame, table_rows = (FACTORY["ROWS"][name] for name in ("frame", "table_rows"))
FIVE = (0, 1, 2, 3, 4)
LESS, FEW = '{"l2":1e-07}', "GRAE rae-l2 (l2=1e-07)"


def tables_of(rows):
    return {table.name: table for table in string_tables(frame(rows))}


@functools.cache
def one_seed(task):
    return tables_of(string_rows(task, seeds=(0,)))


def cells_of(table, label):
    """Returns the cells of a table's lines that begin with a label, by header."""
    names = [name.strip(" ↑↓") for _, name in table.columns]
    return [dict(zip(names, cells, strict=True)) for name, cells in table.lines if name == label]


@pytest.mark.parametrize(
    ("task", "valid", "average"), [("expressions", "1.00", "3.22"), ("molecules", "0.72", "-5.62")]
)
def test_what_figure_2_prints_of_the_grae_stands_beside_our_rows(task, valid, average):
    table = one_seed(task)["figure2"]
    [shown] = cells_of(table, "GRAE, as published")
    assert shown["valid"].text.startswith(valid)
    assert shown["average score"].text.startswith(average)
    ours = cells_of(table, "GRAE rae")
    assert [cells["candidates from"].text for cells in ours] == ["Bayesian search", "random draws"]


def test_the_quality_of_surrogates_stands_beside_the_searches_where_it_is_known():
    rows = string_rows("expressions", seeds=(0,), only="GVAE")
    told = {"metric": "surrogate_rmse", "unit": "score", "value": 0.7}
    rows += [
        row | told
        for row in rows
        if row["metric"] == "mean_score" and row["density"] == "bayesian"
    ]
    table = tables_of(rows)["figure2"]
    search, random = cells_of(table, "GVAE")
    assert search["surrogate RMSE"].value == 0.7 and random["surrogate RMSE"].text == "-"
    assert any("first surrogate" in note for note in table.notes)
    assert not any("urrogate:" in note for note in one_seed("expressions")["figure2"].notes)


def test_the_spread_of_print_over_searches_is_filed_as_no_interval_over_seeds():
    [shown] = cells_of(one_seed("expressions")["figure2"], "GRAE, as published")
    cell = shown["valid"]
    assert (cell.text, cell.half_width, cell.seeds) == ("1.00 ± 0.00", None, "")


def test_the_caption_on_codes_explains_the_columns_that_there_are():
    released = " ".join(one_seed("expressions")["codes"].notes)
    assert "symbols: " in released and "log p(x)" not in released and "rate: " not in released
    rows = proper_rows("expressions", seeds=(0,))
    rate = {"metric": "rate", "kind": "", "model": "", "value": 3.0, "better": "none"}
    rows += [row | rate for row in rows if row["metric"] == "log_prob"]
    table = tables_of(rows)["codes"]
    assert {"rate", "log p(x) ↑"} <= {name for _, name in table.columns}
    notes = " ".join(table.notes)
    assert "rate: nats that the code carries" in notes and "log p(x) in nats" in notes


def test_the_likelihood_of_strings_is_told_without_a_word_of_images():
    rows = proper_rows("expressions", seeds=(0,))
    known = {"unit": "nats per image", "reason": "below 10 on 57% of the images: doubtful"}
    rows = [row | known if row["metric"] == "log_prob" else row for row in rows]
    pages = [table.as_markdown() for table in all_tables(frame(rows), {})[0]]
    told = [page for page in pages if "Likelihoods: ±" in page]
    assert len(told) == 2 and not any("image" in page for page in told)
    assert all("below 10 on 57% of the strings: doubtful." in page for page in told)
    assert any("log p(x) in nats per string." in page for page in told)
    assert not any("bits/dim" in page or "completed" in page for page in told)


def test_print_has_a_spread_of_each_mean_and_three_best_scores_of_each_model():
    for task in ("expressions", "molecules"):
        for model, found in printed(task).items():
            assert model in ("GVAE", "CVAE", "GRAE")
            assert len(found.best) == 3 and set(found.scores) == {"validity", "mean_score"}
    assert printed("molecules")["CVAE"].scores["mean_score"] == (-25.64, 6.35)


def test_models_of_grammars_and_of_characters_stand_in_one_column():
    table = one_seed("expressions")["strings"]
    for model in ("CVAE", "GVAE", "GRAE rae"):
        assert all(cells["valid"].value is not None for cells in cells_of(table, model))
    assert len([name for _, name in table.columns if name.startswith("valid")]) == 1


def test_both_forms_of_a_users_own_molecules_share_a_table_that_does_not_call_them_moses():
    rows = string_rows("molecules", seeds=(0,), only="G", dataset="smiles:/a-characters/b.smi")
    rows += string_rows(
        "molecules", seeds=(0,), only="C", dataset="smiles-characters:/a-characters/b.smi"
    )
    table = tables_of(rows)["figure2"]
    assert {"GVAE", "CVAE"} <= {label for label, _ in table.lines}
    assert table.title.split(" · ")[1] == "smiles:/a-characters/b.smi"
    assert not any("MOSES" in note for note in table.notes)
    moses = one_seed("molecules")["figure2"].notes
    assert any("MOSES" in note for note in moses)
    assert all("deviations of ZINC250k" in " ".join(notes) for notes in (table.notes, moses))


@pytest.mark.parametrize("task", ["expressions", "molecules"])
def test_the_caption_names_what_differs_between_our_search_and_the_released_one(task):
    notes = " ".join(one_seed(task)["figure2"].notes)
    assert "variational" in notes and "expectation propagation" in notes
    assert "0.05" in notes and "5e-4" in notes and "codes of training strings" in notes
    assert "trains on all 100,000" not in notes


def test_networks_of_two_sizes_over_one_form_are_two_methods():
    sizes = [
        frame(
            string_rows("expressions", seeds=(0,), only="GVAE", backbone_hash=digit * 64)
        ).assign(settings=json.dumps({"backbone_options": {"width": width}}))
        for digit, width in (("a", 0.5), ("b", 1.0))
    ]
    sizes[1]["value"] /= 2
    [table] = [t for t in string_tables(pd.concat(sizes, ignore_index=True)) if t.name == "codes"]
    found = {label: cells[0].value for label, cells in table.lines}
    exact = sizes[0].loc[sizes[0]["metric"] == "exact_strings", "value"].item()
    assert found == {"GVAE (width=0.5)": exact, "GVAE (width=1)": exact / 2}


def test_marks_are_among_the_searches_and_the_better_direction_is_the_tasks():
    rows = string_rows("molecules", seeds=FIVE, noise=0.001)
    found = {
        (label, cells[0].text): cells[3].mark for label, cells in tables_of(rows)["figure2"].lines
    }
    assert found["GRAE rae", "Bayesian search"] == "best"
    assert set(found.values()) == {"best", ""}
    rows = string_rows("expressions", seeds=FIVE, noise=0.001)
    rows = [row for row in rows if row["metric"] == "mean_score"]
    table = tables_of(rows)["figure2"]
    marks = {label: cells[1].mark for label, cells in table.lines if cells[1].mark}
    assert set(marks) == {"GRAE rae-l2 (l2=1e-06)", "GRAE rae-l2 (l2=1e-07)"}


def test_the_tables_of_a_count_of_steps_have_every_method_of_that_count():
    rows = string_rows("expressions", seeds=(0, 1, 2), steps=1000)
    rows = [row for row in rows if row["variant"] != LESS or row["seed"] == 0]
    rows += proper_rows("expressions", seeds=(0,), steps=1000)
    longer = string_rows("expressions", seeds=(0,), steps=7500)
    rows += [row | {"run": f"long {row['run']}"} for row in longer if row["variant"] != LESS]
    told, warnings = all_tables(frame(rows), {})[0], missing_runs(frame(rows))
    tables = {table.name: table for table in told}
    short, main = tables["figure2-steps-1000"], tables["figure2"]
    grid = tables["grae-grid-steps-1000"]
    for table, *seeds in ((short, "1/3", "3"), (main, "1", "1"), (grid, "1/3", "3")):
        found = [cells_of(table, name)[0]["average score"].seeds for name in (FEW, "GRAE rae")]
        assert found == seeds, table.name
    assert cells_of(tables["codes-steps-1000"], "GVAE (proper)")
    assert not any("Steps:" in note for note in short.notes)
    assert f"Steps: 7,500, but {FEW} 1,000." in main.notes
    # All of it stands in the main one.
    assert "log_prob" in tables and "log_prob-steps-1000" not in tables
    assert not any("l2=1e-07" in text for text in warnings)


def test_uniqueness_falls_with_the_count_of_valid_strings_and_is_not_marked():
    table = tables_of(string_rows("molecules", seeds=FIVE, noise=0.001))["strings"]
    names = [name for _, name in table.columns]
    marks = {name: {cells[at].mark for _, cells in table.lines} for at, name in enumerate(names)}
    assert marks["valid ↑"] & {"best", "tie"} and marks["unique"] == {""}
    assert any("compares at equal counts only" in note for note in table.notes)


def test_one_seed_has_the_error_over_its_searches():
    table = one_seed("expressions")["figure2"]
    cell = cells_of(table, "GVAE")[0]["valid"]
    assert (
        cell.half_width == pytest.approx(1.96 * 0.01, rel=1e-3) and "[0.966, 1.000]" in cell.text
    )


def test_the_caption_says_of_what_one_seeds_errors_are_where_there_are_such():
    def said(table):
        return [over for over in ("strings", "searches") if f"errors over the {over}" in table]

    alone = frame(string_rows("expressions", seeds=(0,))).assign(stderr=0.01)
    found = {table.name: said(" ".join(table.notes)) for table in string_tables(alone)}
    assert found == {
        "figure2": ["searches"],
        "strings": ["strings"],
        "codes": ["strings"],
        "grae-grid": ["strings", "searches"],
    }
    many = frame(string_rows("expressions")).assign(stderr=0.01)
    assert not any(said(" ".join(table.notes)) for table in string_tables(many))
    assert not said(" ".join(one_seed("expressions")["codes"].notes))


def test_one_search_of_one_round_is_told_in_the_singular():
    asked = {"evaluation": {"optimisation": {"trials": 1, "rounds": 1, "batch": 2}}}
    rows = frame(string_rows(seeds=(0,))).assign(settings=json.dumps(asked))
    assert list(search_notes(rows)) == ["Ours: for each seed 1 search of 1 round of 2 candidates."]


@pytest.mark.parametrize(
    ("suite", "scale", "told"),
    [
        (
            "expressions",
            "medium",
            "each decoded 25 times (published: 25); surrogate on 18,000 codes (published: 90,000) "
            "with 200 inducing points (published: 500).",
        ),
        (
            "molecules",
            "medium",
            "each decoded 100 times (published: 500); surrogate on 8,100 codes (published: "
            "224,510) with 200 inducing points (published: 500). "
            "Dense and recurrent layers of ours are 0.2555 times as wide as published.",
        ),
        (
            "molecules",
            "full",
            "each decoded 500 times (published: 500); surrogate on all codes but the tenth that "
            "judges it (published: 224,510) with 500 inducing points (published: 500).",
        ),
    ],
)
def test_the_caption_says_how_candidates_are_decoded_and_scored_beside_print(suite, scale, told):
    config = load_suite(f"structured-{suite}", settings={"scale": scale}).configs[0]
    rows = frame(string_rows(suite, seeds=(0,))).assign(
        settings=json.dumps(settings_of_run(config))
    )
    [table] = [table for table in string_tables(rows) if table.name == "figure2"]
    text = " ".join(table.notes)
    assert f"50 candidates, {told}" in text
    assert ("times as wide" in text) == (scale == "medium" and suite == "molecules")


def settings_of_run(config):
    """Returns what a row's recipe stands for, as results folders keep it."""
    return {
        "backbone_options": dict(config.backbone_options),
        "evaluation": {"optimisation": dataclasses.asdict(config.evaluation.optimisation)},
    }


def test_the_grid_says_that_no_regulariser_was_chosen_unless_one_was_tuned():
    rows = string_rows(seeds=(0,))
    tuned = [
        row | {"variant": '{"l2":1e-05,"tuned":true}'} for row in rows if row["variant"] == LESS
    ]
    told = [
        "No regulariser was chosen" in " ".join(tables_of(own)["grae-grid"].notes)
        for own in (rows, rows + [row | {"run": "t" * 16, "recipe": "t" * 16} for row in tuned])
    ]
    assert told == [True, False]


def test_scores_of_texts_are_in_no_table_of_images():
    images = table_rows(objectives=("vae",), seeds=(0,))
    texts = string_rows(seeds=(0,), only="CVAE") + proper_rows(seeds=(0,))
    blank = {"metric": "bits_per_dim", "status": "not applicable", "value": None}
    texts += [row | blank for row in texts if row["metric"] == "log_prob"]
    both = {table.name: table for table in all_tables(frame(images + texts), {})[0]}
    fd = next(table for name, table in both.items() if name.startswith("fd"))
    [(_, alone)] = [(t.name, t) for t in all_tables(frame(images), {})[0] if t.name == "fd"]
    assert fd.lines == alone.lines
    stems = {name.partition("-structured")[0] for name in both if "structured" in name}
    assert stems == {"figure2", "strings", "codes", "log_prob", "gains"}
    cells = [cell for table in both.values() for _, line in table.lines for cell in line]
    assert not any("noise over the pixels" in text for cell in cells for text in cell.warnings)


def test_the_best_strings_are_those_of_all_seeds_each_once():
    rows = string_rows("expressions")
    arrays = {row["run"]: text_arrays(row, "expressions") for row in rows}
    [table] = best_string_tables(frame(rows), arrays.get)
    lines = [cells for label, cells in table.lines if label == "GVAE"]
    assert [cells[1].text for cells in lines] == [
        *("1/3+(x)+sin(x*x)", "x/1+sin(3)+sin(x*x)", "x+1/exp(1)")
    ]
    # Known scores of the first: none under true division, 0.105361 as Python 2 divides.
    assert lines[0][2].value == 0 and lines[0][3].value == pytest.approx(0.105361, abs=1e-6)


def test_of_molecules_the_highest_scores_are_the_best():
    rows = string_rows("molecules", seeds=(0, 1))
    arrays = {row["run"]: text_arrays(row, "molecules") for row in rows}
    [table] = best_string_tables(frame(rows), arrays.get)
    scores = [cells[2].value for label, cells in table.lines if label == "CVAE"]
    assert scores == [3.539, 2.095, 1.137]


def test_printed_expressions_are_scored_under_both_divisions():
    rows = string_rows("expressions", seeds=(0,))
    arrays = {row["run"]: text_arrays(row, "expressions") for row in rows}
    [table] = best_string_tables(frame(rows), arrays.get)
    [line] = [cells for _, cells in table.lines if cells[1].text == "1/1+(x)+sin(1/2)"]
    assert [cell.text for cell in line[2:]] == ["0.9782", "0.6130", "0.61"]


def test_a_string_that_does_not_end_and_a_score_that_is_no_number_are_no_best():
    rows = frame(string_rows("expressions", seeds=(0,)))
    own = rows[rows["backbone"] == "grammar-gru"].assign(written="expressions")
    symbols = text_arrays({"dataset": "expressions", "objective": "vae", "seed": 0}, "expressions")
    symbols["best_bayesian"][0] = 11  # Nothing but padding.
    symbols["best_bayesian_scores"] = np.array([0.0, np.nan, 0.43])
    assert best_texts(own, lambda run: symbols) == [(0.43, "sin(3)+x")]


def test_arrays_of_texts_stay_texts_and_equal_ones_are_kept_once():
    arrays = text_arrays({"dataset": "moses-mini", "objective": "vae", "seed": 0}, "molecules")
    arrays["texts_sample_gmm-10"] = np.repeat(arrays["texts_test"], 5, axis=0)
    compact = compact_arrays(arrays)
    assert compact["texts_sample_gmm-10"].shape == (16, 160)
    assert all(compact[name].dtype == np.uint8 for name in compact if name.startswith("texts"))
    scores = compact["best_bayesian_scores"]
    assert scores.dtype == np.float32 and scores.tolist() == pytest.approx([3.539, 2.095, 1.137])
    again = compact_arrays(compact)
    assert all(np.array_equal(again[name], compact[name]) for name in compact)
    one, many = (len(encode_figures({f"{at}": compact for at in range(n)})) for n in (1, 20))
    assert many < 1.5 * one

"""Pairs of precision and recall: their order, their marks and how they are written."""

import runpy
from pathlib import Path

from aebench.bench.tables.pairs import pair_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row = FACTORY["frame"], FACTORY["make_row"]
cells_of = runpy.run_path(str(Path(__file__).with_name("shown.py")))["cells_of"]


def prd_rows(seeds=(0,), gap=0.0):
    pairs = (("prd_f1/8", 0.9), ("prd_f8", 0.6))
    return [
        make_row(
            metric=metric,
            value=value - at * gap + (0.02 if density == "gmm-10" else 0.0) + 0.0009 * seed,
            unit="",
            better="higher",
            images="sample",
            density=density,
            objective=objective,
            seed=seed,
        )
        for at, (objective, simple) in enumerate((("vae", "prior"), ("rae", "gaussian")))
        for density in (simple, "gmm-10")
        for metric, value in pairs
        for seed in seeds
    ]


def test_the_pairs_of_table_2_have_precision_first_and_recall_second():
    [table] = pair_tables(frame(prd_rows()))
    assert [name for _, name in table.columns] == ["N(0,I) / N", "GMM-10"] and not table.splits
    cells = cells_of(table)
    assert cells["vae", "N(0,I) / N"].text == "0.900 / 0.600 (1)"
    assert cells["rae", "GMM-10"].text == "0.920 / 0.620 (1)"
    assert table.as_csv().splitlines()[1].startswith("vae,0.900 / 0.600 (1)")
    assert "precision (largest F\\_1/8) / recall" in table.as_latex()


def test_a_pair_is_marked_where_both_of_its_scores_are_and_spreads_are_over_seeds():
    marks = cells_of(next(pair_tables(frame(prd_rows(range(6), gap=0.1)))))
    assert {key[0] for key, cell in marks.items() if cell.mark == "best"} == {"vae"}
    assert marks["vae", "GMM-10"].text == "0.922 ± 0.002 / 0.622 ± 0.002 (6)"
    rows = [
        row | {"value": 0.95} if (row["objective"], row["metric"]) == ("rae", "prd_f8") else row
        for row in prd_rows(range(6), gap=0.1)
    ]
    assert {cell.mark for cell in cells_of(next(pair_tables(frame(rows)))).values()} == {""}


def test_a_table_of_pairs_explains_its_marks_once():
    rows = [
        row | {"value": 0.6 + 0.01 * row["seed"]}
        if (row["metric"], row["density"]) == ("prd_f8", "gmm-10")
        else row
        for row in prd_rows(range(6), gap=0.1)
    ]
    [table] = pair_tables(frame(rows))
    notes = " ".join(table.notes)
    assert notes.count("paired t-test") == 1
    assert notes.endswith("No marks in GMM-10: no row is marked in both scores.")


def test_a_suite_without_both_scores_has_no_table_of_pairs():
    half = [row for row in prd_rows() if row["metric"] == "prd_f8"]
    assert [*pair_tables(frame(half))] == []


def test_a_warning_about_one_pair_is_not_a_footnote_of_the_whole_column():
    rows = [
        row | {"reason": "few rows" if row["objective"] == "vae" else ""} for row in prd_rows()
    ]
    [table] = pair_tables(frame(rows))
    [header] = [line for line in table.as_markdown().splitlines() if "GMM-10" in line]
    assert "¹" not in header


def test_a_pair_has_the_digits_and_the_limits_of_its_scores():
    shares = {0: 0.5, 1: 0.9}
    rows = [
        row | {"unit": "share", "value": shares[row["seed"]] if row["metric"] == "prd_f8" else 0.5}
        for row in prd_rows((0, 1))
    ]
    cells = cells_of(next(pair_tables(frame(rows))))
    assert cells["vae", "GMM-10"].text == "0.500 ± 0.000 / 0.7 [0, 1.0] (2)"
    assert cells["vae", "GMM-10"].cut

import csv
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.columns import columns_of, with_places
from aebench.bench.comparison.likelihoods import one_likelihood
from aebench.bench.comparison.numbers import format_number
from aebench.bench.comparison.table import Cell, Table, seeds_cell
from aebench.bench.tables.boards import board_entries
from aebench.bench.tables.likelihood import likelihood_tables
from aebench.bench.tables.pivot import grid_tables, noise_tables
from aebench.bench.tables.wide import score_tables, wide_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "likelihood_rows")
)
cells_of = runpy.run_path(str(Path(__file__).with_name("shown.py")))["cells_of"]


def test_the_wide_table_has_the_columns_and_row_order_of_table_1():
    table = next(wide_tables(frame(table_rows())))
    names = [name for _, name in table.columns]
    assert names[:4] == ["Rec", "N(0,I) / N", "GMM-10", "Interp"]
    assert [label for label, _ in table.lines] == [
        "floor",
        "vae",
        "wae-mmd",
        "rae-gp",
        "rae",
        "ae",
    ]
    assert cells_of(table)["vae", "outside backbone"].value == 784


def test_the_mean_and_students_interval_are_over_the_seeds():
    cell = seeds_cell({0: 1.0, 1: 2.0, 2: 3.0}, 3)
    assert (cell.value, cell.text) == (2.0, "2.0 ± 2.5 (3)")
    assert cell.half_width == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert seeds_cell({0: 5.0}, 1).text == "5.00 (1)"


def test_the_n_column_holds_the_prior_where_there_is_one():
    rows = table_rows(objectives=("vae", "ae"), seeds=(0,), noise=0)
    rows.append(make_row(objective="vae", images="sample", density="gaussian", value=99.0))
    cells = cells_of(next(wide_tables(frame(rows))))
    assert cells["vae", "N(0,I) / N"].value == 50.0
    assert cells["ae", "N(0,I) / N"].value == 41.0


def test_a_best_is_marked_only_with_five_seeds():
    three = next(wide_tables(frame(table_rows())))
    six = next(wide_tables(frame(table_rows(seeds=range(6)))))
    assert {cell.mark for cell in cells_of(three).values()} == {""}
    assert "all rows share only 3 of the 5 seeds needed" in " ".join(three.notes)
    assert [k for k, c in cells_of(six).items() if c.mark == "best"] == [
        ("rae-gp", name) for name in ("Rec", "N(0,I) / N", "GMM-10", "Interp")
    ]
    assert cells_of(six)["floor", "Rec"].mark == ""
    assert "**" in six.as_markdown() and r"\textbf" in six.as_latex()


def test_a_diverged_run_is_counted_in_every_column_not_dropped():
    rows = table_rows(objectives=("vae", "ae"))
    lost = [r for r in rows if r["objective"] == "ae" and r["seed"] == 2]
    rows = [row for row in rows if row not in lost]
    rows.append(make_row(objective="ae", seed=2, status="diverged", metric="loss", images="test"))
    rows.append(make_row(objective="rae", seed=0, status="diverged", metric="loss", images="test"))
    cells = cells_of(next(wide_tables(frame(rows))))
    assert cells["ae", "Rec"].seeds == "2/3, 1 diverged"
    assert cells["ae", "GMM-10"].seeds == "2/3, 1 diverged"
    assert cells["rae", "Interp"].text == "- (0/3, 1 diverged)"
    assert cells["vae", "Rec"].seeds == "3"


def test_two_extractors_never_share_a_column_and_the_difference_is_named():
    rows = table_rows() + table_rows(objectives=("ae",), features="pixels:-")
    [table] = wide_tables(frame(rows))
    groups = {group for group, name in table.columns if name == "Rec"}
    assert groups == {
        "fashion-mini [features=lite0@64:579344248a93]",
        "fashion-mini [features=pixels:-]",
    }
    assert any("features=pixels:-" in note and "protocols" in note for note in table.splits)
    assert table.splits[0].replace("|", "\\|").partition("[")[0] in table.as_markdown()


def test_two_counts_and_two_splits_never_share_a_column():
    for change in ({"n_generated": 500}, {"split": "aef"}, {"image_shape": "1x32x32"}):
        [table] = wide_tables(frame(table_rows() + table_rows(objectives=("ae",), **change)))
        groups = [group for group, name in table.columns if name == "Rec"]
        assert len(groups) == 2 and all(f"{next(iter(change))}=" in group for group in groups)


def test_two_backbones_never_share_a_column_and_both_are_named():
    rows = table_rows() + table_rows(
        objectives=("ae",), backbone="rae-32", backbone_hash="99" * 32
    )
    [table] = wide_tables(frame(rows))
    notes = table.splits
    groups = [group for group, name in table.columns if name == "Rec"]
    assert sorted(groups) == ["fashion-mini, rae-32 #999999", "fashion-mini, tiny #ab12cd"]
    assert any("'rae-32'" in note for note in notes) and any("'tiny'" in note for note in notes)


def test_suite_and_scale_are_in_every_title():
    rows = table_rows(metrics=("fd", "mse")) + likelihood_rows(sizes=(2, 8))
    rows += [make_row(images="test", metric="psnr", better="higher")]
    for make in (wide_tables, likelihood_tables, score_tables, grid_tables):
        tables = [*make(frame(rows))]
        assert tables and all("quick (scale: small)" in table.title for table in tables)


def test_how_well_a_likelihood_was_estimated_has_no_best_model():
    rows = []
    for seed in range(6):
        for at, objective in enumerate(("vae", "iwae")):
            own = {"objective": objective, "seed": seed, "images": "test"}
            rows.append(make_row(**own, metric="mse", value=1.0 + 3 * at + 0.01 * seed))
            share = {"metric": "ess_below_10", "unit": "share"}
            rows.append(make_row(**own, **share, value=0.9 - 0.3 * at + 0.01 * seed))
    [table] = score_tables(frame(rows))
    assert [key for key, cell in cells_of(table).items() if cell.mark] == [("vae", "mse ↓")]
    assert "ess_below_10: how well a likelihood was estimated" in " ".join(table.notes)


def test_diagnostics_are_those_of_the_likelihood_shown_whatever_the_order_of_rows():
    rows = []
    ways = {("native", "", 500): 60.0, ("completed", "gmm-10", 500): 90.0}
    ways |= {("native", "", 50): 20.0, ("completed", "prior", 500): 80.0}
    for objective, names in (("vae", ("native", "completed")), ("ae", ("completed",))):
        for (model, density, count), level in ways.items():
            if model in names:
                of = {"model": model, "density": density, "samples_k": count}
                own = likelihood_rows(**of | {"levels": {objective: 4.0}, "space": "logit"})
                told = {"kind": "", "trusted": "", "metric": "ess_5_percent", "unit": "samples"}
                rows += own + [row | told | {"value": level + row["seed"]} for row in own]
    [table], [reverse] = (score_tables(frame(own)) for own in (rows, rows[::-1]))
    assert table.as_markdown() == reverse.as_markdown()
    values = {label: cells[0].value for label, cells in table.lines}
    assert values == {"vae": 61.0, "ae": 91.0}


def test_two_scales_get_two_tables():
    rows = table_rows() + table_rows(scale="full")
    titles = [table.title for table in [*wide_tables(frame(rows))]]
    assert len(titles) == 2 and any("full" in t for t in titles)


def test_kind_model_samples_and_ess_stand_beside_a_likelihood():
    cells = cells_of(next(likelihood_tables(frame(likelihood_rows()))))
    assert cells["aef-center (logit)", "kind"].text == "exact"
    assert cells["aef-center (logit)", "K"].text == "-"
    assert (
        cells["vae (logit)", "kind"].text == "lower bound"
        and cells["vae (logit)", "K"].text == "500"
    )
    assert (
        cells["ae (unit)", "model"].text == "completed" and cells["ae (unit)", "ESS"].value == 41.0
    )
    assert cells["vae (logit)", "bits/dim, logit"].text.startswith("≤ ")
    assert cells["ae (unit)", "bits/dim, unit"].text.startswith("c ≤ ")
    assert not cells["aef-center (logit)", "bits/dim, logit"].text.startswith("≤")


def test_an_exact_likelihood_is_not_best_against_bounds_but_a_bound_beats_exact_ones():
    levels = {"aef-center": 4.0, "vae": 5.0}
    rows = likelihood_rows(seeds=range(6), levels=levels)
    marks = {k: c.mark for k, c in cells_of(next(likelihood_tables(frame(rows)))).items()}
    assert set(marks.values()) == {""}
    rows = likelihood_rows(seeds=range(6), levels={"aef-center": 5.0, "vae": 4.0})
    marks = {k: c.mark for k, c in cells_of(next(likelihood_tables(frame(rows)))).items()}
    assert marks["vae", "bits/dim, logit"] == "best"


def test_captions_name_methods_as_their_lines_do():
    rows = [r for r in likelihood_rows() if (r["objective"], r["seed"]) != ("vae", 2)]
    notes = " ".join(next(likelihood_tables(frame(rows))).notes)
    assert "('vae (logit)' has 2)" in notes and "|" not in notes
    rows = [row | {"steps": 1818} if row["objective"] == "vae" else row for row in rows]
    notes = next(likelihood_tables(frame(rows))).notes
    assert "Steps: 1,000, but vae (logit) 1,818." in notes


def test_likelihoods_over_other_test_images_have_their_own_column():
    rows = likelihood_rows() + likelihood_rows(n_real=50, samples_k=5000)
    table = next(likelihood_tables(frame(rows)))
    groups = [group for group, name in table.columns if name == "bits/dim, logit"]
    assert sorted(groups) == ["fashion-mini [n_real=1000]", "fashion-mini [n_real=50]"]


def test_a_run_scored_in_two_ways_or_on_two_backbones_keeps_each_likelihood():
    score = {"metric": "bits_per_dim", "images": "test", "kind": "exact", "model": "native"}
    other = "cd34ab12ef56" + "0" * 52
    rows = [
        make_row(**score, run="1" * 16, recipe="a" * 16, value=1.0),
        make_row(**score, run="1" * 16, recipe="b" * 16, value=2.0),
        make_row(**score, run="1" * 16, recipe="a" * 16, value=3.0, backbone_hash=other),
    ]
    kept = one_likelihood(with_places(frame(rows)))
    assert sorted(kept["value"]) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("levels", [{"vae": 4.6}, {"vae": 4.6, "aef-center": 4.3}])
def test_a_second_estimate_of_few_samples_does_not_stand_for_that_of_many(levels):
    rows = likelihood_rows(levels=levels, n_real=1000)
    few = likelihood_rows(levels={"vae": 5.0}, n_real=10_000, samples_k=32, trusted="no")
    for order in (rows + few, few + rows):
        kept = one_likelihood(with_places(frame(order)))
        assert set(kept["n_real"]) == {1000} and len(kept) == len(rows)


def test_likelihoods_of_one_suite_stay_where_another_suite_scored_more_images():
    small = likelihood_rows(suite="small", n_real=50)
    large = likelihood_rows(suite="large", n_real=500, seeds=range(6))
    kept = one_likelihood(with_places(frame(small + large)))
    assert set(kept["suite"]) == {"small", "large"}


def test_likelihoods_of_each_space_have_their_own_column_in_every_table():
    rows = likelihood_rows() + likelihood_rows(levels={"vae": 9.0}, space="unit")
    rows += likelihood_rows(levels={"vae": 2.0}, space="real") + table_rows(latent_dim=8)
    wanted = ["bits/dim, logit", "bits/dim, real", "bits/dim, unit"]
    for make in (likelihood_tables, wide_tables):
        table = next(make(frame(rows)))
        names = [name for _, name in table.columns if name.startswith("bits/dim")]
        assert sorted(names) == wanted
        assert "¹ worse than uniform noise over the pixels, which has 8 bits/dim." in (
            table.as_markdown()
        )
        worse = {key[0] for key, cell in cells_of(table).items() if cell.warnings}
        assert worse == {"vae (unit)"}
    places = {e["place"] for e in board_entries(frame(rows)) if e["place"].startswith("bits")}
    assert sorted(places) == wanted


def test_the_grid_has_a_column_for_each_latent_size():
    table = next(grid_tables(frame(likelihood_rows(sizes=(2, 8, 32)))))
    assert [name for _, name in table.columns] == [
        f"d = {size}, {space}" for space in ("logit", "unit") for size in (2, 8, 32)
    ]
    tables = [*likelihood_tables(frame(likelihood_rows(sizes=(2, 8, 32))))]
    assert [table.name for table in tables] == [f"bits_per_dim-d{d}" for d in (2, 8, 32)]


def test_the_grid_says_what_was_measured():
    rows = [
        row
        for size in (2, 8)
        for row in table_rows(objectives=("vae", "ae"), seeds=(0,), latent_dim=size)
    ]
    notes = " ".join(next(grid_tables(frame(rows))).notes)
    assert "Features: lite0@64:579344248a93. Images: 1000 real, 1000 scored. N: the" in notes


def test_the_denoising_table_has_a_line_for_each_objective_and_a_column_for_each_noise():
    rows = [
        make_row(
            objective=objective,
            variant=f'{{"decoder_scale":"fixed","noise_sigma":{sigma}}}',
            latent_dim=size,
            images="test",
            metric="ife",
            value=base + sigma + size,
        )
        for objective, base in (("vae", 10.0), ("ae", 20.0))
        for sigma in (1.0, 0.25)
        for size in (2, 32)
    ]
    tables = [*noise_tables(frame(rows))]
    assert [table.name for table in tables] == ["noise-ife-d2", "noise-ife-d32"]
    assert not any(table.splits for table in tables)
    cells = cells_of(tables[1])
    assert [name for _, name in tables[1].columns] == ["noise 0.25", "noise 1"]
    assert [label for label, _ in tables[1].lines] == [
        "vae (decoder_scale=fixed)",
        "ae (decoder_scale=fixed)",
    ]
    assert cells["vae (decoder_scale=fixed)", "noise 0.25"].value == 42.25
    assert [*noise_tables(frame(rows[:1]))] == []


def test_a_caption_names_the_columns_without_marks_and_says_nothing_of_those_with():
    rows = table_rows(seeds=range(6), objectives=("vae", "ae"))
    few = [row for row in rows if row["images"] != "interpolation" or row["seed"] < 3]
    notes = " ".join(next(wide_tables(frame(few))).notes)
    assert notes.endswith(
        "Bold: best (paired t-test over seeds, Holm-corrected, 5 %). "
        "No marks in Interp: all rows share only 3 of the 5 seeds needed."
    )


def test_two_recipes_of_the_same_objective_and_seed_are_told_apart():
    rows = [make_row(value=1.0, recipe="aaaaaaaa"), make_row(value=2.0, recipe="bbbbbbbb")]
    labels = [label for label, _ in next(wide_tables(frame(rows))).lines]
    assert labels == ["ae (#aaaaaa)", "ae (#bbbbbb)"]


def test_markup_in_names_cannot_break_the_forms():
    name = "a|b_c & <b>x</b> $y$"
    table = Table("t", "T", (), "who", (("", "v"),), ((name, (Cell("1", 1.0),)),))
    body = table.as_markdown().splitlines()[4]
    assert len(re.findall(r"(?<!\\)\|", body)) == 3 and r"\<b\>" in body
    assert r"a$|$b\_c \&" in table.as_latex() and r"\$y\$" in table.as_latex()
    assert next(csv.reader([table.as_csv().splitlines()[1]]))[0] == name


def test_latex_uses_booktabs_and_csv_has_full_numbers():
    table = next(wide_tables(frame(table_rows())))
    latex = table.as_latex()
    assert all(rule in latex for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    bounds = next(likelihood_tables(frame(likelihood_rows()))).as_latex()
    assert r"$\le$" in bounds and not {"≤", "≥"} & set(bounds)
    lines = list(csv.DictReader(table.as_csv().splitlines()))
    assert float(lines[1]["fashion-mini Rec"]) == cells_of(table)["vae", "Rec"].value
    assert lines[1]["fashion-mini Rec seeds"] == "3"


def test_numbers_have_digits_that_fit_their_size():
    assert [format_number(v) for v in (1234.5, 123.45, 3.14159, 0.5, 0.00012)] == [
        *("1234", "123.5", "3.14", "0.500", "1.20e-04")
    ]


def test_a_score_that_does_not_apply_makes_no_column_of_its_own():
    known = [make_row(objective=name, n_real=100) for name in ("ae", "vae")]
    absent = make_row(objective="2svae", n_real=None, status="not applicable", value=None)
    columns, notes = columns_of(with_places(frame([*known, absent])))
    assert len(columns) == 1 and not notes
    assert set(columns[0].rows["objective"]) == {"ae", "vae", "2svae"}
    other = make_row(objective="vae", n_real=500, seed=1)
    columns, notes = columns_of(with_places(frame([*known, other, absent])))
    assert len(columns) == 2 and len(notes) == 1 and "n_real=100" in notes[0]
    assert all("2svae" in set(column.rows["objective"]) for column in columns)


def test_a_metric_that_only_failed_has_no_table_beside_those_of_scores():
    failed = make_row(objective="maf", metric="frechet", status="failed", value=None, reason="nan")
    known = [make_row(objective=name, metric="fd") for name in ("ae", "vae")]
    assert [table.name for table in wide_tables(frame([*known, failed]))] == ["fd"]
    assert [table.name for table in wide_tables(frame([failed]))] == ["frechet"]


def test_warnings_kept_with_scores_are_footnotes_with_each_text_once():
    reason = "fewer rows than features: the covariances are singular, the bias is large"
    rows = table_rows(objectives=("vae", "ae"), reason=reason)
    text = next(wide_tables(frame(rows))).as_markdown()
    assert text.count(reason) == 1 and f"¹ {reason}." in text
    assert all(f"{name} ¹" in text for name in ("Rec", "GMM-10", "Interp"))
    rows = [r | {"reason": ""} if r["objective"] == "vae" else r for r in rows]
    table = next(wide_tables(frame(rows)))
    [line] = [x for x in table.as_markdown().splitlines() if x.startswith("| ae")]
    assert line.count(" ¹ |") == 4 and "Rec ¹" not in table.as_markdown()
    assert "$^{1}$" in table.as_latex() and reason in table.as_csv()


def test_warnings_that_differ_in_numbers_alone_are_one_footnote_with_their_range():
    rows = likelihood_rows()
    for at, row in enumerate(rows):
        if row["objective"] == "vae":
            row["reason"] = f"{at + 2} samples on 9 images"
    text = next(likelihood_tables(frame(rows))).as_markdown()
    assert "¹ 2 to 4 samples on 9 images." in text and "² " not in text


def test_an_untrusted_estimate_is_shown_as_such_without_interval_mark_or_rank():
    rows = likelihood_rows(seeds=range(6), levels={"aef-center": 4.4, "vae": 4.0})
    doubtful = [r | {"trusted": "no"} if r["kind"] == "lower bound" else r for r in rows]
    table = next(likelihood_tables(frame(doubtful)))
    cell = cells_of(table)["vae", "bits/dim, logit"]
    assert cell.text.startswith("≤ 3.69") and "±" not in cell.text and cell.mark == ""
    assert cell.value is None and "(0/6, 6 untrusted) †" in table.as_markdown()
    assert table.as_markdown().count("† Not trusted: the effective sample size") == 1
    ranks = {e["objective"]: e["rank"] for e in board_entries(frame(doubtful))}
    assert ranks == {"aef-center": "-", "vae": "6 untrusted"}
    some = [
        r | {"trusted": "no"} if (r["objective"], r["seed"]) == ("vae", 5) else r for r in rows
    ]
    cell = cells_of(next(likelihood_tables(frame(some))))["vae", "bits/dim, logit"]
    kept = [r["value"] for r in some if r["objective"] == "vae" and r["trusted"] != "no"]
    assert cell.value == np.mean(kept) and cell.seeds == "5/6, 1 untrusted"


def test_the_interval_of_a_likelihood_covers_the_error_over_test_images():
    rows = likelihood_rows(levels={"aef-center": 4.73}, value=4.73, stderr=0.05)
    cell = cells_of(next(likelihood_tables(frame(rows))))["aef-center", "bits/dim, logit"]
    assert cell.text == "4.73 ± 0.10 (3)"
    [entry] = board_entries(frame(rows))
    assert entry["half_width"] == pytest.approx(0.098, rel=1e-3)


def test_cost_is_compute_seconds_and_never_wall_seconds():
    table = next(wide_tables(frame(table_rows(objectives=("vae", "ae")))))
    assert cells_of(table)["vae", "compute s"].value == 11.5
    rows = [r | {"compute_seconds": None} if r["seed"] == 1 else r for r in table_rows()]
    assert cells_of(next(wide_tables(frame(rows))))["vae", "compute s"].value == 11.5
    rows = [r | {"compute_seconds": None} for r in table_rows()]
    table = next(wide_tables(frame(rows)))
    assert cells_of(table)["vae", "compute s"].text == "-"
    assert {e["compute_seconds"] for e in board_entries(frame(rows))} == {None}

"""Scores in a lower precision are set beside those of the same training in float32."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.pages.claims import reading
from aebench.bench.records.per_image import PerImage, key_of
from aebench.bench.tables.precision import precision_reading, precision_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row = FACTORY["frame"], FACTORY["make_row"]


def rows_of(shifts, seeds=range(6), **columns):
    """Rows of each objective in float32 and, moved by its shift, in a lower precision."""
    rows = []
    for objective, (precision, shift) in shifts.items():
        for seed in seeds:
            for name, moved in (("float32", 0.0), (precision, shift * (1 + seed / 100))):
                options = dict(columns.get("options", {}))
                if name != "float32":
                    options["precision"] = name
                variant = json.dumps(options, sort_keys=True, separators=(",", ":"))
                row = {"variant": variant if options else "", "value": 10.0 + seed + moved}
                rows.append(make_row(objective=objective, seed=seed, **row))
    return rows


def test_a_lower_precision_is_compared_with_float32_seed_by_seed():
    rows = frame(rows_of({"ae": ("bfloat16", 1.0), "vae": ("bfloat16", -1.0)}))
    tables = [*precision_tables(rows, {})]
    assert [table.name for table in tables] == ["precision"]
    assert tables[0].title.startswith("bfloat16 minus float32")
    found = {label: (cells[-2].value, cells[-1].text) for label, cells in tables[0].lines}
    assert found["ae unit"] == (pytest.approx(1.025), "worse")
    assert found["vae unit"] == (pytest.approx(-1.025), "better")


def test_other_options_stay_part_of_the_method():
    wide, narrow = ({"width": w} for w in (2, 1))
    rows = rows_of({"ae": ("bfloat16", 1.0)}, options=wide)
    rows += [
        r for r in rows_of({"ae": ("bfloat16", 5.0)}, options=narrow) if "prec" in r["variant"]
    ]
    [table] = precision_tables(frame(rows), {})
    [(label, cells)] = table.lines
    assert "2" in label and cells[-2].value == pytest.approx(1.025)


def test_what_tells_of_the_estimate_alone_is_no_score():
    rows = rows_of({"ae": ("bfloat16", 1.0)})
    more = [make_row(**row | {"metric": "ess_5_percent", "run": ""}) for row in rows]
    [table] = precision_tables(frame(rows + more), {})
    assert len(table.lines) == 1


def test_likelihoods_are_paired_over_the_single_images_that_were_kept():
    draw = np.random.default_rng(0)
    arrays, rows = {}, []
    own = {"metric": "log_prob", "kind": "exact", "model": "native", "images": "test"}
    own |= {"unit": "nats per image", "better": "higher", "space": "logit", "n_generated": None}
    for row in rows_of({"maf": ("bfloat16", 0.0)}):
        nats = draw.normal(-5.0 if row["variant"] else 0.0, 1.0, 40)
        rows.append(row | own | {"run": "", "n_real": 40, "value": nats.mean(), "samples_k": None})
        rows[-1] = make_row(**rows[-1])
        arrays[key_of(rows[-1])] = PerImage(np.arange(40), nats, "exact")
    [table] = precision_tables(frame(rows), arrays)
    [(_, cells)] = table.lines
    assert cells[-1].text == "worse" and "single images" not in " ".join(table.notes)


def test_networks_are_compared_with_themselves():
    rows = rows_of({"ae": ("bfloat16", 1.0)})
    other = [r | {"backbone": "small", "value": 2 * r["value"], "run": ""} for r in rows]
    tables = precision_tables(frame(rows + [make_row(**row) for row in other]), {})
    values = [cells[-2].value for table in tables for _, cells in table.lines]
    assert values == pytest.approx([2.05, 1.025])


def test_each_lower_precision_has_its_own_table():
    rows = rows_of({"ae": ("bfloat16", 1.0), "vae": ("tf32", 2.0)})
    tables = [*precision_tables(frame(rows), {})]
    assert [table.name for table in tables] == ["precision", "precision-2"]
    assert [len(table.lines) for table in tables] == [1, 1]


def test_the_page_says_how_far_a_lower_precision_moves_scores():
    rows = frame(rows_of({"ae": ("bfloat16", 1.0), "vae": ("bfloat16", 0.0)}))
    [sentence] = precision_reading(rows, {})
    assert "2 methods were trained in bfloat16 and in float32. Paired t-tests" in sentence
    assert "(Holm-corrected) find a difference in 1 of 2 scores." in sentence
    # Seeds 10 to 15 have a standard deviation of 1.871; the differences are 1.025 and 0.
    assert "the means differ by less than 0.27 standard deviations" in sentence
    assert sentence in reading(rows, [])
    few = frame(rows_of({"ae": ("bfloat16", 1.0)}, seeds=range(3)))
    assert "too few seeds for a test" in precision_reading(few, {})[0]


@pytest.mark.parametrize("variant", ["", '{"width":2}', "precision of old", "[1]", '"precision"'])
def test_rows_of_one_precision_give_no_table(variant):
    rows = frame([make_row(seed=seed, variant=variant) for seed in range(5)])
    assert [*precision_tables(rows, {})] == []
    assert precision_reading(rows, {}) == []


def test_a_difference_and_its_interval_are_written_with_the_digits_of_the_interval():
    # Differences of 2000 and 2020: half-width 12.706 times 10.
    [table] = precision_tables(frame(rows_of({"ae": ("bfloat16", 2000.0)}, seeds=(0, 1))), {})
    assert table.lines[0][1][-2].text == "+2010 ± 127"

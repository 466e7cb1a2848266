"""Tables at equal cost: what costs the same, and when there is nothing to compare."""

import runpy
from pathlib import Path

from aebench.bench.comparison.columns import with_places
from aebench.bench.comparison.costs import device_note
from aebench.bench.comparison.scored import compute_seconds, scores_in
from aebench.bench.tables.cost import cost_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "likelihood_rows")
)
COSTS = {"vae": 10.0, "ae": 12.0, "rae": 12.6, "rae-gp": 40.0, "wae-mmd": 45.0}


def priced(costs=COSTS, seeds=(0, 1), **columns):
    rows = table_rows(seeds=seeds, **columns)
    return [row | {"compute_seconds": costs.get(row["objective"])} for row in rows]


def classes_of(table):
    """Returns the class of each method; references come first and have none."""
    label, cells = table.lines[0]
    assert (label, cells[0].text) == ("floor", "-")
    return {label: cells[0].text for label, cells in table.lines[1:]}


def test_methods_within_a_factor_of_the_cheapest_of_their_class_share_a_letter():
    [table] = cost_tables(frame(priced()))
    assert [*classes_of(table).items()] == [
        *(("vae", "A"), ("ae", "A"), ("rae", "B"), ("rae-gp", "C"), ("wae-mmd", "C"))
    ]
    assert "1.25 times" in table.notes[0]
    names = [name for _, name in table.columns]
    assert names == ["class", "compute s", "steps", "Rec", "N(0,I) / N", "GMM-10"]


def test_the_caption_says_which_score_on_which_images_the_columns_have():
    [table] = cost_tables(frame(priced()))
    notes = " ".join(table.notes)
    assert "Rec, N(0,I) / N, GMM-10: Fréchet distance ↓. FD in squared feature units." in notes
    assert "Features: lite0@64:579344248a93. Images: 1000 real, 1000 scored. N: the" in notes


def test_more_steps_of_a_cheap_method_stand_beside_fewer_of_a_dear_one():
    short = priced({"vae": 10.0, "ae": 40.0})
    more = [
        row | {"steps": 4000, "variant": '{"steps":4000}', "compute_seconds": 41.0}
        for row in table_rows(objectives=("vae",), seeds=(0, 1), variant='{"steps":4000}')
        if row["objective"] == "vae"
    ]
    kept = [row for row in short if row["objective"] in ("vae", "ae", "floor")]
    [table] = cost_tables(frame(kept + more))
    assert classes_of(table) == {"vae": "A", "ae": "B", "vae (steps=4000)": "B"}
    assert {label: cells[2].text for label, cells in table.lines}["vae (steps=4000)"] == "4,000"


def test_marks_are_within_a_class():
    [table] = cost_tables(frame(priced(seeds=range(6))))
    at = [name for _, name in table.columns].index("Rec")
    marks = {label: cells[at].mark for label, cells in table.lines}
    # rae-gp is the best of all and of its class; in the cheapest class it is ae.
    own = {"vae": "", "ae": "best", "rae": "", "rae-gp": "best", "wae-mmd": ""}
    assert marks == {"floor": "", **own}


def test_there_is_no_table_without_something_to_compare_at_equal_cost():
    assert [*cost_tables(frame(priced(dict.fromkeys(COSTS, 10.0))))] == []
    assert [*cost_tables(frame(priced({n: 10.0**at for at, n in enumerate(COSTS)})))] == []
    assert [*cost_tables(frame(priced({})))] == []


def test_seconds_of_a_gpu_make_no_classes_of_equal_cost():
    rows = priced()
    gpu = [row | {"device": "NVIDIA H200"} for row in rows]
    assert [*cost_tables(frame(gpu))] == []
    [table] = cost_tables(frame([*rows, *(row | {"run": row["run"][::-1]} for row in gpu)]))
    assert " on cpu " in table.title and classes_of(table)["vae"] == "A"


def test_seconds_of_two_devices_are_never_compared():
    rows = [row | {"device": "cuda"} if row["objective"] == "ae" else row for row in priced()]
    tables = [*cost_tables(frame(rows))]
    assert [("ae" in classes_of(table)) for table in tables] == [False]
    assert classes_of(tables[0])["vae"] == "A"


def test_scores_are_of_all_seeds_and_seconds_of_those_on_the_device():
    rows = priced(seeds=range(6))
    away = {"device": "NVIDIA H200", "compute_seconds": 1.0}
    mixed = [row | away if row["seed"] > 1 else row for row in rows]
    [alone], [table] = (list(cost_tables(frame(own))) for own in (rows, mixed))
    assert dict(table.lines) == dict(alone.lines) and table.title == alone.title
    assert "Seconds are means over the runs on cpu, 6 of each model." in alone.notes
    assert "Seconds are means over the runs on cpu, 2 of each model." in table.notes
    assert "Scores are of all runs." in table.notes


def test_a_caption_names_the_device_of_seconds_and_how_many_runs_they_are_means_over():
    rows = priced(seeds=(0, 1, 2))
    once = [row for row in rows if row["objective"] != "ae" or row["seed"] == 0]
    away = [row | {"device": "cuda"} if row["objective"] == "ae" else row for row in rows]
    told = "Seconds are means over the runs on cpu, 3 of each model."
    assert device_note(with_places(frame(rows))) == told
    assert device_note(with_places(frame(once))) == told.replace("3", "1 to 3")
    without = f"{told} A model with no run there has no seconds."
    assert device_note(with_places(frame(away))) == without
    assert device_note(with_places(frame(priced({})))) == ""


def test_a_reason_for_no_marks_is_said_once_with_its_classes():
    rows = [row for row in priced() if (row["objective"], row["seed"]) != ("rae-gp", 1)]
    [table] = cost_tables(frame([row for row in rows if row["objective"] != "rae"]))
    all_of = "all rows share only {} of the 5 seeds needed"
    first, second = all_of.format(2), all_of.format("1") + " ('rae-gp' has 1)"
    assert f"seeds, Holm-corrected, 5 %): in A {first}; in B {second}." in " ".join(table.notes)
    rows = [row for row in priced() if row["objective"] != "rae"]
    [table] = cost_tables(frame(rows))
    assert f"Holm-corrected, 5 %): in A, B {first}." in " ".join(table.notes)


def test_likelihoods_stand_in_the_table_by_space():
    rows = priced() + [r | {"compute_seconds": 10.0} for r in likelihood_rows(sizes=(16,))]
    [table] = cost_tables(frame([r | {"backbone_hash": "ab" * 8} for r in rows]))
    assert {"bits/dim, logit", "bits/dim, unit"} <= {name for _, name in table.columns}


def test_each_run_counts_once_in_mean_seconds_however_many_scores_and_runs_a_seed_has():
    seconds = {"a" * 16: 10.0, "b" * 16: 40.0}
    rows = [make_row(run=run, compute_seconds=own) for run, own in seconds.items()]
    rows += [row | {"metric": "mse"} for row in rows[:1]]
    assert compute_seconds(scores_in(frame(rows))) == 25.0

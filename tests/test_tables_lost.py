"""What is missing in tables: metrics that failed stand in the columns of their scores."""

import runpy
from pathlib import Path

from aebench.bench.tables.boards import board_entries
from aebench.bench.tables.cost import cost_tables
from aebench.bench.tables.pivot import grid_tables
from aebench.bench.tables.wide import score_tables, wide_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows = (FACTORY[name] for name in ("frame", "make_row", "table_rows"))
cells_of = runpy.run_path(str(Path(__file__).with_name("shown.py")))["cells_of"]


def failing(rows, metric, scores, **where):
    """Returns rows in which a metric failed, whose scores leave no row of their own."""
    lost = [r for r in rows if all(r[name] == value for name, value in where.items())]
    kept = [row for row in rows if row not in lost]
    first = next(row for row in lost if row["metric"] in scores)
    return [*kept, make_row(**(first | {"metric": metric, "status": "failed", "reason": "nan"}))]


def test_a_metric_that_failed_is_counted_in_the_column_of_its_score():
    rows = table_rows(objectives=("vae", "ae"), seeds=(0, 1), noise=0)
    rows = failing(rows, "frechet", {"fd"}, objective="ae", seed=1, images="reconstruction")
    [table] = wide_tables(frame(rows))
    assert cells_of(table)["ae", "Rec"].text == "32.00 (1/2, 1 failed)"
    [entry] = [
        entry
        for entry in board_entries(frame(rows))
        if (entry["objective"], entry["place"]) == ("ae", "Rec")
    ]
    assert (entry["seeds"], entry["metric"]) == (1, "fd")


def test_a_metric_of_two_scores_that_failed_stands_in_both_and_in_no_column_of_its_own():
    unit = "intensity, squared in mse and sse"
    rows = [
        make_row(
            objective=objective, images="test", metric=metric, unit=unit, seed=seed, features=""
        )
        for objective in ("ae", "vae")
        for seed in (0, 1)
        for metric in ("mse", "mae")
    ]
    rows = failing(rows, "reconstruction", {"mse", "mae"}, objective="ae", seed=0)
    [table] = score_tables(frame(rows))
    assert [name for _, name in table.columns] == ["mae ↓", "mse ↓"]
    assert {cells_of(table)["ae", n].text for n in ("mae ↓", "mse ↓")} == {"1.00 (1/2, 1 failed)"}


def test_a_metric_that_failed_at_one_latent_size_makes_no_grid_of_failures():
    rows = [
        row
        for size in (2, 8)
        for row in table_rows(objectives=("ae", "vae"), seeds=(0,), latent_dim=size)
    ]
    rows = failing(rows, "frechet", {"fd"}, objective="vae", latent_dim=8, density="prior")
    [table] = grid_tables(frame(rows))
    assert cells_of(table)["vae", "d = 8"].text == "- (0/1, 1 failed)"


def test_a_seed_that_no_method_of_a_column_has_is_not_counted_as_missing():
    rows = table_rows(objectives=("vae", "ae"), seeds=(0,), latent_dim=2)
    rows += table_rows(objectives=("vae", "ae"), seeds=(0, 1), latent_dim=8)
    one_each = [row for row in rows if (row["objective"], row["density"]) != ("vae", "gmm-10")]
    [table] = grid_tables(frame([r for r in one_each if r["objective"] != "floor"]))
    assert cells_of(table)["vae", "d = 2"].text.endswith("(1)")
    assert "k/n" not in table.as_markdown()
    less = [r for r in one_each if (r["objective"], r["seed"]) != ("vae", 1)]
    [table] = grid_tables(frame(less))
    assert cells_of(table)["vae", "d = 8"].text.endswith("(1/2)")
    assert "k/n in brackets: k of n seeds have a value." in table.as_markdown()


def test_at_equal_cost_seeds_that_ran_on_another_device_are_not_missing():
    costs = {"vae": 10.0, "ae": 11.0, "rae": 40.0}
    rows = table_rows(objectives=tuple(costs), seeds=range(4))
    away = [("vae", 2), ("vae", 3)]
    rows = [
        row
        | {
            "compute_seconds": costs.get(row["objective"]),
            "device": "gpu" if (row["objective"], row["seed"]) in away else "cpu",
        }
        for row in rows
        if (row["objective"], row["seed"]) != ("ae", 3)
    ]
    # Shorter trainings were asked for on two seeds alone, of which one ran elsewhere.
    short = table_rows(objectives=("wae-mmd",), seeds=(0, 1))
    rows += [
        row | {"compute_seconds": 4.0, "steps": 7, "device": ("cpu", "gpu")[row["seed"]]}
        for row in short
        if row["objective"] == "wae-mmd"
    ]
    [table] = [table for table in cost_tables(frame(rows)) if "on cpu" in table.title]
    counts = {
        name.partition(" (")[0]: cells_of(table)[name, "Rec"].text.rpartition("(")[2]
        for name in (line for line, _ in table.lines)
        if name.partition(" (")[0] in (*costs, "wae-mmd")
    }
    assert counts == {"vae": "4)", "ae": "3/4)", "rae": "4)", "wae-mmd": "2)"}


def test_where_all_values_tie_none_is_marked_also_beside_a_method_without_any():
    rows = [
        make_row(objective=name, seed=seed, value=10.0 + (seed * step) % 5)
        for name, step in (("vae", 1), ("ae", 2))
        for seed in range(5)
    ]
    lost = [make_row(objective="rae", seed=seed, status="diverged") for seed in range(5)]
    notes = [" ".join(next(wide_tables(frame(own))).notes) for own in (rows, rows + lost)]
    assert all("No best is marked" in own and "no row is separated" in own for own in notes)

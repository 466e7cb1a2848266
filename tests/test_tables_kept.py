"""Which rows a table keeps, and beside which references it shows them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from aebench.bench.comparison.columns import columns_of, with_places
from aebench.bench.comparison.likelihoods import one_likelihood
from aebench.bench.comparison.steps import longest

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, likelihood_rows = (
    FACTORY[name] for name in ("frame", "make_row", "likelihood_rows")
)


@pytest.mark.parametrize("counts", [(50, 5000), (5000, 50)])
def test_of_two_estimates_on_the_same_images_the_one_of_more_samples_is_kept(counts):
    rows = [
        row
        for count in counts
        for row in likelihood_rows(seeds=(0,), levels={"vae": 4.6}, samples_k=count, n_real=1000)
    ]
    assert len({row["run"] for row in rows}) == 1
    kept = one_likelihood(with_places(frame(rows)))
    assert kept["samples_k"].tolist() == [5000]


def test_a_column_has_the_references_of_its_own_extractor():
    levels = {"lite0@64:579344248a93": 1.0, "pixels@8:000000000000": 1000.0}
    rows = [
        make_row(objective=objective, images=images, features=features, value=level * share)
        for features, level in levels.items()
        for objective, images, share in (
            ("floor", "test", 0.5),
            ("noise", "reconstruction", 9.0),
            ("ae", "reconstruction", 2.0),
        )
    ]
    columns, _ = columns_of(with_places(frame(rows)))
    found = [dict(zip(c.rows["objective"], c.rows["value"], strict=True)) for c in columns]
    expected = [
        {"floor": 0.5 * level, "noise": 9.0 * level, "ae": 2.0 * level}
        for level in levels.values()
    ]
    assert sorted(found, key=lambda own: own["ae"]) == expected
    assert [len(column.rows) for column in columns] == [3, 3]


def test_a_code_of_another_size_that_was_trained_for_fewer_steps_is_kept():
    sizes = ((2, 100), (8, 200), (8, 50))
    rows = [make_row(latent_dim=size, steps=steps) for size, steps in sizes]
    kept = longest(frame(rows))
    found = zip(kept["latent_dim"], kept["steps"], strict=True)
    assert sorted(found) == [(2, 100), (8, 200)]

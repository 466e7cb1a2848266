"""The share of a published training that runs had, computed by hand from the suites' files."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from aebench.bench.pages.protocol import budget_sentences, training_text

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row = FACTORY["frame"], FACTORY["make_row"]


def trained(*runs, **columns):
    """Returns a row for each pair of steps and batch size, beside what else a run is."""
    rows = []
    for at, (steps, batch, own) in enumerate(runs):
        row = frame([make_row(**columns, **own, steps=steps, run=f"{at:016d}")])
        training = {"steps": steps} | ({"batch_size": batch} if batch else {})
        rows.append(row.assign(settings=json.dumps({"training": training})))
    import pandas as pd

    return pd.concat(rows, ignore_index=True)


def shares(rows):
    """Returns the share in a table's cell and that in the page's sentence."""
    [cell] = [training_text(rows).partition("(")[2].partition(" of published, by examples")[0]]
    [sentence] = [text for text in budget_sentences(rows) if "published" in text]
    return cell, sentence.partition("this is ")[2].partition(" of the published training")[0]


def test_each_objective_is_compared_with_the_published_training_of_its_own():
    # The released VAE has fewer steps, of batches ten times as large.
    runs = [(113_890, 100, "rae"), (162_700, 100, "ae-l2"), (11_340, 1000, "vae")]
    whole = [(steps, batch, {"objective": name}) for steps, batch, name in runs]
    celeba = {"suite": "rae-table1-celeba-released", "scale": "full", "dataset": "celeba"}
    assert shares(trained(*whole, **celeba)) == ("100 %", "100 %")
    half = [(steps // 2, batch, own) for steps, batch, own in whole]
    assert shares(trained(*half, **celeba)) == ("50 %", "50 %")


def test_each_data_set_is_compared_with_the_published_training_on_it():
    runs = [(50_000, 100, {"dataset": "mnist-32"}), (10_000, 100, {"dataset": "cifar10"})]
    rows = trained(*runs, suite="rae-prd", scale="full", objective="rae")
    assert shares(rows) == ("25 to 100 %", "25 to 100 %")


def test_a_smaller_batch_is_a_smaller_share_although_steps_are_equal():
    columns = {"suite": "rae-table1-mnist", "dataset": "mnist-32", "objective": "rae"}
    assert shares(trained((50_000, 50, {}), **columns)) == ("50 %", "50 %")
    # 2,430 batches of 100 strings, of 48,000 batches of 500.
    molecules = {"suite": "structured-molecules", "dataset": "moses-mini", "objective": "vae"}
    molecules |= {"space": "sequence-released"}
    assert shares(trained((2430, 100, {}), **molecules)) == ("1.01 %", "1.01 %")


def test_no_training_is_called_published_on_data_that_the_paper_does_not_have():
    suites = {"fashion-mnist": "rae-table1-fashion-mnist", "mnist": "rae-table1-mnist"}
    columns = {"objective": "rae", "scale": "full"}
    fashion, digits = (
        trained((50_000, 100, {}), suite=suite, dataset=f"{data}-32", **columns)
        for data, suite in suites.items()
    )
    assert training_text(fashion) == (
        "50,000 steps (100 % of the protocol of a paper without this data, by examples seen)"
    )
    told = " ".join(budget_sentences(fashion))
    assert "published" not in told
    assert told.endswith(
        "100 % of the paper's protocol, on data that the paper does not have (fashion-mnist-32)."
    )
    assert shares(digits) == ("100 %", "100 %")
    # The AEF paper has Fashion-MNIST.
    own = {"suite": "aef-grid-fashion-mnist", "dataset": "fashion-mnist", "scale": "full"}
    flows = trained((1, 1, {}), objective="aef-linear", **own)
    assert "of published, by examples seen" in training_text(flows)


def test_of_a_suite_on_several_data_sets_only_those_of_its_paper_have_a_published_share():
    runs = [(50_000, 100, {"dataset": name}) for name in ("mnist-32", "fashion-mnist-32")]
    rows = trained(*runs, suite="rae-prd", scale="full", objective="rae")
    assert training_text(rows) == (
        "50,000 steps (100 % of published, by examples seen); 50,000 steps "
        "(100 % of the protocol of a paper without this data, by examples seen)"
    )


@pytest.mark.parametrize("batch", [None, 100])
def test_without_a_batch_size_no_share_is_said(batch):
    rows = trained((500, batch, {}), suite="rae-table1-mnist", dataset="mnist-32")
    said = " ".join([training_text(rows), *budget_sentences(rows)])
    assert said.startswith("500 steps") and ("%" in said) == (batch is not None)

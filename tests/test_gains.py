"""Differences of log-likelihoods: direction, pairing, error and what an untrusted one does."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.gains import estimate_of, likelihood_gain
from aebench.bench.records.per_image import PerImage, key_of
from scipy.stats import t

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row = FACTORY["frame"], FACTORY["make_row"]
IMAGES = 40
LEVELS = (("a", 0.0), ("b", 90.0))


def likelihoods(name, values, kind="exact", metric="log_prob", **columns):
    """Returns the rows of a method with a row a seed, and the arrays of its single images.

    ``values`` has shape (seeds, images).
    """
    rows, arrays = [], {}
    for seed, own in enumerate(np.asarray(values, dtype=np.float32)):
        row = make_row(
            objective=name,
            seed=seed,
            images="test",
            metric=metric,
            value=float(own.mean(dtype=float)),
            stderr=float(own.std(ddof=1) / np.sqrt(len(own))),
            unit="nats per image",
            better="higher",
            kind=kind,
            model="native",
            space="logit",
            samples_k=None if kind == "exact" else 500,
            n_real=len(own),
            n_generated=None,
            features="",
            **columns,
        )
        rows.append(row)
        arrays[key_of(row)] = PerImage(np.arange(len(own), dtype=np.int32), own, kind)
    return rows, arrays


def gain(first, second, brackets=None):
    arrays = {**first[1], **second[1]}
    estimates = (estimate_of(frame(rows), arrays, brackets) for rows, _ in (first, second))
    return likelihood_gain(*estimates)


@pytest.mark.parametrize(
    ("first", "second", "direction"),
    [
        ("exact", "exact", "="),
        ("lower bound", "exact", "≤"),
        ("exact", "lower bound", "≥"),
        ("lower bound", "lower bound", "?"),
    ],
)
def test_a_difference_says_what_its_kinds_allow(first, second, direction):
    found = gain(
        likelihoods("vae", np.ones((2, 9)), first), likelihoods("maf", 3 * np.ones((2, 9)), second)
    )
    assert (found.direction, found.value) == (direction, 2.0)
    assert found.text.startswith(f"{direction} +2.00")


def test_in_bits_an_upper_limit_becomes_a_lower_one():
    found = gain(
        likelihoods("vae", np.ones((2, 9)), "lower bound"),
        likelihoods("maf", 3 * np.ones((2, 9))),
    )
    bits = found.in_bits(784)
    assert bits.value == pytest.approx(-2 / (784 * np.log(2))) and bits.direction == "≥"


def test_a_bracket_gives_both_ends():
    first = likelihoods("vae", np.ones((1, 9)), "lower bound", "log_prob_annealed")
    second = likelihoods("maf", 3 * np.ones((1, 9)))
    row = first[0][0] | {"metric": "bracket_gap", "value": 0.5, "stderr": 0.25, "kind": ""}
    found = gain(first, second, frame([row]))
    assert found.direction == "to" and found.text.startswith("+1.50 to +2.00")
    assert found.half_width == pytest.approx(1.96 * 0.25, rel=1e-4)
    assert gain(first, second).direction == "≤"


def test_differences_are_paired_over_images_and_seeds():
    draw = np.random.default_rng(0)
    hard = 50 * draw.normal(size=IMAGES)
    moved = draw.normal(2.0, 1.0, size=(3, IMAGES))
    found = gain(likelihoods("vae", hard + np.zeros((3, 1))), likelihoods("maf", hard + moved))
    over_seeds = t.ppf(0.975, 2) * moved.mean(axis=1).std(ddof=1) / np.sqrt(3)
    over_images = 1.96 * moved.mean(axis=0).std(ddof=1) / np.sqrt(IMAGES)
    assert found.value == pytest.approx(moved.mean(), abs=1e-4)
    assert found.half_width == pytest.approx(np.hypot(over_seeds, over_images), rel=1e-3)
    assert (found.images, found.seeds, found.sign) == (IMAGES, (0, 1, 2), 1)


def test_pairs_are_the_images_that_both_were_scored_on():
    values = np.arange(IMAGES, dtype=float)
    few = likelihoods("vae", [values[:10]], "lower bound", "log_prob_annealed")
    found = gain(few, likelihoods("maf", [values + 1]))
    assert (found.images, found.value) == (10, 1.0)


def test_rows_alone_give_an_error_over_seeds_and_decide_nothing():
    draw = np.random.default_rng(1)
    first, second = (
        likelihoods(n, draw.normal(size=(3, 9)) + 90 * s)[0] for s, n in enumerate("ab")
    )
    found = gain((first, {}), (second, {}))
    assert found.images == 0 and found.half_width > 0 and found.sign == 0
    assert gain((first, {}), (likelihoods("b", np.ones((3, 4)))[0], {})) is None


def test_an_untrusted_estimate_enters_no_difference():
    first, second = (likelihoods(name, np.ones((2, 9))) for name in ("vae", "maf"))
    doubtful = [row | {"trusted": "no"} for row in first[0]]
    assert gain((doubtful, first[1]), second) is None
    one = [doubtful[0], first[0][1]]
    assert gain((one, first[1]), second).seeds == (1,)


def test_nats_and_bits_give_the_same_difference():
    first, second = (likelihoods(name, np.full((2, 9), v)) for name, v in (("a", 1.0), ("b", 4.0)))

    def bits(row):
        return row | {"metric": "bits_per_dim", "value": 8 - row["value"] / (784 * np.log(2))}

    found = gain((map(bits, first[0]), first[1]), (map(bits, second[0]), second[1]))
    assert found.value == pytest.approx(3.0)
    assert gain((map(bits, first[0]), {}), (map(bits, second[0]), {})).value == pytest.approx(3.0)

"""Scores belong to sets: the order of rows decides none of them."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from aebench.bench.evaluation.metric_lookup import compute_scores, metrics
from aebench.metrics.prd import prd

pytestmark = pytest.mark.sensitive
CLASSES, DIMS = 5, 4
CENTRES = 12 * np.random.default_rng(1).normal(size=(CLASSES, DIMS))
COUNTS = {"real": 400, "generated": 150, "train": 400, "heldout": 150}
# Rows of one image keep together; everything else is a set of its own.
TOGETHER = {
    "reconstructions": "images",
    "denoised": "clean",
    "reconstructed_texts": "real_texts",
    "reconstructed_symbols": "real_symbols",
    "posterior_log_sigma": "posterior_mean",
}
TEXTS = {"real_texts": 40, "reconstructed_texts": 40, "generated_texts": 60, "training_texts": 50}


def sets(kind):
    """Returns every output that a metric may ask for, sets of unequal counts sorted by class."""
    generator = np.random.default_rng(2)
    arrays = {}
    for name, count in COUNTS.items():
        shares = np.sort(generator.integers(CLASSES, size=count))
        arrays[name] = CENTRES[shares] + generator.normal(size=(count, DIMS))
    arrays["clean"], arrays["codes"] = arrays["real"], arrays["generated"]
    arrays["denoised"] = arrays["real"] + generator.normal(size=arrays["real"].shape)
    if kind == "with ties":
        arrays = {name: (array / 4).round() for name, array in arrays.items()}
    arrays["images"] = np.sort(generator.uniform(size=(60, 1, 12, 12)), axis=0)
    noise = 0.1 * generator.normal(size=arrays["images"].shape)
    arrays["reconstructions"] = arrays["images"] + noise
    for name in ("posterior_mean", "posterior_log_sigma"):
        arrays[name] = np.sort(generator.normal(size=(50, 3)), axis=0)
    return arrays | texts(generator)


def texts(generator):
    """Returns sorted texts, some of them invalid, many more than once; and their symbols."""
    words = np.array(["x", "x+1", "sin(x)", "x*x", "1/3+x", "2", "x+", "exp(x)/3", "3*x"])
    sets = {name: np.sort(generator.choice(words, count)) for name, count in TEXTS.items()}
    for name in ("real_symbols", "reconstructed_symbols"):
        sets[name] = np.sort(generator.integers(0, 4, size=(40, 7)), axis=0)
    return sets


def shuffled(arrays, seed):
    orders = {
        name: np.random.default_rng([seed, number]).permutation(len(array))
        for number, (name, array) in enumerate(arrays.items())
    }
    return {name: array[orders[TOGETHER.get(name, name)]] for name, array in arrays.items()}


def scores_of(metric, arrays):
    outputs = arrays | {"task": "expressions", "padding": 3}
    assert set(metric.needs) <= set(outputs), "the law has no set for what this metric needs"
    return {s.metric: s for s in compute_scores(metric, outputs)}


@pytest.mark.parametrize("kind", ["without ties", "with ties"])
@pytest.mark.parametrize("name", metrics())
def test_the_order_of_rows_decides_no_score(name, kind):
    metric, arrays = metrics()[name], sets(kind)
    sorted_by_class = scores_of(metric, arrays)
    draws = "seed" in inspect.signature(metric.function).parameters
    for seed in range(3):
        for score, found in scores_of(metric, shuffled(arrays, seed)).items():
            expected = sorted_by_class[score]
            assert found.status == expected.status
            if found.value is not None:
                allowed = 1e-9 * max(1.0, abs(found.value))
                if draws:
                    allowed += 4 * np.hypot(found.stderr or 0.0, expected.stderr or 0.0)
                assert found.value == pytest.approx(expected.value, abs=allowed), score


def test_prd_of_half_as_many_rows_sees_all_classes_of_sorted_real_rows():
    generator = np.random.default_rng(0)
    centres = 10 * generator.normal(size=(10, 16))
    real = centres[np.repeat(np.arange(10), 100)] + generator.normal(size=(1000, 16))
    generated = centres[generator.integers(10, size=500)] + generator.normal(size=(500, 16))
    for order in (slice(None), generator.permutation(1000)):
        scores = prd(real=real[order], generated=generated)
        assert min(score.value for score in scores.values()) > 0.97
        assert max(score.stderr for score in scores.values()) < 0.01

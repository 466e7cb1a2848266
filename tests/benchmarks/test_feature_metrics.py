"""PRD against the reference procedure, and k-NN metrics against prdc."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from aebench.metrics import density_coverage, precision_recall
from aebench.metrics.neighbours import ball_hits
from aebench.metrics.prd import prd_curve, prd_f_beta

FLOAT64 = "prdc is given float64, in which alone its values are ours; ours gets float32"


@pytest.fixture(scope="module")
def sets(full):
    count, dims = (10_000, 2048) if full else (2000, 512)
    generator = np.random.default_rng(0)
    scales = np.linspace(0.2, 2.0, dims)
    values = [generator.normal(size=(count, dims)) * scales * s + 0.1 for s in (1.0, 0.95)]
    return [np.maximum(v, 0).astype(np.float32) for v in values]


def reference_prd(real, generated, *, clusters=20, runs=10):
    """The published procedure: k-means on the union, histograms, curves averaged by angle.

    Precision and Recall for Distributions (Sajjadi et al., 2018), arXiv:1806.00035; seeded as
    ours is, so that the values can be compared.
    """
    from sklearn.cluster import MiniBatchKMeans

    slopes = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))
    union = np.concatenate([generated, real]).astype(np.float64)
    curves = []
    for run in range(runs):
        labels = MiniBatchKMeans(clusters, n_init=10, random_state=run).fit(union).labels_
        histograms = [
            np.histogram(part, bins=clusters, range=[0, clusters], density=True)[0]
            for part in (labels[: len(generated)], labels[len(generated) :])
        ]
        precision = np.minimum(histograms[1] * slopes[:, None], histograms[0]).sum(1)
        curves.append(np.clip([precision, precision / slopes], 0, 1))
    return np.mean(curves, axis=0)


def test_prd(sets, full, versus):
    real, generated = sets
    # Imports and thread pools are not what is measured.
    prd_curve(real=real[:100], generated=generated[:100], runs=1)
    reference_prd(real[:100], generated[:100], runs=1)
    curve, expected = versus(
        lambda: prd_curve(real=real, generated=generated),
        lambda: reference_prd(real, generated),
        peer="reference procedure",
        work=f"20 clusters, 10 runs, {_size(real)}",
        rounds=1 if full else 3,
        warm=False,
    )
    assert prd_f_beta(*curve) == pytest.approx(prd_f_beta(*expected), abs=1e-12)


def test_neighbours(sets, full, versus):
    real, generated = sets
    wide = [v.astype(np.float64) for v in sets]  # In float32 prdc misjudges near-ties.
    peer = pytest.importorskip("prdc")

    def ours():
        of_real, of_generated = ball_hits(real=real, generated=generated, k=5, strict=True)
        return {
            "precision": (of_real.per_point > 0).mean(),
            "recall": (of_generated.per_point > 0).mean(),
            "density": of_real.per_point.mean() / 5,
            "coverage": (of_real.per_ball > 0).mean(),
        }

    def theirs():
        with contextlib.redirect_stdout(io.StringIO()):
            return peer.compute_prdc(*wide, nearest_k=5)

    scores, expected = versus(
        ours,
        theirs,
        peer="prdc",
        work=f"four scores at k = 5, {_size(real)}",
        note=FLOAT64,
        rounds=1 if full else 3,
        warm=not full,
    )
    assert scores == pytest.approx(expected, abs=1e-12)


def test_neighbours_at_their_published_settings(sets, full, versus):
    real, generated = sets
    wide = [v.astype(np.float64) for v in sets]
    peer = pytest.importorskip("prdc")

    def ours():
        return {
            "precision-recall": precision_recall(real=real, generated=generated, k=3),
            "density-coverage": density_coverage(real=real, generated=generated, k=5),
        }

    def theirs():
        with contextlib.redirect_stdout(io.StringIO()):
            return [peer.compute_prdc(*wide, nearest_k=k) for k in (3, 5)]

    scores, expected = versus(
        ours,
        theirs,
        peer="prdc",
        work=f"precision and recall at k = 3, density and coverage at k = 5, {_size(real)}",
        rounds=1 if full else 3,
        warm=not full,
        note=f"prdc is called for each k and computes all four scores each time; {FLOAT64}",
    )
    density = expected[1]["density"], expected[1]["coverage"]
    assert scores["density-coverage"] == pytest.approx(density, abs=1e-12)


def _size(real):
    return f"{len(real):,} x {len(real):,} x {real.shape[1]}"

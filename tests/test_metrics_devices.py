"""Metrics compute where their features lie, and statistics of real images are computed once."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.evaluation import evaluation as evaluation_module
from aebench.bench.evaluation.metric_lookup import compute_scores, metrics
from aebench.metrics import arrays as arrays_module
from aebench.metrics.arrays import check_features, is_tensor, take
from aebench.metrics.clustering import cluster_rows
from aebench.metrics.extractor import build_extractor
from aebench.metrics.memory import Memory, remembered, remembering
from sklearn.cluster import MiniBatchKMeans

pytestmark = pytest.mark.sensitive
PRETEND = runpy.run_path(str(Path(__file__).with_name("pretend_gpu.py")))
GPU = PRETEND["GPU"]
FEATURES, ROWS = 7, 90
FEW = {"clusters": 3, "runs": 2, "subsets": 4, "subset_size": 50}
OF_SETS = [name for name, m in metrics().items() if {"generated", "denoised"} & set(m.needs)]


@pytest.fixture
def gpu(monkeypatch):
    with PRETEND["pretend_gpu"](monkeypatch) as machine:
        yield machine


def feature_sets():
    generator = np.random.default_rng(0)
    names = ("real", "generated", "train", "heldout", "clean", "denoised")
    return {
        name: (generator.normal(size=(ROWS, FEATURES)) + 0.1 * at).astype(np.float32)
        for at, name in enumerate(names)
    }


# Where things are computed


@pytest.mark.parametrize("name", OF_SETS)
def test_scores_of_tensors_on_another_device_are_those_of_arrays(name, gpu):
    metric, arrays = metrics()[name], feature_sets()
    expected = compute_scores(metric, arrays, FEW)
    there = {key: torch.from_numpy(array).to(GPU) for key, array in arrays.items()}
    for found, known in zip(compute_scores(metric, there, FEW), expected, strict=True):
        assert found.value == pytest.approx(known.value, rel=1e-6, abs=1e-9), found
        assert found.stderr == (known.stderr and pytest.approx(known.stderr, rel=1e-4)), found


@pytest.mark.parametrize("name", OF_SETS)
def test_no_set_of_features_leaves_its_device(name, gpu, monkeypatch):
    left = []

    def to_numpy(array, original=arrays_module.to_numpy):
        if is_tensor(array) and array.device == GPU:
            left.append(tuple(array.shape))
        return original(array)

    moved = type(torch.zeros(1, device=GPU)).cpu
    sets = {key: torch.from_numpy(array).to(GPU) for key, array in feature_sets().items()}
    monkeypatch.setattr(
        type(sets["real"]), "cpu", lambda t: left.append(tuple(t.shape)) or moved(t)
    )
    compute_scores(metrics()[name], sets, FEW)
    assert not [shape for shape in left if len(shape) == 2 and shape[1] == FEATURES]


def test_a_set_beside_a_tensor_on_a_device_follows_it(gpu):
    sets = feature_sets()
    there = torch.from_numpy(sets["real"]).to(GPU)
    first, second = check_features(generated=sets["generated"], real=there)
    assert second is there and first.device == GPU
    assert take(there, np.array([3, 1])).tolist() == sets["real"][[3, 1]].tolist()


def test_features_are_extracted_to_the_extractors_device(gpu, tmp_path):
    images = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8)
    extractor = build_extractor("pixels", device=GPU)
    for _ in ("extracted", "from the cache"):
        features = evaluation_module.extract(images, extractor, tmp_path)
        assert features.device == GPU and features.shape == (5, 16)
        assert torch.equal(features.cpu(), images.flatten(1).float() / 255)


# Not 40 points in 20 clusters: two centres come to lie 1e-15 apart there, so that the last bit of
# a point decides scikit-learn's own labels, and so does the processor.
@pytest.mark.parametrize(
    ("count", "features", "clusters"),
    [
        *((40, 3, 2), (40, 3, 7), (100, 3, 20)),
        *((3073, 6, 2), (3073, 6, 7), (3073, 6, 20)),
        *((5003, 9, 2), (5003, 9, 7), (5003, 9, 20)),
    ],
)
def test_clusterings_on_a_device_are_scikit_learns(count, features, clusters):
    generator = np.random.default_rng(count)
    points = generator.normal(size=(count, features)) + generator.integers(4, size=(count, 1))
    for seed in (0, 11):
        theirs = MiniBatchKMeans(clusters, n_init=10, random_state=seed).fit(points)
        ours = cluster_rows(torch.from_numpy(points), clusters, seed)
        np.testing.assert_array_equal(ours.numpy(), theirs.labels_)


def test_fewer_distinct_points_than_clusters_are_clusters_each():
    points = torch.tensor([[0.0, 0.0], [0.0, 9.0], [8.0, 0.0]]).double().repeat(50, 1)
    labels = cluster_rows(points, 6, seed=3).view(50, 3)
    assert (labels == labels[0]).all() and len(set(labels[0].tolist())) == 3


# What is computed once


@pytest.mark.parametrize("name", OF_SETS)
def test_what_is_remembered_changes_no_score(name):
    metric, arrays = metrics()[name], feature_sets()
    expected = compute_scores(metric, arrays)
    with remembering(Memory(64)):
        assert [compute_scores(metric, arrays) for _ in range(2)] == [expected] * 2
        other = arrays | {"real": arrays["train"], "train": arrays["real"]}
        assert compute_scores(metric, other) == compute_scores(metric, dict(other))
    assert compute_scores(metric, other) != expected or "real" not in metric.needs


def test_a_memory_knows_content_and_settings_and_forgets_the_oldest():
    asked = []
    rows = np.zeros((3, 2))

    def ask(array, k):
        return remembered(lambda: asked.append(k) or len(asked), "rows", array, k=k)

    assert ask(rows, 1) == 1 and ask(rows, 1) == 2  # Without a memory.
    with remembering(Memory(2)):
        assert ask(rows, 1) == ask(rows.copy(), 1) == 3
        assert ask(rows, 2) == 4 and ask(rows + 1, 1) == 5
        assert ask(rows.astype(np.float32), 1) == 6 and ask(rows, 1) == 7


def test_statistics_of_real_images_are_computed_once_for_all_runs(
    suite_file, aebench, tmp_path, monkeypatch
):
    counted: dict[str, list[bytes]] = {}
    count_calls(monkeypatch, counted, "frechet", "moments")
    count_calls(monkeypatch, counted, "kernel", "_within")
    count_calls(monkeypatch, counted, "neighbours", "squared_radii")
    extracted = []
    extract = evaluation_module.extract
    monkeypatch.setattr(
        evaluation_module,
        "extract",
        lambda images, *rest, **options: (
            extracted.append(images.numpy().tobytes()) or extract(images, *rest, **options)
        ),
    )
    for name in ("FEATURES", "STATISTICS"):
        monkeypatch.setattr(evaluation_module, name, Memory(64))
    code, told = aebench(
        suite_file(
            ('["reconstruction"]', '["frechet", "kernel", "density-coverage"]'),
            ("images = 20\n", "images = 100\n"),
        )
    )
    assert code == 0, told
    assert len(list((tmp_path / "out").glob("runs/*/result.json"))) == 5  # References, too.
    for name, seen in counted.items():
        # Every generated set is another one, so that nothing is computed twice.
        assert len(seen) == len(set(seen)) > 0, name
    assert len(extracted) == len(set(extracted)) > 2


def count_calls(monkeypatch, counted, module_name, function):
    import importlib

    module = importlib.import_module(f"aebench.metrics.{module_name}")
    original, seen = getattr(module, function), counted.setdefault(function, [])

    def counting(features, *rest):
        rows = getattr(features, "exact", features)
        seen.append(np.asarray(rows).tobytes())
        return original(features, *rest)

    monkeypatch.setattr(module, function, counting)

"""Known answers, asymmetric cases and properties of the metrics."""

import subprocess
import sys

import aebench.metrics
import numpy as np
import pytest
import torch
from aebench.metrics import (
    density_coverage,
    expected_coverage,
    frechet_distance,
    frechet_distance_infinite,
    kernel_distance,
    prd_curve,
    prd_f_beta,
    prd_from_histograms,
    precision_recall,
)
from aebench.metrics.denoising import denoising
from aebench.metrics.latent import ks_distances, latent_use, prior_discrepancy
from aebench.metrics.memorisation import memorisation
from aebench.metrics.neighbours import squared_kth, squared_radii
from aebench.metrics.prd import prd
from aebench.metrics.screening import prepare
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.sensitive
seeds = st.integers(0, 2**31)
few = settings(max_examples=20, deadline=None)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def narrow_and_wide(count=300):
    """Returns generated rows that cover half of the real ones, and nothing else."""
    real = np.concatenate([normal(0, count, 4), normal(1, count, 4) + 50])
    return {"real": real, "generated": normal(2, 2 * count, 4)}


@few
@given(seeds, st.integers(2, 6), st.integers(1, 40))
def test_frechet_distance_ignores_a_common_rotation_and_shift(seed, features, extra):
    real, generated = normal(seed, features + extra, features), normal(seed + 1, 30, features)
    rotation = np.linalg.qr(normal(seed + 2, features, features))[0]
    shift = 10 * normal(seed + 3, features)
    moved = frechet_distance(real=real @ rotation + shift, generated=generated @ rotation + shift)
    assert moved == pytest.approx(frechet_distance(real=real, generated=generated), abs=1e-7)


@few
@given(seeds, st.floats(0.1, 10))
def test_frechet_distance_is_symmetric_and_scales_with_the_square(seed, factor):
    real, generated = normal(seed, 20, 5), normal(seed + 1, 4, 5)
    value = frechet_distance(real=real, generated=generated)
    assert frechet_distance(real=generated, generated=real) == pytest.approx(value)
    scaled = frechet_distance(real=factor * real, generated=factor * generated)
    assert scaled == pytest.approx(factor**2 * value)


def test_frechet_distance_agrees_between_its_two_routes():
    real, generated = normal(0, 30, 30), normal(1, 31, 30)
    full = frechet_distance(real=real, generated=generated)
    padded = [np.hstack([s, np.zeros((len(s), 40))]) for s in (real, generated)]
    assert frechet_distance(real=padded[0], generated=padded[1]) == pytest.approx(full, rel=1e-6)


def test_frechet_distance_of_a_collapsed_model_is_shift_and_variance():
    real, generated = normal(0, 50, 3), np.ones((40, 3))
    expected = ((real.mean(0) - 1) ** 2).sum() + real.var(axis=0, ddof=1).sum()
    assert frechet_distance(real=real, generated=generated) == pytest.approx(expected)


def test_extrapolation_removes_the_bias_that_the_plain_distance_has():
    real, generated = normal(0, 40_000, 16), normal(1, 2000, 16)
    plain = frechet_distance(real=real, generated=generated)
    infinite = frechet_distance_infinite(real=real, generated=generated)
    assert plain > 10 * infinite.stderr / 3
    assert abs(infinite.value) < 3 * infinite.stderr < plain


def test_extrapolation_treats_the_real_set_as_the_reference():
    real, generated = normal(0, 300, 8), normal(1, 20_000, 8)
    # The bias of the small real set stays; that of a small generated set goes.
    assert frechet_distance_infinite(real=real, generated=generated).value > 0.05
    assert frechet_distance_infinite(real=generated, generated=real).value < 0.05


def test_kernel_distance_exchanges_subset_indices_with_its_sets():
    real, generated = normal(0, 50, 3), normal(1, 20, 3) + 1
    subsets = (np.array([[40, 45, 49]]), np.array([[0, 1, 2]]))
    forward = kernel_distance(real=real, generated=generated, subsets=subsets)
    backward = kernel_distance(real=generated, generated=real, subsets=subsets[::-1])
    assert forward == pytest.approx(backward)
    with pytest.raises(ValueError, match="below 20"):
        kernel_distance(real=generated, generated=real, subsets=subsets)


def test_kernel_distance_is_unbiased_for_equal_distributions():
    values = [
        kernel_distance(real=normal(i, 40, 4), generated=normal(-i % 997, 40, 4), subsets="full")[
            0
        ]
        for i in range(100, 300)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / len(values) ** 0.5
    assert min(values) < 0


@few
@given(seeds, st.integers(2, 12))
def test_prd_mirrors_when_the_distributions_are_exchanged(seed, bins):
    real, generated = np.random.default_rng(seed).dirichlet(np.ones(bins), size=2)
    precision, recall = prd_from_histograms(real=real, generated=generated)
    mirrored = prd_from_histograms(real=generated, generated=real)
    np.testing.assert_allclose(mirrored[0], recall[::-1], atol=1e-9)
    np.testing.assert_allclose(mirrored[1], precision[::-1], atol=1e-9)
    assert (np.diff(precision) >= -1e-12).all()
    assert (np.diff(recall) <= 1e-12).all()


def test_prd_gives_dropped_modes_high_precision_and_low_recall():
    sets = narrow_and_wide()
    precision, recall = prd_curve(**sets, clusters=6, runs=2)
    f8, f1_8 = prd_f_beta(precision, recall)
    assert (precision.max(), recall.max()) == pytest.approx((1.0, 0.5), abs=0.01)
    assert f1_8 > 0.8 > 0.6 > f8
    scores = prd(**sets, clusters=6, runs=2)
    assert (scores["prd_f8"].value, scores["prd_f1/8"].value) == pytest.approx((f8, f1_8))
    assert 0 < scores["prd_f8"].stderr < 0.1


@pytest.mark.parametrize("count", [200, 90])
def test_prd_is_the_reference_procedure_with_a_seed(count):
    sets = {"real": normal(0, 200, 5), "generated": normal(1, count, 5) * 0.7}
    expected = reference_prd(sets["generated"], sets["real"], seeds=range(4, 7))
    curve = prd_curve(**sets, runs=3, seed=4)
    np.testing.assert_allclose(curve, expected, atol=1e-12)


def test_precision_is_high_and_recall_low_where_modes_are_dropped():
    precision, recall = precision_recall(**narrow_and_wide())
    assert precision > 0.8
    assert recall == pytest.approx(0.5, abs=0.05)


@few
@given(seeds, st.integers(1, 40))
def test_precision_falls_when_outliers_are_added(seed, count):
    real, generated = normal(seed, 60, 3), normal(seed + 1, 60, 3)
    outliers = 1e3 + 100 * normal(seed + 2, count, 3)
    before = precision_recall(real=real, generated=generated)[0]
    after = precision_recall(real=real, generated=np.concatenate([generated, outliers]))[0]
    assert after == pytest.approx(before * 60 / (60 + count))


def test_coverage_counts_real_balls_and_density_generated_rows():
    density, coverage = density_coverage(**narrow_and_wide())
    assert density == pytest.approx(1.0, abs=0.15)
    assert coverage == pytest.approx(0.5, abs=0.05)
    sets = narrow_and_wide()
    swapped = density_coverage(real=sets["generated"], generated=sets["real"])
    assert swapped[1] > 0.8
    assert swapped[0] < 0.75


@pytest.mark.parametrize("k", [3, 5])
def test_coverage_of_equal_distributions_is_the_expected_one(k):
    values = [
        density_coverage(real=normal(i, 100, 2), generated=normal(i + 500, 50, 2), k=k)
        for i in range(60)
    ]
    density, coverage = np.mean(values, axis=0)
    assert coverage == pytest.approx(expected_coverage(100, 50, k=k), abs=0.02)
    assert density == pytest.approx(1.0, abs=0.05)


@few
@given(seeds, st.integers(1, 6), st.floats(0, 1e4))
def test_neighbours_are_those_of_a_full_search_far_from_the_origin(seed, k, shift):
    generator = np.random.default_rng(seed)
    points = (generator.integers(0, 4, size=(60, 3)) + shift).astype(np.float32)
    queries = (generator.normal(size=(50, 3)) + shift).astype(np.float32)
    first, second = prepare(points, queries)
    own = np.sort(full_distances(points, points), axis=1)[:, k]
    np.testing.assert_allclose(squared_radii(first, k), own, rtol=1e-12)
    across = full_distances(queries, points)
    distances, indices = squared_kth(second, first, k)
    np.testing.assert_allclose(distances, np.sort(across, axis=1)[:, k - 1], rtol=1e-12)
    np.testing.assert_allclose(across[np.arange(50), indices], distances, rtol=1e-12)


def test_blocks_do_not_change_neighbours(monkeypatch):
    points, queries = normal(0, 300, 20), normal(1, 200, 20)
    whole = precision_recall(real=points, generated=queries), squared_radii(*prepare(points), 4)
    for module in ("neighbours", "screening"):
        monkeypatch.setattr(f"aebench.metrics.{module}.BLOCK_ELEMENTS", 1000)
    parts = precision_recall(real=points, generated=queries), squared_radii(*prepare(points), 4)
    assert parts[0] == whole[0]
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-12)


def test_copies_of_training_images_are_found_and_fresh_images_are_not():
    train, heldout, fresh = normal(0, 500, 4), normal(1, 300, 4), normal(2, 200, 4)
    honest = memorisation(train=train, heldout=heldout, generated=fresh)
    half = np.concatenate([fresh[:100], train[:100]])
    copied = memorisation(train=train, heldout=heldout, generated=half)
    assert honest["nn_ratio"].value == pytest.approx(1.0, abs=0.15)
    assert honest["authpct"].value == pytest.approx(0.5, abs=0.1)
    assert copied["authpct"].value == pytest.approx(honest["authpct"].value / 2, abs=0.1)
    swapped = memorisation(train=heldout, heldout=train, generated=train[:100])
    assert swapped["nn_ratio"].value > 0.7


def test_latent_scores_see_scale_shift_and_dead_units():
    codes = normal(0, 2000, 3)
    value, error = prior_discrepancy(codes=codes)
    assert abs(value) < 5 * error + 1e-3
    assert prior_discrepancy(codes=2 * codes)[0] > 0.02
    assert prior_discrepancy(codes=codes + 1)[0] > 0.05
    distances = ks_distances(codes=codes + np.array([0, 0, 1]))
    assert distances[:2].max() < 0.05 < 0.3 < distances[2]
    use = latent_use(codes=codes * [1, 1, 1e-3])
    assert use["active_units"].value == 2
    assert use["effective_rank"].value == pytest.approx(2, abs=0.02)


def test_prior_discrepancy_agrees_with_a_sampled_prior():
    codes, prior = normal(0, 400, 2) * 1.5, normal(1, 4000, 2)
    within = np.exp(-full_distances(codes, codes) / 4)
    expected = (within.sum() - 400) / (400 * 399)
    expected += np.exp(-full_distances(prior, prior) / 4).mean()
    expected -= 2 * np.exp(-full_distances(codes, prior) / 4).mean()
    assert prior_discrepancy(codes=codes)[0] == pytest.approx(expected, abs=0.005)


def test_feature_error_is_between_rows_of_one_image():
    clean = normal(0, 20, 3)
    shifted = denoising(clean=clean, denoised=clean + np.array([1, 2, 0]))["ife"]
    assert shifted.value == pytest.approx(5 / 3)
    assert denoising(clean=clean, denoised=clean[::-1])["ife"].value > 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_tensors_score_as_their_arrays_do(dtype):
    tensors = [torch.from_numpy(normal(i, 60, 3) + i).to(dtype).requires_grad_() for i in (0, 1)]
    arrays = [t.detach().double().numpy() for t in tensors]
    for score in (frechet_distance, precision_recall, density_coverage, prd_curve):
        from_tensors = score(real=tensors[0], generated=tensors[1])
        expected = score(real=arrays[0], generated=arrays[1])
        np.testing.assert_allclose(from_tensors, expected, rtol=1e-9, atol=1e-12)


def test_exported_functions_survive_an_import_of_their_modules():
    for name in aebench.metrics.__all__:
        assert callable(getattr(aebench.metrics, name))


def test_importing_the_metrics_imports_no_heavy_library():
    code = (
        "import sys, aebench.metrics, aebench.metrics.latent, aebench.metrics.memorisation;"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def full_distances(a, b):
    return ((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(2)


def reference_prd(evaluated, reference, seeds):
    """Follows the published script: cluster the union, histogram, curve, mean over runs."""
    from sklearn.cluster import MiniBatchKMeans

    slopes = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))
    curves = []
    for seed in seeds:
        union = np.vstack([evaluated, reference])
        labels = MiniBatchKMeans(n_clusters=20, n_init=10, random_state=seed).fit(union).labels_
        halves = labels[: len(evaluated)], labels[len(evaluated) :]
        bins = [np.bincount(half, minlength=20) / len(half) for half in halves]
        precision = np.array([np.minimum(slope * bins[1], bins[0]).sum() for slope in slopes])
        curves.append((np.clip(precision, 0, 1), np.clip(precision / slopes, 0, 1)))
    return np.mean(curves, axis=0)

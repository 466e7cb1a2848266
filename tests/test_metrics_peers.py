"""Side by side with other implementations on the same features."""

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.metrics import (
    density_coverage,
    frechet_distance,
    frechet_distance_from_moments,
    kernel_distance,
    precision_recall,
)
from aebench.metrics.reconstruction import ssim

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
EXTRACTOR = "identity-of-aebench-tests"


@pytest.fixture(scope="module")
def sets():
    generator = np.random.default_rng(7)
    mix = generator.normal(size=(12, 12))
    real = generator.normal(size=(260, 12)) @ mix
    generated = generator.normal(size=(240, 12)) @ mix * 0.8 + 0.3
    return {"real": real, "generated": generated}


@pytest.fixture(scope="module")
def fidelity(sets):
    peer = pytest.importorskip("torch_fidelity")
    register_identity(peer)
    # Their input 1 is the generated set; precision is that of input 1.
    return peer.calculate_metrics(
        input1=Rows(sets["generated"]),
        input2=Rows(sets["real"]),
        feature_extractor=EXTRACTOR,
        fid=True,
        kid=True,
        prc=True,
        kid_subsets=10,
        kid_subset_size=100,
        cuda=False,
        verbose=False,
        cache=False,
        save_cpu_ram=True,
    )


def test_torch_fidelity_computes_the_same_frechet_distance(sets, fidelity):
    expected = fidelity["frechet_inception_distance"]
    assert frechet_distance(**sets) == pytest.approx(expected, rel=1e-9)


def test_torch_fidelity_computes_the_same_kernel_distance(sets, fidelity):
    state = np.random.RandomState(2020)
    sizes = len(sets["generated"]), len(sets["real"])
    drawn = [[state.choice(n, 100, replace=False) for n in sizes] for _ in range(10)]
    generated, real = (np.array(rows) for rows in zip(*drawn, strict=True))
    mean, std = kernel_distance(**sets, subsets=(real, generated))
    assert mean == pytest.approx(fidelity["kernel_inception_distance_mean"], rel=1e-9)
    assert std == pytest.approx(fidelity["kernel_inception_distance_std"], rel=1e-9)


def test_torch_fidelity_computes_the_same_precision_and_recall(sets, fidelity):
    precision, recall = precision_recall(**sets)
    # It takes the mean of noughts and ones in float32.
    assert precision == pytest.approx(fidelity["precision"], abs=float32_slack(1))
    assert recall == pytest.approx(fidelity["recall"], abs=float32_slack(1))
    assert abs(precision - recall) > 0.05


def test_pytorch_fid_computes_the_same_frechet_distance(sets, monkeypatch):
    peer = pytest.importorskip("pytorch_fid.fid_score")
    # Its call ``sqrtm(..., disp=False)`` was removed in scipy 1.18: give it the old signature.
    root = peer.linalg.sqrtm
    monkeypatch.setattr(peer.linalg, "sqrtm", lambda a, **options: (root(a), 0.0))
    moments = [(s.mean(0), np.cov(s, rowvar=False)) for s in sets.values()]
    expected = peer.calculate_frechet_distance(*moments[0], *moments[1])
    names = ("mean_real", "cov_real", "mean_generated", "cov_generated")
    given = dict(zip(names, (*moments[0], *moments[1]), strict=True))
    assert frechet_distance_from_moments(**given) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(**sets) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("k", [3, 5])
def test_prdc_computes_the_same_four_scores(sets, k):
    peer = pytest.importorskip("prdc")
    expected = peer.compute_prdc(sets["real"], sets["generated"], nearest_k=k)
    assert four_scores(**sets, k=k, strict=True) == pytest.approx(expected, abs=1e-12)


def test_copies_of_real_rows_are_ties_at_any_scale():
    generator = np.random.default_rng(3)
    real = (generator.normal(size=(400, 64)) + 40.0).astype(np.float32)
    generated = np.concatenate([real[:200], real[:200][::-1]])
    expected = brute_force(real, generated, k=5)
    for strict in (False, True):
        ours = four_scores(real=real, generated=generated, k=5, strict=strict)
        assert ours == pytest.approx(expected[strict], abs=1e-12)
    assert expected[False]["density"] > expected[True]["density"]


def test_ssim_grows_with_agreement_and_is_1_for_copies():
    images = np.random.default_rng(0).uniform(size=(4, 1, 16, 16)).astype(np.float32)
    flat = np.full_like(images, 0.5)
    same, half, none = (
        ssim(images=images, reconstructions=r)["ssim"].value
        for r in (images, (images + flat) / 2, flat)
    )
    assert same == pytest.approx(1.0)
    assert 1.0 > half > none


class Rows(torch.utils.data.Dataset):
    def __init__(self, features):
        self.features = torch.from_numpy(features)

    def __len__(self):
        return len(self.features)

    def __getitem__(self, index):
        return self.features[index]


def register_identity(peer):
    class Identity(peer.FeatureExtractorBase):
        def __init__(self, name, features_list, **options):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return ("rows",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "rows"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, x):
            return (x,)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            peer.register_feature_extractor(EXTRACTOR, Identity)
        except ValueError:
            pass  # A second registration of a name.


def four_scores(**given):
    values = (*precision_recall(**given), *density_coverage(**given))
    return dict(zip(("precision", "recall", "density", "coverage"), values, strict=True))


def brute_force(real, generated, k):
    def distances(a, b):
        return ((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(2)

    own = [np.sort(distances(s, s), axis=1)[:, k] for s in (real, generated)]
    across = distances(real, generated)
    result = {}
    for strict, inside in ((False, np.less_equal), (True, np.less)):
        of_real, of_generated = inside(across, own[0][:, None]), inside(across, own[1][None])
        result[strict] = {
            "precision": of_real.any(0).mean(),
            "recall": of_generated.any(1).mean(),
            "density": of_real.sum(0).mean() / k,
            "coverage": of_real.any(1).mean(),
        }
    return result

"""Inception against torch-fidelity, with one file of random weights for both."""

from __future__ import annotations

import argparse
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.cli import evaluate as command_evaluate
from aebench.metrics import frechet_distance
from aebench.metrics.extractor import build_extractor
from aebench.metrics.features.inception import load_inception
from PIL import Image

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
products = TOLERANCES["products"]
EXACT = "inception-in-float64-of-aebench-tests"
COUNT = 6


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory) -> Path:
    """A weights file whose features vary: default initial values shrink layer by layer."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], "none")
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Folders of PNG files: real ones in colour, generated ones darker and grey."""
    generator = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("images")
    for name, shape, high in (("real", (12, 12, 3), 256), ("generated", (12, 12), 160)):
        (root / name).mkdir()
        for index in range(COUNT):
            array = generator.integers(0, high, shape, dtype=np.uint8)
            Image.fromarray(array).save(root / name / f"{index}.png")
    return {"real": root / "real", "generated": root / "generated"}


def test_features_equal_torch_fidelitys_forward(random_inception):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 20, 20), generator=generator, dtype=torch.uint8)
    extractor = build_extractor("inception", weights=random_inception)
    network = load_inception(random_inception)
    expected = network(images)[0].numpy()
    features = extractor(images)
    assert features.shape == (2, 2048)
    assert expected.std() > 0.01
    atol = float32_slack(np.sqrt(np.square(expected).mean()), products(network))
    np.testing.assert_allclose(features, expected, rtol=0, atol=atol)
    assert not extractor.published


def test_evaluate_equals_torch_fidelity_on_folders_of_png_files(
    random_inception, folders, tmp_path, monkeypatch, capsys
):
    torch_fidelity = pytest.importorskip("torch_fidelity")
    # In float64, so that the peer's rounding does not add to that of the features here.
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    torch_fidelity.register_feature_extractor(EXACT, exact_inception(seen))
    common = {
        "feature_extractor": EXACT,
        "feature_extractor_weights_path": str(random_inception),
        "fid": True,
        "kid": True,
        "kid_subsets": 1,
        "kid_subset_size": COUNT,
        "prc": True,
        "prc_neighborhood": 3,
        "cuda": False,
        "cache": False,
        "save_cpu_ram": True,
        "verbose": False,
    }
    expected = torch_fidelity.calculate_metrics(
        input1=str(folders["generated"]), input2=str(folders["real"]), **common
    )
    monkeypatch.setenv("AEBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("AEBENCH_INCEPTION", str(random_inception))
    parser = argparse.ArgumentParser()
    command_evaluate.add_parser(parser.add_subparsers())
    arguments = ["--features", "inception", "--json", "--device", "cpu"]
    arguments += ["--metrics", "frechet,kernel,precision-recall"]
    parsed = parser.parse_args(["evaluate", *map(str, folders.values()), *arguments])
    capsys.readouterr()
    assert command_evaluate.run(parsed) == 0
    scores = {s["metric"]: s for s in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["fd"]["label"] == "FD"
    network = load_inception(random_inception)
    generated, real = (with_rounding(network, *each) for each in seen)
    sets = [real, generated]
    pairs = {
        "fd": ("frechet_inception_distance", frechet_slack(sets)),
        "kid_full": ("kernel_inception_distance_mean", kernel_slack(sets)),
        "precision": ("precision", float32_slack(1)),  # Means of noughts and ones in float32.
        "recall": ("recall", float32_slack(1)),
    }
    assert pairs["kid_full"][1] < 1e-4 * expected["kernel_inception_distance_mean"]
    for ours, (theirs, slack) in pairs.items():
        assert scores[ours]["value"] == pytest.approx(expected[theirs], rel=0, abs=slack), ours


def exact_inception(seen):
    """Returns the peer's network in float64: its option for that is of no effect in 0.4.

    It notes the images that it is given, and their features.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Exact(FeatureExtractorInceptionV3):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.feature_extractor_internal_dtype = torch.float64
            self.double()

        def forward(self, x):
            found = tuple(features.double() for features in super().forward(x))
            seen.append((x, *found))
            return found

    return Exact


def with_rounding(network, images, exact) -> tuple[torch.Tensor, float]:
    """Returns features by float64, and how far float32 rounds a row of them off."""
    assert exact.shape == (COUNT, 2048)
    single = network(images)[0].double()
    return exact, float((single - exact).square().sum(1).mean().sqrt())


def frechet_slack(sets) -> float:
    """The distance is a squared metric, in which a set whose rows move by d moves by d."""
    distance = frechet_distance(real=sets[0][0], generated=sets[1][0])
    moved = sum(off for _, off in sets) * (COUNT / (COUNT - 1)) ** 0.5
    # The peer takes the root of eigenvalues that are 0 but for rounding in float64.
    norms = [float(torch.linalg.matrix_norm(torch.cov(rows.T), 2)) for rows, _ in sets]
    roots = 2 * sets[0][0].shape[1] * (2.0**-53 * norms[0] * norms[1]) ** 0.5
    return 2 * moved * distance**0.5 + moved**2 + roots


def kernel_slack(sets) -> float:
    """The estimate's derivative by each row, times how far a row is rounded off."""
    real, generated = (rows.clone().requires_grad_() for rows, _ in sets)
    within = [((x @ x.T / x.shape[1] + 1) ** 3).fill_diagonal_(0).sum() for x in (real, generated)]
    across = ((real @ generated.T / real.shape[1] + 1) ** 3).sum()
    value = sum(within) / (COUNT * (COUNT - 1)) - 2 * across / COUNT**2
    slopes = torch.autograd.grad(value, (real, generated))
    moved = [slope.norm(dim=1).sum() * off for slope, (_, off) in zip(slopes, sets, strict=True)]
    return float(sum(moved))

"""Inception against torch-fidelity, with one file of random weights for both."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.cli import evaluate as command_evaluate
from aebench.metrics.extractor import build_extractor
from aebench.metrics.features.inception import load_inception
from PIL import Image

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
    expected = load_inception(random_inception)(images)[0].numpy()
    features = extractor(images)
    assert features.shape == (2, 2048)
    assert expected.std() > 0.01
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert not extractor.published


def test_evaluate_equals_torch_fidelity_on_folders_of_png_files(
    random_inception, folders, tmp_path, monkeypatch, capsys
):
    torch_fidelity = pytest.importorskip("torch_fidelity")
    common = {
        "feature_extractor": "inception-v3-compat",
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
    assert parsed.run(parsed) == 0
    scores = {s["metric"]: s for s in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["fd"]["label"] == "FD"
    pairs = {
        "fd": "frechet_inception_distance",
        "kid_full": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
    }
    for ours, theirs in pairs.items():
        assert scores[ours]["value"] == pytest.approx(expected[theirs], rel=1e-4), ours

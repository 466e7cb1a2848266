"""Interpolation towards the nearest code, and its Fréchet distance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.evaluation.nearest import nearest_other, towards_nearest
from aebench.bench.records.results import read_results
from aebench.metrics import frechet_distance
from aebench.metrics.frechet_nearest import frechet_nearest
from scipy.spatial.distance import cdist

SUITE = """
dataset = "digits"
backbone = "tiny"
latent_dim = 3
budget = "a test"
objective = "ae"
[training]
steps = 2
batch_size = 20
[evaluation]
images = 60
metrics = ["frechet-nearest", "frechet"]
features = ["pixels"]
densities = ["gaussian"]
[[runs]]
seed = 0
"""


def test_on_a_line_the_neighbours_and_the_points_between_are_known():
    codes = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert nearest_other(codes).tolist() == [1, 0, 1, 2]
    assert towards_nearest(codes, 0.25)[:, 0].tolist() == [0.25, 0.75, 2.5, 6.0]


def test_equal_codes_are_each_others_nearest_and_no_code_is_its_own():
    codes = torch.tensor([[1.0, 2.0], [5.0, 5.0], [1.0, 2.0]])
    assert nearest_other(codes).tolist() == [2, 0, 0]


def test_all_blocks_agree_with_a_dense_search_far_from_the_origin():
    draw = np.random.default_rng(0).normal(1e3, 1e-2, size=(1203, 2)).astype(np.float32)
    distances = cdist(draw.astype(float), draw.astype(float))
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(nearest_other(torch.from_numpy(draw)), distances.argmin(1))


def test_one_code_has_no_nearest_other():
    with pytest.raises(ValueError, match="There is 1 code; expected at least 2"):
        towards_nearest(torch.zeros(1, 2), 0.5)


def test_the_score_is_the_distance_of_real_images_to_the_points_and_not_the_other_way():
    draw = np.random.default_rng(0)
    real, nearest = draw.normal(size=(40, 3)), draw.normal(1.0, size=(50, 3))
    found = frechet_nearest(real=real, nearest=nearest)["ifd"]
    assert found.value == frechet_distance(real=real, generated=nearest)
    assert found.stderr > 0


def test_a_run_has_the_row_beside_its_midpoints_and_another_weight_is_another_row(
    tmp_path, capsys
):
    path, out = tmp_path / "own.toml", tmp_path / "out"
    path.write_text(SUITE, encoding="utf-8")
    words = ["run", str(path), "--out", str(out), "--workers", "1", "--quiet"]
    assert main(words) == 0
    rows = read_results(out).rows
    own = rows[rows["metric"] == "ifd"]
    assert own[["images", "density", "status"]].values.tolist() == [
        ["interpolation", "nearest", "ok"]
    ]
    midpoints = rows[(rows["metric"] == "fd") & (rows["images"] == "interpolation")]
    assert len(midpoints) == 1 and own["value"].item() != midpoints["value"].iloc[0]
    settings = json.loads(own["settings"].item()) if "settings" in own else {}
    assert "nearest_weight" not in str(settings)  # The usual weight leaves older records alone.
    assert main([*words, "--set", "evaluation.nearest_weight=0.25"]) == 0
    again = read_results(out).rows
    again = again[again["metric"] == "ifd"]
    assert again["density"].tolist() == ["nearest-0.25"]
    assert again["value"].item() != own["value"].item()
    assert main(["run", str(path), "--set", "evaluation.nearest_weight=1.5"]) == 2
    assert "less than 1" in capsys.readouterr().err

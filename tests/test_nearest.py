"""Points between codes: midpoints of pairs, and towards the nearest code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.nearest import nearest_other, towards_nearest
from aebench.bench.evaluation.outputs import Outputs
from aebench.bench.records.results import read_results
from aebench.bench.suites.config import Evaluation
from aebench.models import build
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
metrics = ["frechet"]
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


def test_a_run_has_the_row_beside_its_midpoints_and_another_weight_is_another_row(
    tmp_path, capsys
):
    path, out = tmp_path / "own.toml", tmp_path / "out"
    path.write_text(SUITE, encoding="utf-8")
    words = ["run", str(path), "--out", str(out), "--workers", "1", "--quiet"]

    def between(*settings):
        assert main([*words, *settings]) == 0
        rows = read_results(out).rows
        own = rows[(rows["images"] == "interpolation") & (rows["metric"] == "fd")]
        assert set(own["status"]) == {"ok"}
        return dict(zip(own["density"], own["value"], strict=True))

    plain = between()
    middle = between("--set", "evaluation.nearest_weight=0.5")
    quarter = between("--set", "evaluation.nearest_weight=0.25")
    assert [set(found) for found in (plain, middle, quarter)] == [
        {""},
        {"", "nearest"},
        {"", "nearest-0.25"},
    ]
    assert plain[""] == middle[""] == quarter[""]  # What was scored before stays as it was.
    assert len({plain[""], middle["nearest"], quarter["nearest-0.25"]}) == 3
    assert main(["report", str(out)]) == 0
    assert "Interp nearest-0.25" in (out / "tables" / "fd.md").read_text(encoding="utf-8")
    assert main(["run", str(path), "--set", "evaluation.nearest_weight=1.5"]) == 2
    assert "less than 1" in capsys.readouterr().err


def test_the_scored_points_lie_between_the_codes_of_the_held_out_images():
    data = load_dataset("digits")
    model = build("ae", backbone="tiny", image_shape=data.image_shape, latent_dim=3)
    outputs = Outputs(model, data, Evaluation(images=20, nearest_weight=0.5), 0)
    codes = outputs.validation_codes[:20]
    pairs = cdist(codes.double(), codes.double()) + np.diag(np.full(20, np.inf))
    points = (codes + codes[pairs.argmin(1)]) / 2
    expected = outputs.decode(points)
    assert torch.equal(outputs.images("interpolation", "nearest"), expected)


def test_the_scored_midpoints_are_of_the_kind_that_the_settings_name(monkeypatch):
    data = load_dataset("digits")
    model = build("ae", backbone="tiny", image_shape=data.image_shape, latent_dim=3)

    def points(kind):
        """Returns the codes decoded for an interpolation, and those of the held-out images."""
        outputs = Outputs(model, data, Evaluation(images=20, interpolation=kind), 0)
        decoded = []
        with monkeypatch.context() as patch:
            decode = model.decode
            patch.setattr(model, "decode", lambda z: (decoded.append(z), decode(z))[1])
            outputs.images("interpolation")
        return torch.cat(decoded).double(), outputs.validation_codes.double()

    middle, codes = points("linear")
    assert middle.shape == (20, 3)
    # Each is the mean of two held-out codes, which are found by trying all pairs.
    first, second = torch.combinations(torch.arange(len(codes))).T
    means = (codes[first] + codes[second]) / 2
    distance, pair = torch.cdist(middle, means).min(1)
    near = 1e-5 * float(codes.norm(dim=1).mean())
    assert float(distance.max()) < near
    a, b = codes[first[pair]], codes[second[pair]]
    norms = a.norm(dim=1), b.norm(dim=1)
    wanted = (norms[0] + norms[1]) / 2 / middle.norm(dim=1)
    torch.testing.assert_close(points("rescaled")[0], wanted[:, None] * middle, rtol=0, atol=near)
    angle = torch.arccos((a * b).sum(1) / norms[0] / norms[1])
    curved = middle / torch.cos(angle / 2)[:, None]
    torch.testing.assert_close(points("spherical")[0], curved, rtol=0, atol=near)
    # The kinds differ by more than what is taken for equal.
    assert float((curved - middle).norm(dim=1).max()) > 10 * near
    assert float((curved - wanted[:, None] * middle).norm(dim=1).max()) > 10 * near

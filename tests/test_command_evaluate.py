"""``aebench evaluate``: its scores, its conditions, and one clear line for bad input."""

from __future__ import annotations

import argparse
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli import evaluate as command_evaluate
from aebench.bench.errors import UserError
from aebench.bench.evaluation.metric_lookup import compute_scores, find_metric, metrics
from aebench.metrics.frechet import frechet_distance
from aebench.metrics.registry import Estimate, Metric
from aebench.models.registry import UnknownName
from PIL import Image

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("AEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def draw(count: int, high: int = 256, seed: int = 0, shape: tuple[int, ...] = (1, 5, 5)):
    return np.random.default_rng(seed).integers(0, high, (count, *shape), dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def save_folder(path: Path, images: np.ndarray) -> Path:
    path.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image[0]).save(path / f"{index:03}.png")
    return path


def evaluate(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command_evaluate.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["evaluate", *map(str, arguments)])
    return command_evaluate.run(parsed)


def scores_of(capsys, *arguments: object) -> dict[str, dict]:
    capsys.readouterr()
    assert evaluate(*arguments, "--json") == 0
    return {s["metric"]: s for s in json.loads(capsys.readouterr().out)["scores"]}


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Real images, and generated ones that are darker: inside the real ones' range."""
    return save(tmp_path / "real.npy", draw(40)), save(
        tmp_path / "generated.npy", draw(30, 120, 1)
    )


def test_the_score_is_that_of_the_pixels(pair, capsys):
    real, generated = (np.load(path).reshape(-1, 25) / np.float32(255) for path in pair)
    scores = scores_of(capsys, *pair, "--features", "pixels", "--metrics", "frechet")
    expected = frechet_distance(real=real, generated=generated)
    assert scores["fd"]["value"] == pytest.approx(expected, rel=1e-9)


def test_exchanging_real_and_generated_exchanges_precision_and_recall(pair, capsys):
    options = ("--features", "pixels", "--metrics", "precision-recall")
    scores = scores_of(capsys, *pair, *options)
    exchanged = scores_of(capsys, *reversed(pair), *options)
    assert scores["precision"]["value"] > scores["recall"]["value"] + 0.3
    assert exchanged["precision"]["value"] == scores["recall"]["value"]
    assert exchanged["recall"]["value"] == scores["precision"]["value"]


def test_json_carries_the_conditions(pair, capsys):
    assert evaluate(*pair, "--features", "lite0@32", "--metrics", "kernel", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["real"] == {"path": str(pair[0]), "count": 40, "shape": "1x5x5"}
    assert record["generated"]["count"] == 30
    assert record["features"] == "lite0@32:579344248a93"
    assert record["resize"] == "bilinear to 32x32"
    assert "nearest" in record["quantisation"]
    assert record["seed"] == 0
    assert record["scores"][0]["stderr"] > 0


def test_the_table_has_every_metric_that_applies(pair, capsys):
    assert evaluate(*pair, "--features", "pixels") == 0
    out, err = capsys.readouterr()
    for name in ("FD", "prd_f8", "precision", "coverage", "pixels:-", "40 of 1x5x5"):
        assert name in out
    assert "FID" not in out
    assert err == ""


def test_a_folder_an_npz_and_floats_of_the_same_images_score_the_same(pair, tmp_path, capsys):
    images = np.load(pair[1])
    same = [
        save_folder(tmp_path / "folder", images),
        save(tmp_path / "floats.npy", images.astype(np.float64) / 255),
        save(tmp_path / "last.npy", images.transpose(0, 2, 3, 1)),
    ]
    np.savez(tmp_path / "set.npz", images=images, labels=np.zeros(30))
    options = ("--features", "pixels", "--metrics", "frechet")
    expected = scores_of(capsys, *pair, *options)
    for path in (*same, tmp_path / "set.npz"):
        assert scores_of(capsys, pair[0], path, *options) == expected


def test_features_are_scored_as_they_are(tmp_path, capsys):
    real = np.random.default_rng(0).standard_normal((50, 3))
    paths = save(tmp_path / "a.npy", real), save(tmp_path / "b.npy", real + 2)
    scores = scores_of(capsys, *paths, "--metrics", "frechet")
    assert scores["fd"]["value"] == pytest.approx(12.0)


def test_the_seed_repeats_the_scores_and_another_changes_them(pair, capsys):
    options = (*pair, "--features", "pixels", "--metrics", "prd", "--seed")
    first = scores_of(capsys, *options, 1)
    assert scores_of(capsys, *options, 1) == first
    assert scores_of(capsys, *options, 2) != first


def test_the_second_evaluation_reads_the_cache(pair, cache, capsys, monkeypatch):
    options = (*pair, "--features", "lite0@32", "--metrics", "frechet")
    first = scores_of(capsys, *options)
    assert len(list((cache / "features").iterdir())) == 2
    monkeypatch.setattr("aebench.metrics.features.lite0.Lite0.embed", None)
    assert scores_of(capsys, *options) == first


def test_pairs_of_images_can_be_scored_as_reconstructions(tmp_path, capsys):
    images = draw(4, 200, shape=(1, 16, 16))
    paths = save(tmp_path / "a.npy", images), save(tmp_path / "b.npy", images + 51)
    options = ("--features", "pixels", "--metrics", "reconstruction")
    # Pixels of up to 1 are rounded, and their difference of 0.2 is squared.
    rel = 2 * float32_slack(1) / 0.2
    assert scores_of(capsys, *paths, *options)["mse"]["value"] == pytest.approx(0.04, rel=rel)


@pytest.mark.parametrize("words", [(), ("--metrics", "frechet")])
def test_grey_against_colour_in_pixels_is_told_as_such_and_not_by_counts_of_features(
    pair, tmp_path, words
):
    colour = save(tmp_path / "colour.npy", np.load(pair[1]).repeat(3, axis=1))
    with pytest.raises(UserError) as told:
        evaluate(pair[0], colour, "--features", "pixels", *words)
    assert f"{pair[0]} holds grey images and {colour} colour ones" in str(told.value)
    assert "--features lite0@64" in str(told.value)
    # Another reason stays what it was.
    few = save(tmp_path / "few.npy", draw(2))
    with pytest.raises(UserError, match="No metric applies"):
        evaluate(few, few, "--features", "pixels", "--metrics", "prd")


def test_grey_and_colour_images_of_one_size_can_be_compared(pair, tmp_path, capsys):
    colour = save(tmp_path / "colour.npy", np.load(pair[0]).repeat(3, axis=1))
    options = ("--features", "lite0@32", "--metrics", "frechet")
    # Sets whose rows are apart by d are at most the mean of |d|^2 apart: 1280 features below 6.
    most = 1280 * float32_slack(6, 20_000) ** 2
    assert scores_of(capsys, pair[0], colour, *options)["fd"]["value"] == pytest.approx(
        0, abs=most
    )


GOOD = draw(8)
FLOATS = GOOD / 255.0
NAN = FLOATS.copy()
NAN[3, 0, 0, 0] = np.nan
BAD_ARRAYS = {
    "one image": (GOOD[:1], "holds 1 image; expected at least 2"),
    "no image": (GOOD[:0], "expected at least 2 images"),
    "other size": (draw(8, shape=(1, 6, 6)), r"5x5 pixels and .* of 6x6; expected one size"),
    "rank 1": (GOOD.ravel(), r"has shape \(200,\) .*expected images of rank 3 or 4"),
    "rank 2 of bytes": (GOOD.reshape(8, 25), r"shape \(8, 25\) and type uint8; expected images"),
    "rank 5": (GOOD[None], r"expected images of rank 3 or 4"),
    "two channels": (GOOD.repeat(2, axis=1), r"shape \(8, 2, 5, 5\)"),
    "grey levels as floats": (GOOD.astype(float), "look like grey levels from 0 to 255"),
    "signed": (FLOATS * 2 - 1, r"look like \[-1, 1\]"),
    "unclamped": (FLOATS * 3 - 1, "look like unclamped outputs"),
    "binary": ((GOOD > 99).astype(np.uint8), "look like binary images"),
    "large integers": (GOOD.astype(int) * 2, "expected 0 to 255"),
    "booleans": (GOOD > 99, "has type bool"),
    "nan": (NAN, "Image 3 of .* not finite"),
    "objects": (np.array([{}, {}]), "Python objects"),
    "features": (FLOATS.reshape(8, 25), "holds images and .* features; expected the same"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_a_bad_array_is_one_clear_line(name, tmp_path):
    array, text = BAD_ARRAYS[name]
    real = save(tmp_path / "real.npy", GOOD)
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=text) as error:
        evaluate(real, tmp_path / "bad.npy", "--features", "pixels")
    assert "\n" not in str(error.value)


def test_a_bad_folder_is_one_clear_line(tmp_path):
    real = save_folder(tmp_path / "real", GOOD)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="empty holds no file; expected images"):
        evaluate(real, empty)
    mixed = save_folder(tmp_path / "mixed", GOOD)
    Image.fromarray(GOOD[0, 0, :4]).save(mixed / "999.png")
    sizes = r"999\.png is 1x4x5 .*expected 1x5x5 .* Bring them to one size first\.$"
    with pytest.raises(UserError, match=sizes):
        evaluate(real, mixed)
    (mixed / "999.png").write_text("no image")
    with pytest.raises(UserError, match=r"999\.png is not an image"):
        evaluate(real, mixed)
    with pytest.raises(UserError, match="absent is not there; expected a folder"):
        evaluate(real, tmp_path / "absent")
    with pytest.raises(UserError, match=r"000\.png is not a folder, \.npy or \.npz"):
        evaluate(real, real / "000.png")


def test_too_few_rows_for_a_named_metric_is_an_error_and_else_a_note(tmp_path, capsys):
    paths = save(tmp_path / "a.npy", GOOD), save(tmp_path / "b.npy", GOOD)
    with pytest.raises(UserError, match="applies; 'prd': 'real' has 8 rows; expected at least 20"):
        evaluate(*paths, "--features", "pixels", "--metrics", "prd")
    scores = scores_of(capsys, *paths, "--features", "pixels")
    assert scores["prd"]["status"] == "not applicable"
    assert "expected at least 20" in scores["prd"]["reason"]
    assert scores["fd"]["status"] == "ok"


def test_a_named_metric_that_refuses_takes_no_other_with_it(tmp_path, capsys):
    paths = save(tmp_path / "a.npy", GOOD), save(tmp_path / "b.npy", GOOD[::-1] // 2)
    words = ("--features", "pixels", "--metrics", "prd,frechet")
    assert evaluate(*paths, *words) == 2
    told = capsys.readouterr()
    assert told.err.startswith("aebench: Metric 'prd': 'real' has 8 rows; expected at least 20")
    assert told.err.count("\n") == 1
    (line,) = [line for line in told.out.splitlines() if line.startswith("FD ")]
    assert float(line.split()[1]) > 0


def test_the_floor_is_what_real_rows_score_against_the_other_real_ones(tmp_path, capsys):
    draw = np.random.default_rng(0)
    real = draw.normal(size=(900, 4))
    paths = save(tmp_path / "a.npy", real), save(tmp_path / "b.npy", draw.normal(size=(200, 4)))
    mixed = save(tmp_path / "mixed.npy", real[draw.permutation(len(real))])

    def floor(first, second):
        capsys.readouterr()
        assert evaluate(first, second, "--metrics", "frechet", "--floor", "--json") == 0
        return json.loads(capsys.readouterr().out)["floor"]

    found = floor(*paths)
    assert (found["count"], found["against"]) == (200, 700)
    parts = [draw.permutation(real) for _ in range(40)]
    values = [frechet_distance(real=part[200:], generated=part[:200]) for part in parts]
    assert abs(found["scores"]["fd"] - np.mean(values)) < 4 * np.std(values)
    assert floor(mixed, paths[1]) == found
    assert floor(paths[0], paths[0])["count"] == 450
    # Half as many images have a larger distance, which must not be taken for what is attainable.
    assert evaluate(paths[0], paths[0], "--metrics", "frechet", "--floor") == 0
    assert "The floor's FD is that of 450 images against 450" in capsys.readouterr().out
    with pytest.raises(UserError, match="'psnr' is of pairs"):
        images = save(tmp_path / "i.npy", GOOD), save(tmp_path / "j.npy", GOOD // 2)
        evaluate(*images, "--features", "pixels", "--metrics", "psnr", "--floor")


def test_what_a_perfect_model_reaches_is_no_score_to_be_higher(tmp_path, capsys):
    paths = save(tmp_path / "a.npy", np.eye(30, 2)), save(tmp_path / "b.npy", np.eye(30, 2) + 0.1)
    draw = np.random.default_rng(0)
    paths = [save(path, draw.normal(size=(30, 2))) for path in paths]
    scores = scores_of(capsys, *paths, "--metrics", "density-coverage")
    assert scores["coverage_expected"]["better"] == "none"
    assert scores["coverage"]["better"] == "higher"


def test_constant_features_get_a_distance_and_a_note(tmp_path, capsys):
    flat = np.full((25, 1, 5, 5), 51, np.uint8)
    paths = save(tmp_path / "a.npy", flat), save(tmp_path / "b.npy", flat * 2)
    scores = scores_of(capsys, *paths, "--features", "pixels")
    assert scores["fd"]["value"] == pytest.approx(25 * 0.04, rel=2 * float32_slack(0.4) / 0.2)
    assert "All 25 rows of 'real' are equal" in scores["prd"]["reason"]


def test_nan_rows_of_features_are_named(tmp_path):
    features = np.ones((30, 2))
    features[7] = np.nan
    paths = save(tmp_path / "a.npy", np.eye(30, 2)), save(tmp_path / "b.npy", features)
    with pytest.raises(UserError, match="Row 7 of 'generated' is not finite"):
        evaluate(*paths)


@pytest.mark.parametrize(("size", "kind"), [(1e20, np.float32), (1e200, np.float64)])
def test_features_whose_powers_are_not_finite_are_refused(size, kind, tmp_path):
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(kind)
    real = save(tmp_path / "a.npy", features)
    generated = save(tmp_path / "b.npy", features * kind(size))
    for paths in ((real, generated), (generated, real)):
        with pytest.raises(UserError, match=r"has features up to .*; expected at most 1e\+15"):
            evaluate(*paths)
    moments = tmp_path / "m.npz"
    np.savez(moments, mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(UserError, match=r"'generated' has features up to"):
        evaluate(moments, generated)


def test_endings_in_capitals_are_endings(tmp_path, capsys):
    features = np.random.default_rng(0).normal(size=(40, 3))
    for name in ("a.npy", "b.npz", "m.npz"):
        with (tmp_path / name).with_suffix(name[-4:].upper()).open("wb") as file:
            if name == "a.npy":
                np.save(file, features)
            elif name == "b.npz":
                np.savez(file, features)
            else:
                np.savez(file, mu=features.mean(0), sigma=np.cov(features.T))
    for first in ("a.NPY", "m.NPZ"):
        words = (tmp_path / first, tmp_path / "b.NPZ", "--metrics", "frechet")
        assert abs(scores_of(capsys, *words)["fd"]["value"]) < 1e-9


def test_equal_sets_have_a_distance_of_0_and_moments_cannot_be_the_generated_set(tmp_path, capsys):
    images = draw(24, shape=(1, 8, 8))
    first, second = save_folder(tmp_path / "a", images), save_folder(tmp_path / "b", images[::-1])
    words = ("--features", "pixels", "--metrics", "frechet")
    assert evaluate(first, second, *words) == 0
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("FD ")]
    assert line.split()[1] == "0.000"
    np.savez(tmp_path / "m.npz", mu=np.zeros(64), sigma=np.eye(64))
    with pytest.raises(UserError, match=r"m\.npz holds a mean and a covariance, which only REAL"):
        evaluate(first, tmp_path / "m.npz", *words)


def test_a_metric_named_twice_is_scored_once(pair, capsys):
    assert evaluate(*pair, "--features", "pixels", "--metrics", "frechet,frechet", "--json") == 0
    assert [s["metric"] for s in json.loads(capsys.readouterr().out)["scores"]] == ["fd"]


def test_missing_weights_unknown_names_and_misplaced_options_are_said(pair, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AEBENCH_INCEPTION", raising=False)
    with pytest.raises(UserError, match=r"6726825d0af5.*put the file into"):
        evaluate(*pair, "--features", "inception")
    with pytest.raises(UserError, match="Did you mean 'lite0@64'"):
        evaluate(*pair, "--features", "lite@64")
    with pytest.raises(UnknownName, match="Did you mean 'frechet'"):
        evaluate(*pair, "--metrics", "frechte")
    for nothing in ("", " ,"):
        with pytest.raises(UserError, match=f"'--metrics' is '{nothing}'; expected names such"):
            evaluate(*pair, "--metrics", nothing)
    for likelihood in ("likelihood", "nll", "bits-per-dim"):
        with pytest.raises(UserError, match=r"setting of runs, evaluation\.likelihood_images"):
            evaluate(*pair, "--features", "pixels", "--metrics", likelihood)
    with pytest.raises(UserError, match="Extractor 'pixels' has no weights; leave out '--wei"):
        evaluate(*pair, "--features", "pixels", "--weights", tmp_path / "weights.pth")
    features = save(tmp_path / "features.npy", np.eye(3))
    with pytest.raises(UserError, match="leave out '--features'"):
        evaluate(features, features, "--features", "pixels")


def test_a_metric_whose_need_is_absent_or_whose_value_is_nan_is_not_applicable():
    def function(*, real, seed=0):
        return {"good": Estimate(seed, float("nan")), "bad": float("nan")}

    metric = Metric("m", function, "unit", "lower", ("real",))
    (absent,) = compute_scores(metric, {})
    assert (absent.status, absent.value, absent.reason) == ("not applicable", None, "needs real")
    good, bad = compute_scores(metric, {"real": 1, "other": 2}, {"seed": 5, "unused": 1})
    assert (good.value, good.stderr, good.status) == (5, None, "ok")
    assert (bad.value, bad.status) == (None, "not applicable")


def test_every_metric_is_found_by_its_name():
    assert metrics()
    assert all(find_metric(name).name == name for name in metrics())

"""Scores of pairs: which image belongs to which, and that it is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aebench.bench.cli.main import main
from PIL import Image

COUNT = 12
PSNR = ("--metrics", "psnr,ssim", "--features", "pixels", "--device", "cpu")


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 200, (COUNT, 12, 12), dtype=np.uint8)


@pytest.fixture
def evaluate(capsys):
    """Returns a function that scores two paths: the record, or the one line of the error."""

    def run(*arguments, options=PSNR):
        code = main(["evaluate", *map(str, arguments), *options, "--json"])
        out, err = capsys.readouterr()
        if code:
            assert (code, err.count("\n"), out) == (2, 1, "")
            return err
        return json.loads(out)

    return run


def write(folder, images, name="{:03d}.png"):
    """Writes images under their numbers, ten grey levels apart from what they were."""
    for index, image in enumerate(images):
        path = folder / name.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def value(record, metric="psnr"):
    return next(s["value"] for s in record["scores"] if s["metric"] == metric)


# Ten grey levels apart everywhere: by hand, -10 log10((10 / 255)^2).
TEN_APART = 20 * np.log10(25.5)


@pytest.mark.parametrize("name", ["{:03d}.bmp", "{}.png", "{:05d}.tiff"])
def test_files_pair_by_name_with_numbers_as_numbers_and_whatever_the_extension(
    pictures, tmp_path, evaluate, name
):
    real = write(tmp_path / "real", pictures)
    generated = write(tmp_path / "generated", pictures + 10, name)
    record = evaluate(real, generated)
    assert value(record) == pytest.approx(TEN_APART, rel=1e-5)
    assert record["pairs"] == "12 by name, numbers as numbers, extensions aside"


def test_class_folders_are_part_of_the_name(pictures, tmp_path, evaluate):
    real = write(tmp_path / "real" / "a", pictures[:6]).parent
    write(real / "b", pictures[6:])
    generated = write(tmp_path / "generated" / "b", pictures[6:] + 10, "{}.png").parent
    write(generated / "a", pictures[:6] + 10, "{}.png")
    assert value(evaluate(real, generated)) == pytest.approx(TEN_APART, rel=1e-5)
    (generated / "b").rename(generated / "c")
    assert "b/000.png, b/001.png, b/002.png and 3 more without a partner" in evaluate(
        real, generated
    )


def test_arrays_pair_by_row_and_say_so(pictures, tmp_path, evaluate, capsys):
    np.save(tmp_path / "real.npy", pictures)
    np.save(tmp_path / "generated.npy", pictures + 10)
    paths = (tmp_path / "real.npy", tmp_path / "generated.npy")
    record = evaluate(*paths)
    assert value(record) == pytest.approx(TEN_APART, rel=1e-5)
    assert record["pairs"] == "12 by row"
    assert main(["evaluate", *map(str, paths), *PSNR]) == 0
    assert "pairs      12 by row\n" in capsys.readouterr().out


def test_scores_of_sets_say_nothing_of_pairs(pictures, tmp_path, evaluate):
    real = write(tmp_path / "real", pictures)
    generated = write(tmp_path / "generated", pictures, "x{}.png")
    options = ("--metrics", "frechet", "--features", "pixels")
    assert "pairs" not in evaluate(real, generated, options=options)


def test_names_that_do_not_pair_are_refused_and_named(pictures, tmp_path, evaluate):
    real = write(tmp_path / "real", pictures)
    generated = write(tmp_path / "generated", pictures, "sample_{}.png")
    assert (
        f"in {real} there is 000.png, 001.png, 002.png and 9 more without a partner"
        in evaluate(real, generated)
    )
    fewer = write(tmp_path / "fewer", pictures[:-1])
    assert "there is 011.png without a partner" in evaluate(real, fewer)
    assert "there is 011.png without a partner" in evaluate(fewer, real)


@pytest.mark.parametrize("twin", ["1.png", "001.jpg"])
def test_two_files_of_one_name_are_refused(pictures, tmp_path, evaluate, twin):
    real = write(tmp_path / "real", pictures)
    generated = write(tmp_path / "generated", pictures)
    Image.fromarray(pictures[0]).save(generated / twin)
    error = evaluate(real, generated)
    assert "are the same name" in error and twin in error and "001.png" in error


def test_a_folder_and_an_array_are_not_paired(pictures, tmp_path, evaluate):
    real = write(tmp_path / "real", pictures)
    np.save(tmp_path / "generated.npy", pictures)
    assert "only one is a folder" in evaluate(real, tmp_path / "generated.npy")


def test_sets_of_other_shape_count_or_kind_are_not_paired(pictures, tmp_path, evaluate):
    np.save(tmp_path / "a.npy", pictures)
    np.save(tmp_path / "fewer.npy", pictures[:-1])
    np.save(tmp_path / "colour.npy", pictures[:, None].repeat(3, 1))
    np.save(tmp_path / "features.npy", pictures[:, 0] / 255.0)
    assert "holds 12 images and" in evaluate(tmp_path / "a.npy", tmp_path / "fewer.npy")
    assert "pairs need one shape" in evaluate(tmp_path / "a.npy", tmp_path / "colour.npy")
    features = tmp_path / "features.npy"
    assert "pairs are made of images" in evaluate(
        features, features, options=("--metrics", "psnr")
    )


@pytest.mark.parametrize("kind", ["arrays", "folders"])
def test_scores_of_sets_do_not_depend_on_order_or_names_at_all(pictures, tmp_path, evaluate, kind):
    images = np.concatenate([pictures, pictures // 2, pictures // 3])
    order = np.random.default_rng(1).permutation(len(images))
    found = []
    for number, rows in enumerate((images, images[order])):
        path = tmp_path / f"{kind}{number}"
        if kind == "arrays":
            path = path.with_suffix(".npy")
            np.save(path, rows)
        else:
            write(path, rows)
        np.save(tmp_path / "generated.npy", images[::-1][:25])
        options = ("--metrics", "frechet,prd,precision-recall", "--features", "pixels")
        found.append(evaluate(path, tmp_path / "generated.npy", options=options)["scores"])
    assert found[0] == found[1]

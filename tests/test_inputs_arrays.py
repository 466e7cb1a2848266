"""Every line on folders, arrays and pairs of docs/inputs.md, tried."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from aebench.bench import evaluate
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.images import read_set
from aebench.bench.data.stored_moments import read_moments
from aebench.bench.errors import UserError
from aebench.bench.evaluation.moment_scores import evaluate_moments
from aebench.bench.evaluation.pairs import paired
from aebench.bench.evaluation.sets import check_pair, in_order
from aebench.metrics.frechet import frechet_distance
from PIL import Image

lines = runpy.run_path(str(Path(__file__).with_name("input_files.py")))["lines"]

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 6), dtype=np.uint8)
COLOURS = IMAGES.repeat(3, 0).reshape(12, 3, 5, 6)
FLOATS = IMAGES / 255.0
BINARY = (IMAGES > 99).astype(np.uint8)
NAN = np.where(np.arange(12)[:, None, None] == 3, np.nan, FLOATS)
VECTORS = FLOATS[:, 0]
MOMENTS = {"mu": FLOATS[0, 0], "sigma": np.eye(6)}
OBJECTS = np.array([{}, {}], dtype=object)

# For `evaluate`: what a file holds, and what another holds where a line is about two.
SCORED = {
    "integers from 0 to 255 of shape (N, H, W), (N, C, H, W) or (N, H, W, C)": [
        *(IMAGES, COLOURS, COLOURS.transpose(0, 2, 3, 1), IMAGES.astype(np.int64))
    ],
    "floats from 0 to 1 of these shapes": [FLOATS, FLOATS.astype(np.float16), COLOURS / 255.0],
    "floats of shape (N, F)": [VECTORS],
    "`images` with their `labels`": [{"images": IMAGES, "labels": np.arange(12)}],
    "`arr_0` with integers `arr_1` of its length, as ADM writes them": [
        {"arr_0": IMAGES, "arr_1": np.arange(12)}
    ],
    "`arr_0` beside `mu`, `sigma`, `mu_s`, `sigma_s`": [
        {"arr_0": IMAGES, "mu": FLOATS[0, 0], "sigma": FLOATS[0]}
    ],
    "`mu` and `sigma` alone, as the real set": [
        (MOMENTS, np.random.default_rng(2).normal(size=(40, 6)))
    ],
    "other arrays beside the images": [
        {"arr_0": IMAGES, "arr_1": IMAGES},
        {"arr_0": IMAGES, "arr_1": np.arange(11)},
        {"images": IMAGES, "codes": VECTORS},
        {"images": IMAGES, "labels": np.arange(12), "fake": IMAGES},
        {"arr_0": IMAGES, "labels": np.arange(12)},
    ],
    "floats from 0 to 255": [IMAGES.astype(float)],
    "floats from -1 to 1": [FLOATS * 2 - 1],
    "floats far outside of [0, 1]": [FLOATS * 3 - 1],
    "values 0 and 1 only, in integers": [BINARY, BINARY.astype(np.int64)],
    "floats divided by 255 twice": [FLOATS / 255],
    "integers above 255": [IMAGES.astype(np.uint16) * 2],
    "a set that reaches to 16, another to 255": [(IMAGES // 16, IMAGES), (IMAGES, IMAGES // 16)],
    "values that are not finite": [NAN, NAN[:, 0]],
    "booleans, complex numbers": [BINARY > 0, IMAGES + 1j],
    "Python objects": [OBJECTS],
}
# For `npz:`.
TRAINED = {
    "one array of images or of float vectors": [IMAGES, COLOURS, VECTORS],
    "`images` with their `labels`": [{"images": IMAGES, "labels": np.arange(12)}],
    "`train` and `test`, perhaps `validation`, perhaps `..._labels`": [
        {"train": IMAGES, "test": IMAGES},
        {"train": IMAGES, "test": IMAGES, "validation": IMAGES, "train_labels": np.arange(12)},
    ],
    "`x_train`, `y_train`, `x_test`, `y_test`, as Keras writes them": [
        {"x_train": IMAGES, "y_train": np.arange(12), "x_test": IMAGES, "y_test": np.arange(12)},
        {"x_train": COLOURS, "x_test": COLOURS},
    ],
    "`train_images`, `train_labels`, `val_images` and so on, as MedMNIST writes them": [
        {f"{part}_images": IMAGES for part in ("train", "val", "test")}
        | {f"{part}_labels": np.arange(12)[:, None] for part in ("train", "val", "test")},
    ],
    "integer labels of several columns, as ChestMNIST has": [
        {f"{part}_images": IMAGES for part in ("train", "val", "test")}
        | {f"{part}_labels": np.eye(12, 5, dtype=int) for part in ("train", "val", "test")},
    ],
    "any other array beside them": [
        {"train": IMAGES, "test": IMAGES, "val": IMAGES},
        {"train": IMAGES, "test": IMAGES, "labels": np.arange(12)},
        {"train": IMAGES, "test": IMAGES, "validation_labels": np.arange(12)},
    ],
    "a part in 0 and 1 only": [{"train": IMAGES, "test": BINARY}, BINARY],
    "a part that reaches to 16, another to 255": [
        {"train": IMAGES // 16, "test": IMAGES},
        {"train": IMAGES, "test": IMAGES, "validation": IMAGES // 16},
    ],
    "vectors of one part in [0, 1], of another in [0, 255]": [
        {"train": VECTORS, "test": VECTORS * 255}
    ],
    "integers or floats from 0 to 1 as images": [
        *(FLOATS, {"train": FLOATS, "test": FLOATS}, IMAGES.astype(np.int64))
    ],
    "other floats as images": [FLOATS * 255, {"train": FLOATS, "test": FLOATS * 2 - 1}],
    "values that are not finite": [NAN[:, 0]],
    "Python objects": [OBJECTS],
}


def cases(made: dict[str, list]) -> list[tuple[str, int]]:
    return [(line, at) for line, inputs in made.items() for at in range(len(inputs))]


def write(path: Path, content: object) -> Path:
    if isinstance(content, dict):
        np.savez(path.with_suffix(".npz"), **content)
        return path.with_suffix(".npz")
    np.save(path.with_suffix(".npy"), content, allow_pickle=True)
    return path.with_suffix(".npy")


def score(first: Path, second: Path) -> object:
    if (stored := read_moments(first)) is not None:
        return evaluate_moments(first, stored, second, names=[])
    given = {"real": read_set(first), "generated": read_set(second)}
    check_pair(given)
    return in_order("real", given["real"].items)


def expect(happens: str, reason: str, use: Callable[[], object]) -> None:
    if happens in ("read", "paired", "passed over"):
        use()
        return
    assert happens == "refused"
    with pytest.raises(UserError) as error:
        use()
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_the_page_and_the_tests_have_the_same_lines():
    for section, made in (
        ("Arrays in `evaluate`", SCORED),
        ("Arrays in `npz:PATH`", TRAINED),
        ("Folders", FOLDERS),
        ("Pairs", PAIRS),
    ):
        assert list(lines(section)) == list(made)


@pytest.mark.parametrize(("line", "at"), cases(SCORED))
def test_evaluate_reads_or_refuses_arrays_as_the_page_says(line, at, tmp_path):
    content = SCORED[line][at]
    first, second = content if isinstance(content, tuple) else (content, content)
    paths = write(tmp_path / "a", first), write(tmp_path / "b", second)
    expect(*lines("Arrays in `evaluate`")[line], lambda: score(*paths))


@pytest.mark.parametrize(("line", "at"), cases(TRAINED))
def test_run_reads_or_refuses_arrays_as_the_page_says(line, at, tmp_path):
    path = write(tmp_path / "a", TRAINED[line][at])
    expect(*lines("Arrays in `npz:PATH`")[line], lambda: load_dataset(f"npz:{path}"))


def test_the_levels_of_arrays_are_kept_and_floats_are_rounded(tmp_path):
    for content in (IMAGES, FLOATS, IMAGES.astype(np.int64)):
        found = read_set(write(tmp_path / "a", content)).items
        assert np.array_equal(found, IMAGES[:, None])


@pytest.mark.parametrize("kind", [">f4", ">f8", np.longdouble])
def test_features_score_alike_in_any_type_and_order_of_bytes(kind, tmp_path):
    native = VECTORS.astype(np.float32 if kind == ">f4" else np.float64)
    files = [
        (write(tmp_path / f"real{n}", each), write(tmp_path / f"made{n}", each[::-1] + each / 8))
        for n, each in enumerate((native, native.astype(kind)))
    ]
    expected, found = (evaluate(*pair) for pair in files)
    assert not found["reason"].str.contains("byte order").any()
    pd.testing.assert_frame_equal(found, expected)


def test_a_constant_set_has_no_scale_and_is_scored(tmp_path):
    black = np.zeros_like(IMAGES)
    score(write(tmp_path / "a", IMAGES), write(tmp_path / "b", black))
    score(write(tmp_path / "a", IMAGES), write(tmp_path / "b", black + 3))


def put(folder: Path, name: str, image: np.ndarray = IMAGES[0]) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / name)


def classes(folder: Path) -> None:
    for index in range(4):
        put(folder, f"class{index % 2}/{index}.png", IMAGES[index])


def hidden(folder: Path) -> None:
    classes(folder)
    (folder / ".DS_Store").write_bytes(b"no image")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "a.png").write_bytes(b"no image")


def littered(folder: Path) -> None:
    classes(folder)
    for name in ("Thumbs.db", "desktop.ini", "class0/README.txt", "class1/labels.json"):
        (folder / name).write_bytes(b"\xd0\xcf\x11\xe0")


def damaged(folder: Path) -> None:
    littered(folder)
    (folder / "class0" / "9.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def linked(folder: Path) -> None:
    classes(folder)
    (folder / "class1").rename(folder.parent / "elsewhere")
    (folder / "class1").symlink_to(folder.parent / "elsewhere")


def loop(folder: Path) -> None:
    classes(folder)
    (folder / "class0" / "all").symlink_to(folder)


def dangling(folder: Path) -> None:
    classes(folder)
    (folder / "class2").symlink_to("nowhere")


def twice(folder: Path) -> None:
    classes(folder)
    (folder / "class2").symlink_to("class1")


def pipe(folder: Path) -> None:
    classes(folder)
    os.mkfifo(folder / "class0" / "a.png")


FOLDERS = {
    "class folders": classes,
    "hidden files and folders": hidden,
    "texts and tables beside the images, such as `Thumbs.db`, `desktop.ini`, `README.txt`, "
    "`labels.json`": littered,
    "a damaged image among them": damaged,
    "linked files and folders": linked,
    "link to a folder around it": loop,
    "link to nothing": dangling,
    "two ways to one folder": twice,
    "pipe or device": pipe,
    "no file": lambda folder: None,
}


@pytest.mark.parametrize("line", FOLDERS)
def test_a_folder_is_read_or_refused_as_the_page_says(line, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    FOLDERS[line](folder)
    for use in (
        lambda: len(read_set(folder).items),
        lambda: len(load_dataset(f"folder:{folder}").train) + 2,
    ):
        expect(*lines("Folders")[line], lambda use=use: check_four(use()))


def check_four(count: int) -> None:
    assert count == 4


def folders(folder: Path, first: list[str], second: list[str]) -> tuple[Path, Path]:
    for name, files in (("a", first), ("b", second)):
        for index, file in enumerate(files):
            put(folder / name, file, IMAGES[index])
    return folder / "a", folder / "b"


PAIRS = {
    "two folders of the same names": lambda at: folders(
        at, ["x.png", "y.png"], ["x.png", "y.png"]
    ),
    "`002.png` and `2.jpg`": lambda at: folders(at, ["002.png", "010.png"], ["2.jpg", "10.jpg"]),
    "two arrays of one length": lambda at: (write(at / "a", IMAGES), write(at / "b", IMAGES)),
    "a name without a partner": lambda at: folders(at, ["x.png", "y.png"], ["x.png", "z.png"]),
    "`1.png` and `01.png` in one folder": lambda at: folders(
        at, ["1.png", "2.png"], ["1.png", "01.png"]
    ),
    "a folder and an array": lambda at: (
        folders(at, ["x.png", "y.png"], [])[0],
        write(at / "b", IMAGES),
    ),
}


@pytest.mark.parametrize("line", PAIRS)
def test_two_sets_are_paired_or_refused_as_the_page_says(line, tmp_path):
    first, second = PAIRS[line](tmp_path)
    happens, reason = lines("Pairs")[line]

    def use() -> None:
        *_, how = paired(read_set(first), read_set(second))
        assert reason in how

    expect(happens, reason, use)


def test_parts_by_other_names_are_not_mixed_into_one(tmp_path):
    for part in ("train", "val"):
        put(tmp_path, f"{part}/a.png")
    with pytest.raises(UserError, match="holds train, val; expected train and test"):
        load_dataset(f"folder:{tmp_path}")


FEW = (("batch_size = 20", "batch_size = 2"), ("train_images = 100", "train_images = 2"))


def test_what_is_passed_over_is_counted_and_named_once(tmp_path, suite_file, aebench, capsys):
    littered(tmp_path / "images")
    told = "4 files are no images and are passed over: Thumbs.db, class0/README.txt, "
    told += "class1/labels.json and 1 more"
    assert read_set(tmp_path / "images").note == told
    data = f'dataset = "folder:{tmp_path / "images"}"'
    suite = suite_file(('dataset = "digits"', data), ('"tiny"', '"mlp"'), *FEW)
    _, lines_told = aebench(suite, "--dry-run")
    assert lines_told.count(told) == 1
    capsys.readouterr()
    assert main(["data", f"folder:{tmp_path / 'images'}"]) == 0
    assert told in capsys.readouterr().out


def test_public_names_of_parts_give_the_parts_of_ours(tmp_path):
    labels = np.arange(12)
    ours = {"train": IMAGES, "train_labels": labels, "test": IMAGES[:6], "test_labels": labels[:6]}
    keras = {"x_train": IMAGES, "y_train": labels, "x_test": IMAGES[:6], "y_test": labels[:6]}
    medmnist = {
        "train_images": IMAGES / 255.0,
        "train_labels": labels[:, None],
        "test_images": IMAGES[:6] / 255.0,
        "test_labels": labels[:6, None],
    }
    digests = {
        load_dataset(f"npz:{write(tmp_path / name, content)}").digest
        for name, content in (("ours", ours), ("keras", keras), ("medmnist", medmnist))
    }
    assert len(digests) == 1
    one = load_dataset(f"npz:{write(tmp_path / 'one', {'images': IMAGES, 'labels': labels})}")
    pixels = torch.cat([one.train, one.validation, one.test]).numpy()[:, 0]
    kept = torch.cat([one.train_labels, one.validation_labels, one.test_labels])
    assert np.array_equal(pixels, IMAGES[kept])


def test_stored_moments_give_the_distance_of_the_set_that_they_are_of(tmp_path):
    draw = np.random.default_rng(0)
    real, generated = draw.normal(size=(500, 8)), draw.normal(size=(300, 8)) + 0.2
    moments = {"mu": real.mean(0), "sigma": np.cov(real, rowvar=False)}
    paths = write(tmp_path / "real", moments), write(tmp_path / "generated", generated)
    record = evaluate_moments(paths[0], read_moments(paths[0]), paths[1], names=[])
    (scored,) = [s for s in record["scores"] if s["status"] == "ok"]
    assert scored["metric"] == "fd" and scored["stderr"] is None
    expected = frechet_distance(real=real, generated=generated)
    assert scored["value"] == pytest.approx(expected, rel=1e-10)
    assert {s["metric"] for s in record["scores"]} >= {"kernel", "prd"}


@pytest.mark.parametrize(
    ("moments", "told"),
    [
        ({"mu": np.ones(3), "sigma": np.eye(4)}, r"shape \(3,\) and 'sigma' \(4, 4\)"),
        ({"mu": np.ones(3), "sigma": np.triu(np.ones((3, 3)))}, "is not symmetric"),
        ({"mu": np.ones(3), "sigma": -np.eye(3)}, "variances of 0 or more"),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3)}, "not finite"),
        ({"mu": np.ones(3, int), "sigma": np.eye(3)}, "in floating point"),
    ],
)
def test_moments_that_are_none_are_refused(moments, told, tmp_path):
    with pytest.raises(UserError, match=told):
        read_moments(write(tmp_path / "a", moments))


def test_moments_ask_for_the_extractor_and_for_the_distance_alone(tmp_path):
    path = write(tmp_path / "moments", MOMENTS)
    images, features = write(tmp_path / "i", IMAGES), write(tmp_path / "f", VECTORS[:, :5])
    stored = read_moments(path)
    for generated, names, told in (
        (images, [], "name their extractor with '--features'"),
        (features, [], "is of 6 features and the generated set has 5"),
        (images, ["frechet", "prd"], "Metric 'prd': takes the features of each image"),
    ):
        with pytest.raises(UserError, match=told):
            evaluate_moments(path, stored, generated, names=names)


def test_images_of_any_size_are_brought_to_the_one_that_is_named(tmp_path, suite_file, aebench):
    draw = np.random.default_rng(0)
    sizes = [(40, 60), (60, 40), (8, 8), (33, 32), (64, 64)]
    for index, size in enumerate(sizes):
        put(tmp_path, f"images/{index}.png", draw.integers(0, 256, size, dtype=np.uint8))
    with pytest.raises(UserError, match="is 1x60x40"):
        load_dataset(f"folder:{tmp_path / 'images'}")
    data = load_dataset(f"folder:{tmp_path / 'images'}@16")
    assert data.image_shape == (1, 16, 16) and data.name.endswith("images@16")
    assert data.note == "5 images were brought to 16x16 pixels, 1 of them enlarged"
    # By hand: the middle square, then Pillow's antialiased filter.
    image = Image.open(tmp_path / "images" / "0.png").crop((10, 0, 50, 40))
    expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))
    found = torch.cat([data.train, data.validation, data.test])[:, 0].numpy()
    assert any(np.array_equal(each, expected) for each in found)
    suite = suite_file(
        ('dataset = "digits"', 'dataset = "folder:images"'), ('"tiny"', '"mlp"'), *FEW
    )
    code, told = aebench(suite, "--set", "data.size=16", "--dry-run")
    assert code == 0, told
    assert "images@16: 5 images were brought to 16x16 pixels" in told
    code, told = aebench(suite, "--set", "data.size=9999", "--dry-run")
    assert code == 2 and "'data.size' is 9999; expected at most 4096 pixels" in told
    code, told = aebench(suite_file(), "--set", "data.size=16", "--dry-run")
    assert code == 2 and "'data.size' is 16 and the data set 'digits'" in told
    (tmp_path / "images@16").mkdir()
    with pytest.raises(UserError, match="rename one of the two folders"):
        load_dataset(f"folder:{tmp_path / 'images'}@16")

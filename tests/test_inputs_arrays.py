"""Every line on folders, arrays and pairs of docs/inputs.md, tried."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.images import read_set
from aebench.bench.errors import UserError
from aebench.bench.evaluation.pairs import paired
from aebench.bench.evaluation.sets import check_pair, in_order
from PIL import Image

lines = runpy.run_path(str(Path(__file__).with_name("input_files.py")))["lines"]

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 6), dtype=np.uint8)
COLOURS = IMAGES.repeat(3, 0).reshape(12, 3, 5, 6)
FLOATS = IMAGES / 255.0
BINARY = (IMAGES > 99).astype(np.uint8)
NAN = np.where(np.arange(12)[:, None, None] == 3, np.nan, FLOATS)
VECTORS = FLOATS[:, 0]
OBJECTS = np.array([{}, {}], dtype=object)

# For `evaluate`: what a file holds, and what another holds where a line is about two.
SCORED = {
    "integers from 0 to 255 of shape (N, H, W), (N, C, H, W) or (N, H, W, C)": [
        *(IMAGES, COLOURS, COLOURS.transpose(0, 2, 3, 1), IMAGES.astype(np.int64))
    ],
    "floats from 0 to 1 of these shapes": [FLOATS, FLOATS.astype(np.float16), COLOURS / 255.0],
    "floats of shape (N, F)": [VECTORS],
    "`images` with their `labels`": [{"images": IMAGES, "labels": np.arange(12)}],
    "other arrays beside the images": [
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
    "one array of uint8 images or of float vectors": [IMAGES, COLOURS, VECTORS],
    "`train` and `test`, perhaps `validation`, perhaps `..._labels`": [
        {"train": IMAGES, "test": IMAGES},
        {"train": IMAGES, "test": IMAGES, "validation": IMAGES, "train_labels": np.arange(12)},
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
    "floats as images": [FLOATS, {"train": FLOATS, "test": FLOATS}],
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


def score(first: Path, second: Path) -> np.ndarray:
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

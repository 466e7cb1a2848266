import io
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.images import read_set
from aebench.bench.errors import UserError
from PIL import Image


def write_folder(folder, count=20, mode="RGB", size=(6, 5)):
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new(mode, size, index if mode == "L" else (index, 1, 2)).save(
            folder / f"{index:03d}.png"
        )
    return folder


def test_a_folder_of_images_is_shuffled_and_split_in_tenths(tmp_path):
    folder = write_folder(tmp_path / "images")
    data = load_dataset(f"folder:{folder}")
    assert data.image_shape == (3, 5, 6)
    reds = [part[:, 0, 0, 0].tolist() for part in (data.train, data.validation, data.test)]
    assert [len(red) for red in reds] == [16, 2, 2]
    together = [red for part in reds for red in part]
    assert together != sorted(together) == list(range(20))
    assert data.alpha == 0.05


def test_a_folder_of_grey_images_has_one_channel_and_the_grey_alpha(tmp_path):
    data = load_dataset(f"folder:{write_folder(tmp_path / 'images', mode='L')}")
    assert (data.image_shape, data.alpha) == ((1, 5, 6), 1e-6)


def test_a_folder_with_given_parts_keeps_them(tmp_path):
    for part, count in (("train", 7), ("validation", 2), ("test", 3)):
        write_folder(tmp_path / "images" / part, count)
    data = load_dataset(f"folder:{tmp_path / 'images'}", "aef")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [7, 2, 3]


def test_a_text_beside_given_parts_is_named_as_passed_over(tmp_path, capsys):
    for part in ("train", "test"):
        write_folder(tmp_path / part)
    (tmp_path / "labels.csv").write_text("a,b\n")
    (tmp_path / "test" / "README.txt").write_text("b")
    assert main(["data", f"folder:{tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert "; 1 file is no image and is passed over: labels.csv; test: 1 file is no image" in out


def test_a_corrupt_image_is_named(tmp_path):
    path = write_folder(tmp_path / "images") / "007.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=r"007\.png is not an image that can be read"):
        load_dataset(f"folder:{path.parent}")


def test_an_image_of_another_size_is_named(tmp_path):
    folder = write_folder(tmp_path / "images")
    Image.new("RGB", (6, 6)).save(folder / "011.png")
    with pytest.raises(UserError, match=r"011\.png is 3x6x6 .*; expected 3x5x6 .* as 000\.png"):
        load_dataset(f"folder:{folder}")


def test_a_file_that_is_no_image_is_named(tmp_path):
    folder = write_folder(tmp_path / "images")
    (folder / "notes").write_text("hello")
    with pytest.raises(UserError, match=r"notes is not an image that can be read"):
        load_dataset(f"folder:{folder}")


def test_an_image_with_transparency_is_refused(tmp_path):
    folder = write_folder(tmp_path / "images")
    Image.new("RGBA", (6, 5)).save(folder / "000.png")
    with pytest.raises(UserError, match=r"000\.png has 30 of 30 pixels that are not fully opaque"):
        load_dataset(f"folder:{folder}")


@pytest.mark.parametrize("side", [5_000, 11_000, 20_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    folder = write_folder(tmp_path / "images")
    path = folder / "000.png"
    content = bytearray(path.read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"000\.png .*pixels; expected at most 4096x4096"):
        load_dataset(f"folder:{folder}")


def test_an_empty_or_absent_folder_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no file; expected images"):
        load_dataset(f"folder:{tmp_path / 'empty'}")
    with pytest.raises(UserError, match="absent is not there; expected a folder of images"):
        load_dataset(f"folder:{tmp_path / 'absent'}")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file is no folder; expected a folder of images"):
        load_dataset(f"folder:{tmp_path / 'file'}")
    with pytest.raises(UserError, match=r"empty is no file; expected a \.npy or \.npz file"):
        load_dataset(f"npz:{tmp_path / 'empty'}")
    for scheme in ("folder", "npz", "smiles"):
        with pytest.raises(UserError, match=f"'{scheme}:' has no path; expected {scheme}:PATH"):
            load_dataset(f"{scheme}:")


def test_a_folder_of_two_images_is_too_small(tmp_path):
    folder = write_folder(tmp_path / "images", count=2)
    with pytest.raises(UserError, match="holds 2 images; expected at least 3"):
        load_dataset(f"folder:{folder}")
    folder = write_folder(tmp_path / "one", count=1)
    with pytest.raises(UserError, match="holds 1 image; expected at least 3"):
        load_dataset(f"folder:{folder}")


def test_arrays_of_either_layout_give_the_same_data_set(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 4, 5), dtype=np.uint8)
    np.save(tmp_path / "first.npy", images)
    np.savez(tmp_path / "last.npz", pixels=images.transpose(0, 2, 3, 1))
    first = load_dataset(f"npz:{tmp_path / 'first.npy'}")
    assert first.image_shape == (3, 4, 5)
    assert load_dataset(f"npz:{tmp_path / 'last.npz'}").digest == first.digest


def test_named_arrays_keep_their_parts_and_labels(tmp_path):
    images = np.arange(20 * 16, dtype=np.uint8).reshape(20, 4, 4)
    path = tmp_path / "x.npz"
    np.savez(path, train=images, test=images[:3], train_labels=np.arange(20))
    data = load_dataset(f"npz:{path}")
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 3)
    for part, labels in (
        (data.train, data.train_labels),
        (data.validation, data.validation_labels),
    ):
        assert (part[:, 0, 0, 0] // 16).tolist() == (labels % 16).tolist()
    assert data.test_labels is None


def test_vectors_are_real_images_of_one_row(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 4)))
    data = load_dataset(f"npz:{tmp_path / 'x.npy'}")
    assert (data.image_shape, data.default_space) == ((1, 1, 4), "real")
    assert data.train.dtype == torch.float32


@pytest.mark.parametrize("name", ["objects.npz", "objects.npy"])
def test_an_array_of_objects_is_never_unpickled(tmp_path, name):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    save = np.savez if name.endswith("z") else np.save
    save(tmp_path / name, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="holds Python objects, which are never unpickled"):
        load_dataset(f"npz:{tmp_path / name}")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((9, 4, 4), complex), "has type complex128; expected uint8, or floats in"),
        (np.zeros((9, 5, 4, 4), np.uint8), r"has shape \(9, 5, 4, 4\); expected \(N, H, W\)"),
        (np.zeros((0, 4, 4), np.uint8), r"has shape \(0, 4, 4\)"),
        (np.full((9, 2), np.nan), "holds values that are not finite"),
    ],
)
def test_an_array_that_is_no_set_of_images_is_an_error(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=message):
        load_dataset(f"npz:{tmp_path / 'x.npy'}")


@pytest.mark.parametrize("names", [("images", "labels"), ("arr_0", "arr_1"), ("train", "test")])
@pytest.mark.parametrize("number", [np.uint8(3), np.float32(0.5)])
def test_a_number_in_the_place_of_images_is_an_error(tmp_path, names, number):
    given = {names[0]: number, names[1]: np.zeros((4, 4, 4), "u1")}
    if names[0] != "train":
        given[names[1]] = np.arange(9)
    path = tmp_path / "x.npz"
    np.savez(path, **given)
    for read in (read_set, lambda path: load_dataset(f"npz:{path}")):
        with pytest.raises(UserError, match=re.escape(str(path))):
            read(path)


def test_several_arrays_without_train_and_test_are_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(UserError, match="holds a, b; expected one array, 'images' and"):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")


def test_parts_of_different_shapes_are_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", train=np.zeros((9, 4, 4), "u1"), test=np.zeros((9, 5, 4), "u1"))
    with pytest.raises(UserError, match=r"'test' holds \(1, 5, 4\); expected \(1, 4, 4\)"):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")


def test_labels_of_another_count_are_an_error(tmp_path):
    images = np.zeros((9, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", train=images, test=images, test_labels=np.arange(8))
    with pytest.raises(
        UserError, match=r"'test_labels' has type int64 and shape \(8,\); expected"
    ):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")


def test_a_truncated_or_absent_array_file_is_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", train=np.zeros((9, 4, 4), np.uint8))
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(content[:-30])
    with pytest.raises(UserError, match=r"x\.npz cannot be read: File is not a zip file"):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")
    with pytest.raises(UserError, match=r"y\.npz is not there; expected a \.npy or \.npz file"):
        load_dataset(f"npz:{tmp_path / 'y.npz'}")


def test_an_array_that_declares_more_than_it_holds_is_an_error(tmp_path):
    buffer = io.BytesIO()
    shape = (10**12, 28, 28)
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("train.npy", buffer.getvalue() + bytes(100))
    with pytest.raises(UserError, match=r"x\.npz cannot be read"):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")

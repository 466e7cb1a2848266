import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench import places
from aebench.bench.data import load_dataset
from aebench.bench.data_celeba import CelebA
from aebench.bench.data_celebahq import CelebAHq
from aebench.bench.data_cifar10 import Cifar10
from aebench.bench.data_imagenet import ImageNet32
from aebench.bench.errors import RunFailed, UserError
from aebench.bench.idx import IdxSource, download
from PIL import Image


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("AEBENCH_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def idx(array):
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


def write_idx(folder, train=20, test=6, zipped=True, side=28):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for stem, count in (("train", train), ("t10k", test)):
        for kind, shape in (("images-idx3", (count, side, side)), ("labels-idx1", (count,))):
            content = idx(rng.integers(0, 10, shape, dtype=np.uint8))
            path = folder / f"{stem}-{kind}-ubyte"
            if zipped:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return folder


def small(**settings):
    return IdxSource("mnist", "MNIST", counts=(20, 6), held_out=5, **settings)


def test_idx_files_are_read_alike_plain_and_gzipped_in_each_layout(root):
    write_idx(root / "mnist")
    zipped = small().load()
    (root / "mnist").rename(root / "aside")
    write_idx(root / "MNIST" / "raw", zipped=False)
    plain = small().load()
    assert zipped.digest == plain.digest
    assert zipped.train.shape == (15, 1, 28, 28)
    assert len(zipped.validation_labels) == 5
    assert zipped.test.shape == (6, 1, 28, 28)


def test_idx_pixels_are_in_the_order_of_the_file(root):
    write_idx(root / "mnist", zipped=False)
    raw = (root / "mnist" / "t10k-images-idx3-ubyte").read_bytes()
    assert small().load().test[1, 0, 2, 3] == raw[16 + 28 * 28 + 2 * 28 + 3]


def test_the_given_folder_comes_before_the_cache(root):
    write_idx(root / "mnist")
    write_idx(places.cache_root() / "mnist", zipped=False)
    source = small()
    source.load()
    assert source.where() == str(root / "mnist")


def test_a_whole_copy_in_the_cache_serves_where_the_given_one_is_broken(root):
    write_idx(root / "mnist")
    (root / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    write_idx(places.cache_root() / "MNIST" / "raw")
    source = small()
    source.load()
    assert source.where() == str(places.cache_root() / "MNIST" / "raw")


def test_a_missing_set_names_the_places_and_the_command(root):
    with pytest.raises(UserError, match=f"'mnist' is missing: .*{root}.*aebench data mnist --dow"):
        load_dataset("mnist")


def test_a_missing_file_is_named(root):
    write_idx(root / "mnist")
    (root / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        UserError, match=r"mnist lacks t10k-labels-idx1-ubyte\.gz\. Get it with: ae"
    ):
        small().load()


def test_a_variable_that_names_no_folder_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("AEBENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="AEBENCH_DATA names '.*nowhere'; expected an existing"):
        load_dataset("mnist")


def test_a_truncated_gzip_is_an_error(root):
    path = write_idx(root / "mnist") / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz is truncated: its gzip str"):
        small().load()


def test_a_gzip_that_is_none_is_an_error(root):
    path = write_idx(root / "mnist") / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz cannot be read: Not a gzip"):
        small().load()


def test_a_damaged_gzip_is_an_error(root):
    path = write_idx(root / "mnist") / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz (cannot be read|is trunc)"):
        small().load()


def test_a_truncated_plain_file_is_an_error(root):
    path = write_idx(root / "mnist", zipped=False) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="is truncated: 15695 bytes; expected 15696"):
        small().load()


def test_a_file_with_more_than_it_declares_is_an_error(root):
    path = write_idx(root / "mnist", zipped=False) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes() + bytes(100))
    with pytest.raises(UserError, match="is too long: expected 15696 bytes"):
        small().load()


def test_an_idx_file_of_another_shape_is_an_error(root):
    write_idx(root / "mnist", side=27)
    with pytest.raises(UserError, match=r"shape \(20, 27, 27\); expected \(20, 28, 28\)"):
        small().load()


def test_an_idx_file_of_another_type_is_an_error(root):
    path = write_idx(root / "mnist", zipped=False) / "train-labels-idx1-ubyte"
    path.write_bytes(b"\x00\x00\x0d\x01" + path.read_bytes()[4:])
    with pytest.raises(UserError, match="begins with 00000d01; expected 00000801"):
        small().load()


def test_content_with_a_wrong_digest_is_an_error(root):
    write_idx(root / "mnist")
    source = small(contents={"train-images-idx3-ubyte": "0" * 64})
    with pytest.raises(
        UserError, match=r"'mnist' is not whole: .* has sha256 .*; expected 000000"
    ):
        source.load()


def test_an_archive_with_a_wrong_digest_is_an_error(root):
    write_idx(root / "mnist")
    source = small(archives={"train-images-idx3-ubyte.gz": "0" * 32})
    with pytest.raises(
        UserError, match=r"train-images-idx3-ubyte\.gz has md5 .*; expected 000000"
    ):
        source.load()


def test_a_failed_download_is_one_line_and_leaves_nothing():
    def fail(folder):
        (folder / "MNIST").mkdir()
        raise OSError("no route\nto host")

    with pytest.raises(RunFailed, match=r"^The download of 'mnist' failed: no route to host\.$"):
        download("mnist", "MNIST", fail)
    assert list(places.cache_root().iterdir()) == []


def test_a_download_replaces_a_broken_copy_and_is_found(root):
    broken = places.cache_root() / "MNIST" / "raw"
    broken.mkdir(parents=True)
    (broken / "train-images-idx3-ubyte.gz").write_bytes(b"part")
    download("mnist", "MNIST", lambda folder: write_idx(folder / "MNIST" / "raw"))
    assert len(small().load().train) == 15


def write_cifar(folder, count=20):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        (folder / name).write_bytes(records.tobytes())
    return folder


def test_cifar_is_read_from_its_binary_version(root):
    folder = write_cifar(root / "cifar10" / "cifar-10-batches-bin")
    data = Cifar10(images_per_file=20, held_out=30).load()
    assert (data.train.shape, len(data.validation)) == ((70, 3, 32, 32), 30)
    raw = (folder / "data_batch_2.bin").read_bytes()
    assert data.train[21, 2, 4, 5] == raw[3073 + 1 + 2 * 1024 + 4 * 32 + 5]
    assert data.train_labels[21] == raw[3073]
    assert (data.alpha, data.preset) == (0.05, "cifar10")


def test_a_truncated_cifar_file_is_an_error(root):
    path = write_cifar(root / "cifar-10-batches-bin") / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(
        UserError, match=r"data_batch_4\.bin is truncated: 61457 bytes; expected 61"
    ):
        Cifar10(20, 30).load()


def test_a_cifar_file_with_a_wrong_label_is_an_error(root):
    path = write_cifar(root / "cifar10") / "test_batch.bin"
    path.write_bytes(b"\x0b" + path.read_bytes()[1:])
    with pytest.raises(UserError, match=r"test_batch\.bin holds label 11; expected 0 to 9"):
        Cifar10(20, 30).load()


def test_cifar_with_unequal_classes_is_an_error(root):
    path = write_cifar(root / "cifar10") / "test_batch.bin"
    path.write_bytes(b"\x05" + path.read_bytes()[1:])
    with pytest.raises(UserError, match="classes of test_batch.bin have .* expected equal counts"):
        Cifar10(20, 30).load()


def test_pickled_cifar_is_not_taken(root):
    folder = root / "cifar10"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"\x80\x04N.")
    with pytest.raises(UserError, match=r"lacks data_batch_1\.bin and 5 more\. Get it with: aeb"):
        load_dataset("cifar10")


def test_a_cifar_archive_with_a_wrong_digest_is_an_error(root):
    (root / "cifar10").mkdir()
    with tarfile.open(root / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x"), io.BytesIO())
    with pytest.raises(UserError, match=r"cifar-10-binary\.tar\.gz has md5 .*; expected c32a1d4a"):
        load_dataset("cifar10")


def test_a_cifar_archive_is_read_without_unpacking(root, monkeypatch):
    folder = write_cifar(root / "aside" / "cifar-10-batches-bin")
    (root / "cifar10").mkdir()
    path = root / "cifar10" / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-bin")
    monkeypatch.setattr("aebench.bench.data_cifar10.verify", lambda *_: None)
    data = Cifar10(20, 30).load()
    assert (
        bytes(data.test[0].flatten().tolist()) == (folder / "test_batch.bin").read_bytes()[1:3073]
    )
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def write_celeba(folder, parts=(0, 0, 1, 2)):
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for number, part in enumerate(parts, 1):
        pixels = rng.integers(0, 256, (218, 178, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number:06d}.jpg", quality=95)
        lines.append(f"{number:06d}.jpg {part}\n")
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    return folder


def test_celeba_is_cropped_resized_and_split_officially(root):
    folder = write_celeba(root / "celeba")
    data = CelebA(partition_md5=None).load()
    assert data.train.shape == (2, 3, 64, 64)
    assert (len(data.validation), len(data.test)) == (1, 1)
    with Image.open(folder / "img_align_celeba" / "000004.jpg") as image:
        crop = np.asarray(image)[39:179, 19:159]
    resized = Image.fromarray(crop).resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(data.test[0].numpy(), np.asarray(resized).transpose(2, 0, 1))


def test_celeba_with_an_image_of_another_size_names_it(root):
    folder = write_celeba(root / "celeba")
    Image.new("RGB", (178, 200)).save(folder / "img_align_celeba" / "000002.jpg")
    with pytest.raises(UserError, match=r"000002\.jpg is 200x178 pixels; expected 218x178"):
        CelebA(partition_md5=None).load()


def test_celeba_with_a_missing_image_names_it(root):
    folder = write_celeba(root / "celeba")
    (folder / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(UserError, match=r"celeba lacks img_align_celeba/000003\.jpg"):
        CelebA(partition_md5=None).load()


def test_celeba_with_another_partition_is_an_error(root):
    write_celeba(root / "celeba")
    with pytest.raises(UserError, match=r"list_eval_partition\.txt has md5 .*; expected d32c9cbf"):
        load_dataset("celeba")


def test_celeba_with_a_malformed_partition_names_the_line(root):
    folder = write_celeba(root / "celeba")
    (folder / "list_eval_partition.txt").write_text("000001.jpg 0\n../secret.jpg 1\n")
    with pytest.raises(UserError, match=r"line 2 is '\.\./secret\.jpg 1'; expected"):
        CelebA(partition_md5=None).load()


def test_celebahq_is_split_through_the_index_and_resized(root):
    folder = root / "celebahq"
    (folder / "images").mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (128, 128), (80 * index, 0, 7)).save(
            folder / "images" / f"{index:05d}.png"
        )
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").write_text(
        "idx orig_idx orig_file\n0 11 000012.jpg\n1 22 000023.jpg\n2 33 000034.jpg\n"
    )
    (folder / "list_eval_partition.txt").write_text("000012.jpg 2\n000023.jpg 0\n000034.jpg 1\n")
    data = CelebAHq(32, partition_md5=None).load()
    reds = [int(part[0, 0, 9, 9]) for part in (data.train, data.validation, data.test)]
    assert reds == [80, 160, 0]
    assert data.image_shape == (3, 32, 32)


def write_imagenet(folder, count=200):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("train_data_batch_1", "train_data_batch_2", "val_data"):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", data=pixels, labels=np.arange(count) % 1000 + 1)
    return folder


def test_imagenet_is_read_from_its_npz_files(root):
    write_imagenet(root / "imagenet-32")
    source = ImageNet32(batches=2, held_out=50)
    data = source.load()
    assert (data.train.shape, len(data.validation), len(data.test)) == ((350, 3, 32, 32), 50, 200)
    assert int(data.train_labels.min()) == 0
    assert len(source.load("aef").validation) == 4


def test_imagenet_with_another_array_is_an_error(root):
    folder = write_imagenet(root / "imagenet-32")
    np.savez(folder / "val_data.npz", data=np.zeros((2, 12)), labels=np.ones(2))
    with pytest.raises(
        UserError, match=r"'data' is float64 \(2, 12\); expected uint8 \(N, 3072\)"
    ):
        ImageNet32(batches=2, held_out=50).load()


def test_sets_without_a_download_say_how_to_get_them(root):
    with pytest.raises(UserError, match=r"'imagenet-32' is missing: .*image-net\.org"):
        load_dataset("imagenet-32", download=True)


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
    assert sorted(sum(reds, [])) == list(range(20)) != sum(reds, [])
    assert data.alpha == 0.05


def test_a_folder_of_grey_images_has_one_channel_and_the_grey_alpha(tmp_path):
    data = load_dataset(f"folder:{write_folder(tmp_path / 'images', mode='L')}")
    assert (data.image_shape, data.alpha) == ((1, 5, 6), 1e-6)


def test_a_folder_with_given_parts_keeps_them(tmp_path):
    for part, count in (("train", 7), ("validation", 2), ("test", 3)):
        write_folder(tmp_path / "images" / part, count)
    data = load_dataset(f"folder:{tmp_path / 'images'}", "aef")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [7, 2, 3]


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
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"notes\.txt is not an image that can be read"):
        load_dataset(f"folder:{folder}")


def test_an_image_with_transparency_is_refused(tmp_path):
    folder = write_folder(tmp_path / "images")
    Image.new("RGBA", (6, 5)).save(folder / "000.png")
    with pytest.raises(UserError, match=r"000\.png has mode RGBA; expected 8-bit grey or RGB"):
        load_dataset(f"folder:{folder}")


@pytest.mark.parametrize("side", [5_000, 11_000, 20_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    folder = write_folder(tmp_path / "images")
    path = folder / "000.png"
    content = bytearray(path.read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2
    import zlib

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


def test_a_folder_of_two_images_is_too_small(tmp_path):
    folder = write_folder(tmp_path / "images", count=2)
    with pytest.raises(UserError, match="holds 2 images; expected at least 3"):
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
    assert data.validation_labels.tolist() == [18, 19]
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
        (np.zeros((9, 4, 4)), "has type float64 and shape .*; expected images in uint8"),
        (np.zeros((9, 5, 4, 4), np.uint8), r"has shape \(9, 5, 4, 4\); expected \(N, H, W\)"),
        (np.zeros((0, 4, 4), np.uint8), r"has shape \(0, 4, 4\)"),
        (np.full((9, 2), np.nan), "holds values that are not finite"),
    ],
)
def test_an_array_that_is_no_set_of_images_is_an_error(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=message):
        load_dataset(f"npz:{tmp_path / 'x.npy'}")


def test_several_arrays_without_train_and_test_are_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(UserError, match="holds a, b; expected one array, or 'train' and 'test'"):
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

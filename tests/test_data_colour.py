import io
import tarfile

import numpy as np
import pytest
from aebench.bench.data.celeba import CelebA
from aebench.bench.data.celebahq import CelebAHq
from aebench.bench.data.cifar10 import Cifar10
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.imagenet import ImageNet32
from aebench.bench.errors import UserError
from PIL import Image

pytestmark = pytest.mark.usefixtures("root")


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
    with pytest.raises(
        UserError, match=r"classes of test_batch\.bin have .* expected equal counts"
    ):
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
    monkeypatch.setattr("aebench.bench.data.cifar10.verify", lambda *_: None)
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
    source = CelebAHq(32, partition_md5=None, counts=(1, 1, 1))
    data = source.load()
    reds = [int(part[0, 0, 9, 9]) for part in (data.train, data.validation, data.test)]
    assert reds == [80, 160, 0]
    assert data.image_shape == (3, 32, 32)
    (folder / "images" / "1.png").write_bytes((folder / "images" / "00002.png").read_bytes())
    with pytest.raises(UserError, match=r"images has 00001\.png and 1\.png; keep one"):
        source.load()


def test_a_shorter_index_or_another_partition_of_celebahq_is_no_whole_set(root):
    folder = root / "celebahq"
    (folder / "images").mkdir(parents=True)
    files = [f"{n:06d}.jpg" for n in range(4)]
    for index in range(4):
        Image.new("RGB", (128, 128), (60 * index, 0, 7)).save(folder / "images" / f"{index}.png")
    index = folder / "CelebA-HQ-to-CelebA-mapping.txt"
    lines = ["idx orig_idx orig_file\n", *(f"{n} {n} {file}\n" for n, file in enumerate(files))]
    partition = folder / "list_eval_partition.txt"
    parts = [f"{file} {part}\n" for file, part in zip(files, (0, 0, 1, 2), strict=True)]
    source = CelebAHq(32, partition_md5=None, counts=(2, 1, 1))
    index.write_text("".join(lines))
    partition.write_text("".join(parts))
    assert len(source.load().train) == 2
    index.write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(UserError, match=r"mapping\.txt has 1 image of part 0; expected 2\."):
        source.load()
    index.write_text("".join(lines))
    partition.write_text("".join(parts[1:]))
    with pytest.raises(UserError, match=r"mapping\.txt names 000000\.jpg, which list_eval_part"):
        source.load()


def write_imagenet(folder, count=200):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("train_data_batch_1", "train_data_batch_2", "val_data"):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", data=pixels, labels=np.arange(count) % 1000 + 1)
    return folder


def test_imagenet_is_read_from_its_npz_files(root):
    write_imagenet(root / "imagenet-32")
    source = ImageNet32(batches=2, held_out=50, counts=(400, 200))
    data = source.load()
    assert (data.train.shape, len(data.validation), len(data.test)) == ((350, 3, 32, 32), 50, 200)
    assert int(data.train_labels.min()) == 0
    assert len(source.load("aef").validation) == 4


@pytest.mark.parametrize(("counts", "told"), [((401, 200), "400"), ((400, 201), "200")])
def test_imagenet_with_fewer_images_than_published_is_no_whole_set(root, counts, told):
    write_imagenet(root / "imagenet-32")
    with pytest.raises(UserError, match=f"32 holds {told} .* images; expected {int(told) + 1}"):
        ImageNet32(batches=2, held_out=50, counts=counts).load()


def test_imagenet_with_another_array_is_an_error(root):
    folder = write_imagenet(root / "imagenet-32")
    np.savez(folder / "val_data.npz", data=np.zeros((2, 12)), labels=np.ones(2))
    with pytest.raises(
        UserError, match=r"'data' is float64 \(2, 12\); expected uint8 \(N, 3072\)"
    ):
        ImageNet32(batches=2, held_out=50).load()


def test_sets_without_a_download_say_how_to_get_them(root):
    with pytest.raises(UserError, match=r"'imagenet-32' is missing: .*image-net\.org"):
        load_dataset("imagenet-32")

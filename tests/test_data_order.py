"""What a user's own data give must not depend on names of files or on the order of rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from aebench.bench.data.dataset import DATASETS, load_dataset
from aebench.bench.data.order import content_order
from aebench.bench.regression.exact import split_digests
from PIL import Image

CLASSES = 10


def by_class(each, seed=0):
    """Images (N, 6, 6) sorted by class, which is the tens digit of every pixel."""
    noise = np.random.default_rng(seed).integers(0, 10, (CLASSES * each, 6, 6))
    return (10 * np.repeat(np.arange(CLASSES), each)[:, None, None] + noise).astype(np.uint8)


def classes(images):
    return np.bincount(images[:, 0, 0, 0].numpy() // 10, minlength=CLASSES)


def write_classes(folder, images, each):
    """Writes class folders, files named in the order of the rows."""
    for index, image in enumerate(images):
        path = folder / f"class{index // each}" / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def write_mixed(folder, images):
    """Writes the same images under names that mix the classes."""
    folder.mkdir(parents=True)
    for name, index in enumerate(np.random.default_rng(1).permutation(len(images))):
        Image.fromarray(images[index]).save(folder / f"{name}.png")


@pytest.mark.parametrize("split", ["default", "aef"])
def test_class_folders_and_mixed_names_give_the_same_data(tmp_path, split):
    for part, each in (("train", 20), ("test", 8)):
        images = by_class(each, each)
        write_classes(tmp_path / "classes" / part, images, each)
        write_mixed(tmp_path / "mixed" / part, images)
    sorted_names, mixed = (
        load_dataset(f"folder:{tmp_path / n}", split) for n in ("classes", "mixed")
    )
    assert sorted_names.digest == mixed.digest
    assert sorted_names.split == f"{split}, shuffled"


def test_every_first_part_of_class_folders_holds_every_class(tmp_path):
    for part, each in (("train", 100), ("test", 40)):
        write_classes(tmp_path / part, by_class(each), each)
    data = load_dataset(f"folder:{tmp_path}")
    # Of 100 images drawn at random the chance that any class is absent is 3e-4; the draw is fixed.
    for images in (data.validation, data.test[:100], data.train[:100]):
        assert classes(images).min() > 0
    assert classes(data.test).tolist() == [40] * CLASSES


def test_one_folder_gives_the_same_data_whatever_its_files_are_called(tmp_path):
    images = by_class(6)
    write_classes(tmp_path / "classes", images, 6)
    write_mixed(tmp_path / "mixed", images)
    first, second = (load_dataset(f"folder:{tmp_path / name}") for name in ("classes", "mixed"))
    assert first.digest == second.digest


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "validation", "test"), ("one",)])
def test_an_array_in_any_order_gives_the_same_data_with_its_labels(tmp_path, parts):
    digests, orders = set(), np.random.default_rng(2)
    for number in range(3):
        arrays = {}
        for part in parts:
            images = by_class(6, seed=len(part))
            order = orders.permutation(len(images)) if number else np.arange(len(images))
            arrays[part] = images[order]
            if part != "one":
                arrays[f"{part}_labels"] = np.repeat(np.arange(CLASSES), 6)[order]
        np.savez(tmp_path / "x.npz", **arrays)
        data = load_dataset(f"npz:{tmp_path / 'x.npz'}")
        digests.add(data.digest)
        if data.train_labels is not None:
            assert torch.equal(data.train[:, 0, 0, 0] // 10, data.train_labels.byte())
    assert len(digests) == 1


def test_vectors_in_any_order_give_the_same_data(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(40, 3))
    np.savez(tmp_path / "a.npz", train=vectors, test=vectors[:9])
    np.savez(tmp_path / "b.npz", train=vectors[::-1], test=vectors[:9][::-1])
    first, second = (load_dataset(f"npz:{tmp_path / name}") for name in ("a.npz", "b.npz"))
    assert first.digest == second.digest


def test_the_order_of_content_is_a_permutation_in_which_equal_rows_do_not_lie_together():
    rows = np.arange(1000) % 2
    order = content_order(rows)
    assert sorted(order) == list(range(1000))
    # Of 999 neighbours in a random order half are alike, with a standard deviation of 16.
    assert abs(int((rows[order][1:] == rows[order][:-1]).sum()) - 500) < 80


def test_equal_images_are_ordered_by_their_labels():
    images, labels = np.zeros((50, 2, 2), np.uint8), np.arange(50) - 25
    other = labels[::-1]
    assert np.array_equal(
        labels[content_order(images, labels)], other[content_order(images, other)]
    )


@pytest.mark.parametrize("name", ["digits", "fashion-mini"])
def test_a_published_set_keeps_its_order_and_its_name_of_the_split(name):
    data = load_dataset(name)
    content = DATASETS.get(name).read()
    assert torch.equal(data.test, torch.from_numpy(content.test.images))
    assert data.split == "default"


def test_the_rows_of_a_run_name_the_shuffle_and_do_not_depend_on_the_order(
    tmp_path, suite_file, aebench, rows_in
):
    path = tmp_path / "sorted.npz"
    suite = suite_file(
        ('"digits"', f'"npz:{path}"'),
        ('["ae", "vae"]', '"vae"'),
        ("latent_dim = 3", "latent_dim = 2"),
        (
            '["reconstruction"]',
            '["reconstruction", "frechet"]\nlikelihood_images = 4\n'
            "likelihood_k_images = 0\nannealing_images = 0\nlikelihood_validation_images = 8",
        ),
    )
    train, test = (np.repeat(np.repeat(by_class(n), 2, 1), 2, 2)[:, :8, :8] for n in (20, 8))
    found = []
    for order in (slice(None), slice(None, None, -1)):
        np.savez(path, train=train[order], test=test[order])
        out = tmp_path / f"out{len(found)}"
        code, told = aebench(suite, out=out)
        assert code == 0, told
        found.append(rows_in(out))
    assert json.dumps(found[0]) == json.dumps(found[1])
    assert {row["split"] for rows in found[0].values() for row in rows} == {"default, shuffled"}


def test_a_baseline_finds_the_split_of_shuffled_data_by_the_name_in_its_rows(tmp_path):
    np.save(tmp_path / "x.npy", by_class(2))
    name = f"npz:{tmp_path / 'x.npy'}/default, shuffled"
    digests, notes = split_digests([name])
    assert digests == {name: load_dataset(f"npz:{tmp_path / 'x.npy'}").digest}
    assert notes == []

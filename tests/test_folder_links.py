"""Links in folders of images: followed, ended where they lead back, named where they dangle."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.images import read_set
from aebench.bench.errors import UserError
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """Three class folders of two images, and a fourth in a store elsewhere."""
    images = np.random.default_rng(0).integers(0, 256, (8, 5, 5), dtype=np.uint8)
    for index, image in enumerate(images):
        place = tmp_path / ("data" if index < 6 else "store") / f"class{index // 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index}.png")
    return tmp_path / "data"


def count(folder):
    """How many images both readers find."""
    data = load_dataset(f"folder:{folder}")
    found = len(read_set(folder).items)
    assert len(data.train) + len(data.validation) + len(data.test) == found
    return found


def test_a_linked_class_folder_is_read(folder):
    (folder / "class3").symlink_to(folder.parent / "store" / "class3")
    assert count(folder) == 8


def test_a_linked_file_is_read(folder):
    (folder / "class2" / "6.png").symlink_to(folder.parent / "store" / "class3" / "6.png")
    assert count(folder) == 7


def test_a_folder_that_is_itself_a_link_is_read(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert count(link) == 6


@pytest.mark.parametrize("target", [".", "..", "../class1"])
def test_a_link_that_leads_back_to_a_folder_around_it_ends_there(folder, target):
    (folder / "class1" / "again").symlink_to(target)
    assert count(folder) == 6


def test_two_ways_to_one_folder_are_refused_since_its_images_would_count_twice(folder):
    (folder / "class3").symlink_to("class0")
    with pytest.raises(UserError, match=r"class0 and .*class3 are the same folder"):
        count(folder)


def test_folders_linked_into_each_other_end(folder):
    (folder / "class0" / "other").symlink_to("../class1")
    (folder / "class1" / "other").symlink_to("../class0")
    with pytest.raises(UserError, match="are the same folder"):
        count(folder)


@pytest.mark.parametrize("read", [read_set, lambda path: load_dataset(f"folder:{path}")])
@pytest.mark.parametrize("target", ["nowhere", "9.png"])
def test_a_link_to_nothing_is_named(folder, read, target):
    (folder / "class1" / "9.png").symlink_to(target)
    with pytest.raises(UserError, match=rf"class1/9\.png is a link to {target}, where nothing"):
        read(folder)


def test_a_dangling_part_is_named(folder):
    (folder / "train").symlink_to("nowhere")
    with pytest.raises(UserError, match="train is a link to nowhere"):
        count(folder)


def test_linked_parts_are_the_parts(folder):
    parts = folder.parent / "parts"
    parts.mkdir()
    (parts / "train").symlink_to(folder)
    (parts / "test").symlink_to(folder.parent / "store")
    data = load_dataset(f"folder:{parts}")
    assert (len(data.train) + len(data.validation), len(data.test)) == (6, 2)


def test_a_hidden_link_is_passed_over_as_a_hidden_file_is(folder):
    (folder / ".cache").symlink_to("nowhere")
    assert count(folder) == 6


def test_what_is_neither_file_nor_folder_is_named(folder):
    os.mkfifo(folder / "class0" / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png is neither a file nor a folder"):
        count(folder)


def test_a_folder_that_may_not_be_read_is_named(folder, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("class0"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="class0 cannot be read: Permission denied"):
        count(folder)

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from aebench.bench.data.dataset import DATASETS, divide, find_source, load_dataset
from aebench.bench.data.fashion_mini import PATH, FashionMini
from aebench.bench.data.source import Content, Part
from aebench.bench.errors import UserError
from aebench.models.registry import UnknownName

AT_HAND = [
    name
    for name, source in DATASETS.items()
    if ":" not in name and not source.downloadable and source.state().condition == "whole"
]


@pytest.mark.parametrize("name", AT_HAND)
@pytest.mark.parametrize("split", ["default", "aef"])
def test_a_data_set_at_hand_keeps_the_contract(name, split):
    data = load_dataset(name, split)
    source = find_source(name)
    kind = torch.float32 if data.default_space == "real" else torch.uint8
    shape = (1, 1, data.image_shape[1]) if data.form else data.image_shape
    for images, labels in (
        (data.train, data.train_labels),
        (data.validation, data.validation_labels),
        (data.test, data.test_labels),
    ):
        assert images.dtype == kind
        assert images.shape[1:] == shape
        assert data.image_shape == source.image_shape
        assert len(images) > 0
        assert labels is None or (labels.dtype == torch.int64 and len(labels) == len(images))
    assert (data.name, data.split) == (name, split)
    assert (data.form, data.preset == "sequence") == (source.form, data.form != "")
    assert data.preset in ("mnist", "cifar10", "celeba", "sequence")
    assert 0 < data.alpha < 0.5


@pytest.mark.parametrize("name", AT_HAND)
def test_a_data_set_at_hand_loads_the_same_each_time(name):
    first, second = load_dataset(name), load_dataset(name)
    assert torch.equal(first.train, second.train)
    assert first.digest == second.digest


def test_the_digest_tells_one_changed_pixel():
    data = load_dataset("digits")
    pixels = data.test.clone()
    pixels[3, 0, 2, 2] += 1
    assert dataclasses.replace(data, test=pixels).digest != data.digest


def test_the_two_splits_of_one_set_have_different_digests():
    assert load_dataset("digits").digest != load_dataset("digits", "aef").digest


def test_fashion_mini_has_the_stated_counts_with_balanced_classes():
    data = load_dataset("fashion-mini")
    for labels, each in (
        (data.train_labels, 900),
        (data.validation_labels, 100),
        (data.test_labels, 200),
    ):
        assert torch.bincount(labels).tolist() == [each] * 10
    assert len(set(data.train_labels[:50].tolist())) > 5
    assert (data.alpha, data.preset, data.native) == (1e-6, "mnist", True)


def test_fashion_mini_is_shipped_under_six_megabytes():
    assert PATH.stat().st_size < 6_000_000
    assert "Zalando" in (PATH.parent / "LICENSE-fashion-mnist").read_text()


def test_fashion_mini_is_what_the_script_says_of_the_full_set():
    source = find_source("fashion-mnist")
    if source.state().condition != "whole":
        pytest.skip("Fashion-MNIST is not installed")
    full = source.read()
    with np.load(PATH, allow_pickle=False) as arrays:
        for split, part in (
            ("train", full.train),
            ("validation", full.train),
            ("test", full.test),
        ):
            chosen = part.take(arrays[f"{split}_indices"])
            assert np.array_equal(chosen.images[:, 0], arrays[f"{split}_images"])
            assert np.array_equal(chosen.labels, arrays[f"{split}_labels"])
        indices = np.concatenate([arrays["train_indices"], arrays["validation_indices"]])
    assert len(np.unique(indices)) == 10_000


def test_a_changed_fashion_mini_is_refused(tmp_path):
    with np.load(PATH, allow_pickle=False) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    changed["test_images"][0, 0, 0] ^= 1
    path = tmp_path / "fashion-mini.npz"
    np.savez(path, **changed)
    with pytest.raises(UserError, match=r"fashion-mini\.npz holds content .*; expected cd7561b8"):
        FashionMini(path).read()


def test_digits_are_scaled_to_the_full_range():
    data = load_dataset("digits")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1200, 300, 297]
    assert int(data.train.min()) == 0
    assert int(data.train.max()) == 255
    assert set(data.train.unique().tolist()) == {round(v * 255 / 16) for v in range(17)}


def test_a_padded_view_has_a_frame_of_two_zero_pixels_and_is_not_native():
    view, native = load_dataset("fashion-mini-32"), load_dataset("fashion-mini")
    assert view.image_shape == (1, 32, 32)
    assert torch.equal(view.train[:, :, 2:30, 2:30], native.train)
    assert int(view.train.long().sum()) == int(native.train.long().sum())
    assert (view.native, native.native) == (False, True)


def test_the_split_aef_is_the_random_tenth_of_generator_seed_3():
    pool = load_dataset("digits")
    everything = torch.cat([pool.train, pool.validation])
    train, validation = torch.utils.data.random_split(
        range(1500), [1350, 150], generator=torch.Generator().manual_seed(3)
    )
    data = load_dataset("digits", "aef")
    assert torch.equal(data.train, everything[list(train)])
    assert torch.equal(data.validation, everything[list(validation)])


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (5, 1), (6, 1), (14, 1), (16, 2)])
def test_the_split_aef_of_a_few_images_holds_out_one_at_least(count, held_out):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None]
    parts = divide(Content(Part(images), Part(images)), "aef")
    assert [len(part.images) for part in parts] == [count - held_out, held_out, count]
    assert sorted(np.concatenate([p.images.ravel() for p in parts[:2]])) == list(range(count))


def test_the_split_aef_of_one_image_is_refused():
    part = Part(np.zeros((1, 1, 2, 2), np.uint8))
    with pytest.raises(UserError, match="There are 1 training images; expected over 1"):
        divide(Content(part, part), "aef")


def test_an_official_validation_part_is_kept_by_either_split():
    def part(value):
        return Part(np.full((2, 1, 2, 2), value, np.uint8))

    content = Content(part(1), part(3), part(2))
    for split in ("default", "aef"):
        assert [int(p.images[0, 0, 0, 0]) for p in divide(content, split)] == [1, 2, 3]


def test_holding_out_everything_is_refused():
    content = Content(Part(np.zeros((10, 1, 2, 2), np.uint8)), Part(np.zeros((1, 1, 2, 2))))
    with pytest.raises(UserError, match="There are 10 training images; expected over 10000"):
        divide(content, "default")


def test_an_unknown_data_set_gets_the_near_match_and_the_list():
    with pytest.raises(UnknownName, match=r"Did you mean 'fashion-mini'\? Known: .*npz:PATH"):
        load_dataset("fashion-mimi")


def test_an_unknown_scheme_gets_the_near_match():
    with pytest.raises(UnknownName, match="Did you mean 'folder:PATH'"):
        load_dataset("foldr:images")


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="'split' is 'random'; expected one of: default, aef"):
        load_dataset("digits", "random")


def test_listing_the_names_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from aebench.bench.data import DATASETS; DATASETS.names(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

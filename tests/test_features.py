"""The feature cache: hit by content, never trusted blindly."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.evaluation.features import cache_folder, content_key, extract
from aebench.bench.records import code
from aebench.metrics.extractor import build_extractor
from aebench.metrics.features.pixels import Pixels

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
OWN = """
from aebench.metrics.features.pixels import Pixels

class Own(Pixels):
    def embed(self, images):
        return {factor} * super().embed(images)
"""


class Counting(Pixels):
    """Pixels that count how often they are asked."""

    calls = 0

    def __call__(self, images, progress=None):
        type(self).calls += 1
        return super().__call__(images, progress)


@pytest.fixture
def extractor():
    Counting.calls = 0
    return Counting()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 1, 4, 4), generator=generator, dtype=torch.uint8)


def test_the_same_images_are_extracted_once(extractor, images, tmp_path):
    first = extract(images, extractor, tmp_path)
    done: list[int] = []
    second = extract(images.clone(), extractor, tmp_path, done.append)
    assert extractor.calls == 1
    assert done == [5]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, images.flatten(1).numpy() / 255, rtol=float32_slack(1))


def test_another_image_order_shape_or_extractor_is_another_entry(images):
    pixels = build_extractor("pixels")
    keys = [
        content_key(images, pixels),
        content_key(images.flip(0), pixels),
        content_key(images.reshape(5, 1, 2, 8), pixels),
        content_key(images, build_extractor("lite0@32")),
        content_key(images, build_extractor("lite0@64")),
    ]
    assert len(set(keys)) == len(keys)


def test_an_extractor_of_ones_own_that_was_edited_extracts_anew(images, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    means = []
    for factor in (1.0, 10.0):
        (tmp_path / "own_pixels.py").write_text(OWN.format(factor=factor))
        importlib.invalidate_caches()
        own = importlib.import_module("own_pixels").Own()
        means.append(float(extract(images, own, tmp_path / "cache").mean()))
        code._read.cache_clear()  # Each is what another process would find.
        del sys.modules["own_pixels"]
    assert means[1] == pytest.approx(10 * means[0], rel=float32_slack(1))


def test_an_extractor_that_was_reloaded_leaves_nothing_in_the_cache(images, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Both files are of one second.
    file, cache = tmp_path / "own_pixels.py", tmp_path / "cache"
    file.write_text(OWN.format(factor=1.0))
    module = importlib.import_module("own_pixels")
    first = extract(images[:2], module.Own(), cache)
    file.write_text(OWN.format(factor=10.0))
    importlib.reload(module)
    for some in (images[:2], images[2:]):
        plain = some.flatten(1).numpy() / 255
        found = extract(some, module.Own(), cache)
        np.testing.assert_allclose(found, 10 * plain, rtol=float32_slack(2))
    file.write_text(OWN.format(factor=1.0))
    importlib.reload(module)
    np.testing.assert_array_equal(extract(images[:2], module.Own(), cache), first)
    assert len([*cache.iterdir()]) == 1
    del sys.modules["own_pixels"]


def test_an_extractor_of_a_notebook_is_never_cached(images, tmp_path):
    for factor in (1.0, 10.0):
        cell = {"__name__": "cell_of_a_notebook"}
        exec(OWN.format(factor=factor), cell)
        first, second = (content_key(images, cell["Own"]()) for _ in range(2))
        assert first != second
        found = extract(images, cell["Own"](), tmp_path)
        np.testing.assert_allclose(
            found, factor * images.flatten(1).numpy() / 255, rtol=float32_slack(2)
        )
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "foreign"])
def test_a_damaged_file_is_computed_and_written_again(extractor, images, tmp_path, damage):
    expected = extract(images, extractor, tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    other = tmp_path / "elsewhere"
    extract(images.flip(0), Counting(), other)
    damaged = {
        "truncated": path.read_bytes()[:-7],
        "flipped": bytes(content),
        "emptied": b"",
        "foreign": next(other.iterdir()).read_bytes(),
    }
    path.write_bytes(damaged[damage])
    Counting.calls = 0
    np.testing.assert_array_equal(extract(images, extractor, tmp_path), expected)
    assert extractor.calls == 1
    np.testing.assert_array_equal(extract(images, extractor, tmp_path), expected)
    assert extractor.calls == 1


def test_a_cache_that_cannot_be_written_is_a_warning(extractor, images, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.warns(UserWarning, match="Features are not cached"):
        features = extract(images, extractor, blocked / "below")
    assert features.shape == (5, 16)


def test_the_environment_moves_the_cache(monkeypatch, tmp_path, extractor, images):
    monkeypatch.setenv("AEBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "features"
    extract(images, extractor)
    assert [path.suffix for path in Path(tmp_path / "features").iterdir()] == [".safetensors"]
    monkeypatch.delenv("AEBENCH_CACHE")
    assert cache_folder().parts[-2:] == ("aebench", "features")

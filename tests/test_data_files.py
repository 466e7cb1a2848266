import gzip
from http.client import IncompleteRead
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest
from aebench.bench.data import places
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.idx import IdxSource, download
from aebench.bench.errors import RunFailed, UserError

pytestmark = pytest.mark.usefixtures("root")


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


def test_a_folder_that_one_may_not_enter_is_passed_over(root, monkeypatch, lock):
    write_idx(places.cache_root() / "mnist")
    (root / "mnist").mkdir()
    (root / "MNIST" / "raw").mkdir(parents=True)
    lock(root / "mnist")  # It can be seen, but no file in it.
    lock(root / "MNIST")
    source = small()
    source.load()
    assert source.where() == str(places.cache_root() / "mnist")
    lock(root.parent / "private")
    monkeypatch.setenv("AEBENCH_DATA", str(root.parent / "private" / "data"))
    with pytest.raises(UserError, match=r"AEBENCH_DATA names '.*data'; expected an existing"):
        small().load()


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
    with pytest.raises(UserError, match=r"AEBENCH_DATA names '.*nowhere'; expected an existing"):
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


@pytest.mark.parametrize(
    "error",
    [IncompleteRead(b""), BadZipFile("no zip file"), type("GDown", (Exception,), {})("no")],
)
def test_whatever_a_library_raises_while_it_downloads_is_a_failed_download(error):
    def fail(folder):
        raise error

    with pytest.raises(RunFailed, match=r"^The download of 'mnist' failed: .*[^.]\.$"):
        download("mnist", "MNIST", fail)


@pytest.mark.parametrize("linked", ["elsewhere", "nothing"])
def test_a_download_takes_the_place_of_a_link_and_leaves_what_it_leads_to(linked, tmp_path):
    kept = tmp_path / "elsewhere" / "kept"
    kept.mkdir(parents=True)
    places.cache_root().mkdir(parents=True)
    (places.cache_root() / "MNIST").symlink_to(tmp_path / linked)
    download("mnist", "MNIST", lambda folder: write_idx(folder / "MNIST" / "raw"))
    assert len(small().load().train) == 15 and kept.is_dir()


def test_a_file_that_one_may_not_read_is_a_broken_set_of_which_another_copy_serves(
    root, monkeypatch
):
    write_idx(root / "mnist")
    read = Path.read_bytes

    def refuse(path):
        if path.is_relative_to(root):
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr("aebench.bench.data.idx.verify", lambda *_: None)
    source = small(archives={"train-images-idx3-ubyte.gz": "0" * 32})
    with pytest.raises(UserError, match=r"is not whole: .*ubyte\.gz cannot be read: Permission"):
        source.load()
    write_idx(places.cache_root() / "mnist")
    assert len(source.load().train) == 15


def test_a_download_replaces_a_broken_copy_and_is_found(root):
    broken = places.cache_root() / "MNIST" / "raw"
    broken.mkdir(parents=True)
    (broken / "train-images-idx3-ubyte.gz").write_bytes(b"part")
    download("mnist", "MNIST", lambda folder: write_idx(folder / "MNIST" / "raw"))
    assert len(small().load().train) == 15

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
import torch
from aebench.bench.files.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint
from aebench.bench.files.storage import canonical_json, remove_leftovers, write_atomically
from safetensors.torch import save_file

TENSORS = {
    "float": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "whole": torch.tensor(7),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "truth": torch.tensor([True, False]),
    "nothing": torch.zeros(0, 4),
}
RECORD = {"step": 3, "names": ["a", "b"], "loss": repr(float("inf"))}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, TENSORS, RECORD)
    return path


def test_a_checkpoint_gives_back_what_was_saved(path):
    tensors, record = load_checkpoint(path)
    assert {k: v for k, v in record.items() if k != "schema"} == RECORD
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)


def test_a_checkpoint_may_have_no_tensors(tmp_path):
    save_checkpoint(tmp_path / "empty", {}, RECORD)
    assert load_checkpoint(tmp_path / "empty")[0] == {}


def test_every_truncation_and_every_flipped_byte_is_detected(path):
    whole = path.read_bytes()
    for at in range(0, len(whole), 9):
        path.write_bytes(whole[:at])
        with pytest.raises(BadCheckpoint):
            load_checkpoint(path)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            tensors, record = load_checkpoint(path)
        except BadCheckpoint:
            continue
        # What a flip may leave valid is the padding of the header, nothing that is read.
        assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
        assert record["step"] == RECORD["step"]


def test_a_foreign_file_is_refused(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(2)}, foreign)
    with pytest.raises(BadCheckpoint, match="does not match its checksum"):
        load_checkpoint(foreign)
    torch.save({"weight": torch.ones(2)}, foreign)
    with pytest.raises(BadCheckpoint, match="not a whole checkpoint"):
        load_checkpoint(foreign)
    with pytest.raises(BadCheckpoint, match="not a whole checkpoint"):
        load_checkpoint(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    evil = tmp_path / "evil.safetensors"
    torch.save(Evil(), evil)
    with pytest.raises(BadCheckpoint):
        load_checkpoint(evil)
    assert not (tmp_path / "harm").exists()


def test_a_header_that_claims_an_absurd_size_is_refused_before_it_is_allocated(tmp_path):
    entry = {"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    header = json.dumps(entry).encode()
    path = tmp_path / "huge.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(BadCheckpoint, match="not a whole checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize(("record", "why"), [([], "not written by aebench"), ({}, "schema None")])
def test_a_record_that_is_not_ours_is_refused(tmp_path, record, why):
    import hashlib

    text = json.dumps(record)
    header = {"record": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    save_file({}, tmp_path / "forged", metadata=header)
    with pytest.raises(BadCheckpoint, match=why):
        load_checkpoint(tmp_path / "forged")


def test_another_schema_is_refused_with_what_helps(path, monkeypatch):
    monkeypatch.setattr("aebench.bench.files.checkpoint.SCHEMA", 99)
    with pytest.raises(BadCheckpoint, match=r"schema 1; expected 99. Remove it"):
        load_checkpoint(path)


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace", "os.fdopen"])
def test_a_full_disk_leaves_the_older_file_whole_and_nothing_beside_it(path, monkeypatch, failing):
    before = path.read_bytes()

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failing, full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, TENSORS, {"step": 4})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    script = (
        "import os, pathlib, sys\n"
        "from aebench.bench.files import storage\n"
        "storage.os.fsync = lambda file: os._exit(9)\n"
        "storage.write_atomically(pathlib.Path(sys.argv[1]), 'text')\n"
    )
    path = tmp_path / "rows.json"
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    live = tmp_path / left.name.replace(left.name.split("-")[1].split(".")[0], str(os.getpid()))
    live.write_text("")
    other = tmp_path / ".download.part"
    other.write_text("")
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {live, other}


def test_a_file_is_written_with_its_folder_and_readable_by_others(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, "text")
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o644


def test_canonical_json_does_not_depend_on_order_and_refuses_nan():
    assert canonical_json({"b": 1, "a": [1.0]}) == canonical_json({"a": [1.0], "b": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))

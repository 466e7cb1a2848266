"""``aebench init`` and the page on suite files: what they write is read, and runs."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli.init import backbone_for
from aebench.bench.cli.main import main
from aebench.bench.suites.suite import load_suite
from aebench.models.building import build
from PIL import Image

PAGE = Path(__file__).parents[1] / "docs" / "suites.md"


def photos(folder: Path, sizes: list[tuple[int, int]], count: int = 60) -> Path:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index in range(count):
        size = sizes[index % len(sizes)]
        image = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def test_a_folder_of_images_of_any_size_gets_a_suite_that_runs(tmp_path, monkeypatch, capsys):
    photos(tmp_path / "data" / "photos", [(20, 30), (33, 17)])
    monkeypatch.chdir(tmp_path)
    assert main(["init", "data/photos", "--out", "suites/mine.toml"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.endswith("'--size 32' brings images to one size.\n")
    assert main(["init", "data/photos", "--out", "suites/mine.toml", "--size", "16"]) == 0
    before = Path("suites/mine.toml").read_text(encoding="utf-8")
    assert 'dataset = "folder:../data/photos"   # 48 to train, 6 to validate, 6 to test' in before
    assert main(["init", "data/photos", "--out", "suites/mine.toml", "--size", "8"]) == 2
    assert Path("suites/mine.toml").read_text(encoding="utf-8") == before
    configs = load_suite("suites/mine.toml").configs
    assert len(configs) == 25 and {c.dataset for c in configs} == {
        "folder:suites/../data/photos@16"
    }
    words = ["--set", "scale=smoke", "--only", "objective=rae", "--device", "cpu", "--quiet"]
    assert main(["run", "suites/mine.toml", *words, "--set", "evaluation.images=6"]) == 0
    assert Path("results/mine-smoke/runs").is_dir()


def test_vectors_and_named_data_get_a_suite_whose_runs_are_accepted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", np.random.default_rng(0).normal(size=(400, 6)))
    for data, file in (("v.npy", "v.toml"), ("npz:v.npy", "w.toml"), ("digits", "digits.toml")):
        assert main(["init", data, "--out", file]) == 0
        for scale in ("smoke", "full"):
            assert main(["run", file, "--set", f"scale={scale}", "--dry-run"]) == 0
    capsys.readouterr()
    for words, told in (
        (["nodata"], "Unknown data set 'nodata'"),
        (["digits", "--size", "16"], "'data.size' is 16 and the data set 'digits'"),
        (["digits", "--size", "0"], "'--size' is 0; expected at least 1"),
        (["moses-mini"], "holds texts; copy"),
        (["./nodata"], "./nodata is not there; expected a folder of images"),
    ):
        assert main(["init", *words, "--out", "x.toml"]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
    assert not Path("x.toml").exists()


def test_data_whose_path_no_file_can_spell_in_utf_8_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = os.fsdecode(b"ph\xff.npy")
    np.save(path, np.random.default_rng(0).normal(size=(400, 6)))
    words = ["--set", f"dataset=npz:{path}", "backbone=mlp", "--only", "objective=ae", "--dry-run"]
    for command in (["init", path, "--out", "x.toml"], ["run", "quick", *words]):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert told == (
            "aebench: The name 'npz:ph\\udcff.npy' of a data set has bytes that are no UTF-8; "
            "expected a path that is. Rename its folders or files.\n"
        )
    assert not Path("x.toml").exists()


def test_names_that_toml_or_a_suite_cannot_have_as_they_are_are_written_so_that_it_runs(
    tmp_path, monkeypatch, capsys
):
    folder = photos(tmp_path / 'a "b" ü\\c', [(8, 8)], count=30)
    monkeypatch.chdir(tmp_path)
    for words, file in (
        ([folder.name], "a-b-ü-c.toml"),
        ([folder.name, "--out", "in one/other.toml"], "in one/other.toml"),
    ):
        assert main(["init", *words]) == 0
        told = capsys.readouterr().out
        command = shlex.split(told.partition("now: aebench ")[2])
        assert command[1] == file
        assert main([*command, "--dry-run"]) == 0
    monkeypatch.chdir(folder)
    assert main(["init", "."]) == 0
    assert Path("a-b-ü-c.toml").is_file()


def test_a_suite_that_could_not_run_is_not_written(tmp_path, monkeypatch, capsys):
    photos(tmp_path / "few", [(8, 8)], count=19)
    photos(tmp_path / "odd", [(8, 8)], count=20)
    Path(tmp_path / "odd" / "0.png").write_bytes(b"")
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    for words, expected in (
        (["file"], "file is not a folder, .npy or .npz, nor a file of molecules (.smi, "),
        (["few"], "folder:few has 1 image to test; expected 2 or more"),
        (["odd"], "0.png is not an image that can be read: cannot identify image file."),
        (["few", "--out", "two words.toml"], "is called 'two words'; expected a name of letters"),
        (["few", "--out", "file/x.toml"], "folder 'file' cannot be written; name another with --"),
    ):
        assert main(["init", *words]) == 2
        told = capsys.readouterr().err
        assert expected in told and told.count("\n") == 1 and "--size" not in told
    assert {path.name for path in tmp_path.iterdir()} == {"few", "odd", "file"}


@pytest.mark.parametrize("side", [4, 7, 8, 16, 28, 32, 48, 64, 96])
def test_the_network_that_is_named_takes_the_images(side):
    shape = (3, side, side)
    build("ae", backbone=backbone_for(shape), image_shape=shape, latent_dim=2, seed=0)


def test_the_suite_on_the_page_is_accepted_whole(tmp_path, monkeypatch):
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    photos(tmp_path / "photos", [(40, 50), (32, 32)], count=200)
    (tmp_path / "mine.toml").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert len(load_suite("mine.toml").configs) == 20
    for scale in ("smoke", "full"):
        assert main(["run", "mine.toml", "--set", f"scale={scale}", "--dry-run"]) == 0

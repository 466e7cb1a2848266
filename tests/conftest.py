"""Fixtures of the tests: an own cache, and small suites on scikit-learn's digits."""

from __future__ import annotations

import errno
import json
import os
from functools import partial
from pathlib import Path

import pytest

SUITE = """
title = "Small"
[training]
steps = 8
batch_size = 20
train_images = 100
validate_every = 4
[evaluation]
metrics = ["reconstruction"]
features = ["pixels"]
densities = ["gaussian"]
images = 20
sheet_images = 4
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 3
objective = ["ae", "vae"]
"""


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("AEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Returns the one folder in which data are looked for: empty, in the test's own folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("AEBENCH_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="session")
def suite_in():
    """Returns a function that writes the small suite into a folder, and returns its path."""

    def write(
        folder: Path, *replacements: tuple[str, str], name: str = "small", text: str = SUITE
    ) -> str:
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def suite_file(tmp_path, suite_in):
    """Returns a function that writes the small suite, with replacements, and returns its path."""
    return partial(suite_in, tmp_path)


@pytest.fixture
def lock(monkeypatch):
    """Returns a function that closes a folder as the system does to others than root."""
    closed: list[Path] = []
    stat, access = os.stat, os.access

    def look(path, **options):
        if not isinstance(path, int) and not {*Path(path).parents}.isdisjoint(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", look)
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) not in closed and access(p, mode))
    return closed.append


@pytest.fixture
def aebench(tmp_path, capsys):
    """Returns a function that runs a suite in this process: exit code and lines on stderr."""
    from aebench.bench.cli.main import main

    def run(suite: str, *arguments: str, out: Path | None = None) -> tuple[int, str]:
        folder = str(out or tmp_path / "out")
        given = ["run", suite, "--out", folder, "--device", "cpu", "--quiet", *arguments]
        if "--workers" not in arguments:
            given += ["--workers", "1"]
        capsys.readouterr()
        code = main(given)
        return code, capsys.readouterr().err

    return run


@pytest.fixture(scope="session")
def rows_in():
    """Returns a function that reads all rows of a folder, without what may differ by time."""

    def read(out: Path, *without: str) -> dict[str, list[dict[str, object]]]:
        dropped = ("date", "train_seconds", "compute_seconds", "commit", *without)
        found = {}
        for path in sorted(out.glob("runs/*/result.json")):
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            found[path.parent.name] = [
                {k: v for k, v in row.items() if k not in dropped} for row in rows
            ]
        return found

    return read

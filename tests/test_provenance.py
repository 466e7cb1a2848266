from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import version

import pytest
from aebench.bench.records import provenance


def git(folder, *words):
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def checked_out(folder):
    """Makes a checkout of a project and returns its commit."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return git(folder, "rev-parse", "--short=12", "HEAD")


@pytest.fixture
def clone(tmp_path):
    """A folder with sources as this project's lie in it."""
    for name in ("bench/records/provenance.py", "models/vae.py", "metrics/frechet.py"):
        path = tmp_path / "clone" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"# {name}\n")
    return tmp_path / "clone"


@pytest.fixture
def commit(monkeypatch):
    """Returns a function: the commit that code in one folder names, called from another."""

    def named(code, working):
        monkeypatch.setattr(provenance, "__file__", f"{code}/bench/records/provenance.py")
        monkeypatch.chdir(working)
        provenance.commit.cache_clear()
        return provenance.commit()

    yield named
    provenance.commit.cache_clear()


def test_the_commit_is_that_of_the_code_wherever_the_command_is_given(clone, commit, tmp_path):
    (tmp_path / "study").mkdir()
    shutil.copytree(clone, tmp_path / "study" / "other")
    assert commit(clone, tmp_path / "study") == ""
    (tmp_path / "study" / "other" / "models" / "vae.py").write_text("another")
    checked_out(tmp_path / "study" / "other")
    mine = checked_out(clone)
    for working in (clone / "bench", tmp_path / "study", tmp_path / "study" / "other"):
        assert commit(clone, working) == mine
    (clone / "models" / "vae.py").write_text("changed")
    assert commit(clone, tmp_path) == f"{mine}+"


def test_an_installed_copy_names_a_commit_only_in_a_checkout_with_the_same_sources(
    clone, commit, tmp_path
):
    shutil.copytree(clone, tmp_path / "project" / "site-packages" / "aebench")
    (tmp_path / "project" / "bench").mkdir()
    (tmp_path / "project" / "bench" / "train.py").write_text("of the user's own")
    copy = tmp_path / "project" / "site-packages" / "aebench"
    mine = checked_out(clone)
    git(tmp_path / "project", "init", "-q")
    git(tmp_path / "project", "add", "bench")
    git(tmp_path / "project", "commit", "-q", "-m", "one")
    assert commit(copy, tmp_path / "project") == commit(copy, tmp_path) == ""
    assert commit(copy, clone) == commit(copy, clone / "bench" / "records") == mine
    (clone / "README.md").write_text("no source")
    assert commit(copy, clone) == mine
    (clone / "metrics" / "new.py").write_text("a source that the copy lacks")
    assert commit(copy, clone) == ""


def test_there_is_no_commit_where_git_takes_too_long(clone, commit, monkeypatch):
    run = subprocess.run

    def slow(command, **options):
        if "status" in command:  # It looks at every file, of a slow disk perhaps.
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return run(command, **options)

    checked_out(clone)
    monkeypatch.setattr(subprocess, "run", slow)
    assert commit(clone, clone) == ""


def test_versions_name_the_libraries_that_decode_score_and_search_texts():
    found = json.loads(provenance.versions())
    assert found["rdkit"] == version("rdkit") and found["botorch"] == version("botorch")


def test_versions_name_python_and_torch():
    assert '"python":"3.' in provenance.versions() and '"torch":"' in provenance.versions()


def test_dates_are_utc_to_the_second():
    from datetime import datetime, timedelta

    age = datetime.now().astimezone() - datetime.fromisoformat(provenance.now())
    assert timedelta(seconds=-1) < age < timedelta(seconds=5)

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

from aebench.bench.records import provenance


def test_the_commit_is_empty_outside_a_checkout_of_this_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    provenance.commit.cache_clear()
    assert provenance.commit() == ""
    subprocess.run(["git", "init", "-q"], check=True)
    provenance.commit.cache_clear()
    assert provenance.commit() == ""
    provenance.commit.cache_clear()


def test_there_is_no_commit_where_git_takes_too_long(monkeypatch):
    run = subprocess.run

    def slow(command, **options):
        if "status" in command:  # It looks at every file, of a slow disk perhaps.
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return run(command, **options)

    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr(subprocess, "run", slow)
    provenance.commit.cache_clear()
    assert provenance.commit() == ""
    provenance.commit.cache_clear()


def test_versions_name_the_libraries_that_decode_score_and_search_texts():
    found = json.loads(provenance.versions())
    assert found["rdkit"] == version("rdkit") and found["botorch"] == version("botorch")


def test_versions_name_python_and_torch():
    assert '"python":"3.' in provenance.versions() and '"torch":"' in provenance.versions()


def test_dates_are_utc_to_the_second():
    from datetime import datetime, timedelta

    age = datetime.now().astimezone() - datetime.fromisoformat(provenance.now())
    assert timedelta(seconds=-1) < age < timedelta(seconds=5)

"""`aebench check` on runs that the code of today would not train or score so."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from aebench.bench import run
from aebench.bench.cli.main import main
from aebench.bench.evaluation import identity
from aebench.bench.records import code
from aebench.bench.regression import exact
from aebench.bench.regression.check import read_pair, update_baseline
from aebench.bench.runs import plugins
from aebench.models import OBJECTIVES

SUITE = """
dataset = "digits"
backbone = "tiny"
latent_dim = 2
objective = "guarded"
seed = [0, 1]
[training]
steps = 2
batch_size = 20
train_images = 40
[evaluation]
metrics = ["reconstruction"]
features = ["pixels"]
densities = []
images = 20
[[runs]]
"""
OBJECTIVE = """
from aebench.models import OBJECTIVES, Objective

@OBJECTIVES.register("guarded")
class Guarded(Objective):
    def terms(self, x, generator):
        return {"distortion": (x - self.mean(self.code(x))).square().flatten(1).sum(1)}
"""
OTHER = "2 of 2 runs in '{}' are of other code than today's"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A folder with an objective of one's own, its results, and a baseline of these."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "suite.toml").write_text(SUITE)
    (folder / "guarded.py").write_text(OBJECTIVE)
    (folder / "baseline").mkdir()
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.savez(folder / "baseline" / "features.npz", codes=codes)
    with pytest.MonkeyPatch.context() as patch, as_another_process(patch):
        run(folder / "suite.toml", plugins=[folder / "guarded.py"], out=folder / "results")
        written = update_baseline(folder / "results", folder / "baseline", "the first")
    assert not any("today's" in note for note in written.notes)
    return folder


@pytest.fixture
def guard(guarded, tmp_path, monkeypatch):
    """A copy of that folder as the working folder, its objective loaded."""
    shutil.copytree(guarded, tmp_path / "guard")
    monkeypatch.chdir(tmp_path / "guard")
    with as_another_process(monkeypatch):
        plugins.load_plugins([Path("guarded.py")])
        yield Path.cwd()


@contextmanager
def as_another_process(patch):
    """Knows no plug-in at first, and in the end no more of what it has loaded."""
    OBJECTIVES.names()
    patch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    patch.setattr(plugins, "_LOADED", {})
    patch.setattr(exact, "split_digests", lambda names: ({}, []))
    code._read.cache_clear()
    yield
    sys.modules.pop("guarded", None)
    code._read.cache_clear()


def notes_of(folder):
    pair = read_pair(folder / "results", folder / "baseline")
    outcome = pair.check()
    assert not outcome.is_regression  # Two folders of older code are compared all the same.
    return [note for note in outcome.notes if "today's" in note]


def test_a_check_and_a_new_baseline_say_in_a_line_that_the_runs_are_of_older_training_code(guard):
    assert notes_of(guard) == []
    (guard / "guarded.py").write_text(OBJECTIVE.replace("square()", "abs()"))
    code._read.cache_clear()  # What another process would find.
    (told,) = notes_of(guard)
    assert told.startswith(OTHER.format(guard / "results")) and "--rerun-stale" in told
    again = update_baseline(guard / "results", guard / "baseline", "the same again")
    assert told in again.notes


def test_a_check_says_that_the_runs_were_scored_by_other_code(guard, monkeypatch):
    own = identity.evaluation_code
    monkeypatch.setattr(identity, "evaluation_code", lambda *a, **k: own(*a, **k) + "x")
    (told,) = notes_of(guard)
    assert told.startswith(OTHER.format(guard / "results"))


def test_a_check_says_of_an_own_objective_only_with_its_plugin_that_it_is_older(
    guard, capsys, monkeypatch
):
    for path in guard.glob("results/runs/*/result.json"):
        document = json.loads(path.read_text())
        if "training_code" in document["origin"]:
            document["origin"]["training_code"] = "2-0123456789abcdef"
            path.write_text(json.dumps(document))
    del OBJECTIVES._entries["guarded"]
    monkeypatch.setattr(plugins, "_LOADED", {})
    monkeypatch.delitem(sys.modules, "guarded")
    words = ["check", "results", "--against", "baseline"]
    assert main(words) == 0
    assert "today's" not in capsys.readouterr().out
    assert main([*words, "--plugin", "guarded.py"]) == 0
    assert OTHER.format("results") in capsys.readouterr().out

"""The guard for other people's CI: the action's script, and the fixture of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from aebench.bench import UserError, run
from aebench.bench.python.pytest_plugin import aebench_guard  # noqa: F401  A fixture.
from aebench.bench.regression.check import read_pair, update_baseline

ROOT = Path(__file__).parent.parent
ACTION = ROOT / "examples" / "github-actions"
SUITE = """
dataset = "npz:FOLDER/images.npz"
backbone = "tiny"
latent_dim = 3
[training]
steps = 8
batch_size = 20
train_images = 100
[evaluation]
metrics = ["reconstruction"]
features = ["pixels"]
densities = []
images = 20
[[runs]]
objective = ["ae"]
"""
COMMAND = """#!/bin/sh
exec '{}' -c '
import os
from aebench.bench.cli.main import main
from aebench.models import Objective
decode = Objective.decode
if os.environ.get("WORSE"):
    Objective.decode = lambda self, z: 0 * decode(self, z) + 1
raise SystemExit(main())' "$@"
"""
TESTS = """
from pathlib import Path
HERE = Path(__file__).parent
OPTIONS = {"seeds": [5, 6], "progress": False}

def test_the_same(aebench_guard):
    told = aebench_guard(HERE / "suite.toml", HERE / "baseline", **OPTIONS)
    assert "Regression check: passed" in told

def test_worse(aebench_guard):
    settings = {"training.learning_rate": 1e30}
    aebench_guard(HERE / "suite.toml", HERE / "baseline", settings=settings, **OPTIONS)
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A folder with a suite, its baseline of two seeds, and tests that use the fixture."""
    folder = tmp_path_factory.mktemp("repository")
    # Not digits, for which each process would import scikit-learn.
    draw, sizes = np.random.default_rng(1), {"train": 100, "validation": 30, "test": 30}
    images = {k: draw.integers(0, 256, (n, 1, 8, 8), np.uint8) for k, n in sizes.items()}
    np.savez(folder / "images.npz", **images)
    (folder / "suite.toml").write_text(SUITE.replace("FOLDER", str(folder)), encoding="utf-8")
    (folder / "test_guard.py").write_text(TESTS, encoding="utf-8")
    # Few of the exact values, which are tested elsewhere and take seconds.
    (folder / "baseline").mkdir()
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.savez(folder / "baseline" / "features.npz", codes=codes)
    run(folder / "suite.toml", seeds=[0, 1], out=folder / "first", progress=False)
    update_baseline(folder / "first", folder / "baseline", "the first one")
    (folder / "bin").mkdir()
    command = folder / "bin" / "aebench"
    command.write_text(COMMAND.format(sys.executable), encoding="utf-8")
    command.chmod(0o755)
    return folder


def guard(repository, *words, **variables):
    summary = repository / "summary.md"
    summary.write_text("", encoding="utf-8")
    path = f"{repository / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(ACTION / "guard.sh"), *words],
        capture_output=True,
        text=True,
        cwd=repository,
        env={**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(summary), **variables},
    )
    return done, summary.read_text(encoding="utf-8")


@pytest.mark.long
def test_the_script_passes_other_seeds_and_its_summary_is_the_comparison(repository):
    done, summary = guard(repository, "suite.toml", "baseline", "--seeds", "5,6", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "## What this check can see" in summary
    assert "## Regression check: passed" in summary and summary in done.stdout


def test_the_script_fails_where_a_model_got_worse_and_its_summary_says_which(repository):
    words = ("suite.toml", "baseline", "--seeds", "5,6", "--workers", "1")
    done, summary = guard(repository, *words, WORSE="yes")
    assert done.returncode == 1
    assert "## Regression check: FAILED" in summary and "Scores that got worse" in summary
    assert "images.npz ae d = 3 test mse" in summary


def test_a_check_says_that_own_data_stand_under_another_spelling_of_their_path(
    repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(repository)
    settings = {"dataset": "npz:images.npz"}
    run("suite.toml", seeds=[0], out=tmp_path / "other", settings=settings, progress=False)
    missing = read_pair(tmp_path / "other", repository / "baseline").trained.missing
    assert missing and all("under the name 'npz:images.npz'" in each.why for each in missing)
    other = {**settings, "training.learning_rate": 0.5}
    run("suite.toml", seeds=[0], out=tmp_path / "more", settings=other, progress=False)
    missing = read_pair(tmp_path / "more", repository / "baseline").trained.missing
    assert not any("name" in each.why for each in missing if " ae " in each.model)


def test_the_script_passes_on_what_the_user_gave_wrong(repository):
    done, summary = guard(repository, "nothing.toml", "baseline")
    assert done.returncode == 2 and "'nothing.toml' cannot be read" in done.stderr
    assert not summary and "Traceback" not in done.stderr


@pytest.mark.parametrize(("run_code", "code"), [(0, 0), (1, 1), (2, 2)])
def test_the_script_says_in_its_summary_that_a_run_failed_or_diverged(tmp_path, run_code, code):
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "aebench"
    command.write_text(f'#!/bin/sh\n[ "$1" != run ] || exit {run_code}\necho "Check: passed"\n')
    command.chmod(0o755)
    done, summary = guard(tmp_path, "suite.toml", "baseline")
    assert done.returncode == code
    assert ("Check: passed" in summary) == (code < 2)
    assert ("A run failed or diverged" in summary) == (code == 1)


def test_the_action_hands_its_inputs_to_the_script_and_to_no_shell():
    action = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    steps = action["runs"]["steps"]
    assert action["runs"]["using"] == "composite"
    assert "$GITHUB_ACTION_PATH/guard.sh" in steps[-1]["run"]
    assert not any("${{" in step["run"] for step in steps)
    used = {value for step in steps for value in step["env"].values()}
    assert used == {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}
    workflow = yaml.safe_load((ACTION / "workflow.yml").read_text(encoding="utf-8"))
    given = workflow["jobs"]["guard"]["steps"][-1]["with"]
    required = {name for name, each in action["inputs"].items() if each.get("required")}
    assert required <= set(given) <= set(action["inputs"])


@pytest.mark.long
def test_the_fixture_that_the_wheel_announces_passes_and_fails_as_the_script_does(repository):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (plugin,) = project["entry-points"]["pytest11"].values()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", plugin, "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=repository,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_guard.py::test_worse" in done.stdout
    assert "## Regression check: FAILED" in done.stdout and "Traceback" not in done.stdout


def test_the_fixture_tells_of_a_missing_baseline_before_the_long_work(
    aebench_guard,  # noqa: F811
    tmp_path,
):
    with pytest.raises(UserError, match=r"No baseline at '.*absent'"):
        aebench_guard("no-such-suite", tmp_path / "absent")


def test_the_plugin_loads_no_heavy_library_into_everybodys_tests():
    program = (
        "import sys, aebench.bench.python.pytest_plugin\n"
        "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

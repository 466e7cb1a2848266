"""A model of another package: built, installed, found, trained and reported."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.comparison.labels import REFERENCES
from aebench.bench.evaluation.identity import weights_digest
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.records.results import read_results, write_results
from aebench.bench.suites.suite import load_suite
from aebench.models import build
from aebench.models.objectives.objective import OBJECTIVES

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "dip-vae"
BASELINE = Path(__file__).parent / "baseline"
FLAT_WHEEL = Path(__file__).parent / "golden" / "aebench_dip_vae-0.1.0-py3-none-any.whl"
OLD_NAME = """
import sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from aebench.models.vae import VAE
print(str(caught[0].message).partition(";")[0])
"""
CALLS = """
from aebench.bench.cli.main import main
for arguments in {}:
    assert main(arguments) == 0, arguments
"""
LAWS = """
import pytest
print("The laws:")
pytest.main(["-q", "-p", "no:cacheprovider", {!r}, "-k", {!r}])
"""
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
NAMES = ("dip-vae-i", "dip-vae-ii")
SUITE = (str(BASELINE / "regression.toml"), "--seeds", "0", "--workers", "1")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the example's wheel is installed into."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(EXAMPLE, folder / "source")
    pip("wheel", "--no-deps", "--wheel-dir", folder / "wheels", source)
    return install(next((folder / "wheels").glob("*.whl")), folder / "target")


@pytest.fixture(scope="module")
def run_python(installed, tmp_path_factory):
    """Runs Python with the example installed, outside the checkout, and returns its stdout."""
    return runner(installed, tmp_path_factory.mktemp("elsewhere"))


def pip(command, *arguments):
    offline = ["--no-build-isolation", "--no-index"]
    words = [sys.executable, "-m", "pip", "--disable-pip-version-check", command, *offline]
    done = subprocess.run([*words, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def install(wheel, target):
    pip("install", "--no-deps", "--target", target, wheel)
    return target


def runner(installed, folder):
    before = [path for path in [os.environ.get("PYTHONPATH")] if path]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *before])},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def example(installed, monkeypatch):
    """The installed module, in this process; its objectives are forgotten after the test."""
    OBJECTIVES.names()
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.delitem(sys.modules, "aebench_dip_vae", raising=False)
    module = importlib.import_module("aebench_dip_vae")
    assert Path(module.__file__).parent == installed
    yield module
    del sys.modules["aebench_dip_vae"]


@pytest.mark.long
def test_a_wheel_built_for_the_flat_layout_runs_unchanged(tmp_path):
    with zipfile.ZipFile(FLAT_WHEEL) as wheel:  # As pip would lay its files out.
        wheel.extractall(tmp_path / "target")
    run, out = runner(tmp_path / "target", tmp_path), tmp_path / "out"
    listed = ["list", "objectives"]
    few = ["--set", "training.steps=15", "training.validate_every=15"]
    trained = ["run", *SUITE, *few, "--only", "objective=dip-vae-i", "--out", str(out), "--quiet"]
    said, _, names = run("-c", OLD_NAME + CALLS.format([listed, trained])).partition("\n")
    assert said == "'aebench.models.vae' is now 'aebench.models.objectives.vae'"
    assert {name for name in NAMES if name in names} == set(NAMES)
    rows = read_results(out).rows
    found = rows[rows["objective"] == "dip-vae-i"]
    assert len(found) > 10 and (found["status"] != "failed").all()


def covariance_term(name, mu, log_sigma, **options):
    """Returns the objective's covariance term where its encoder gives these codes."""
    shape = (1, 8, 8)
    model = build(name, backbone="tiny", image_shape=shape, latent_dim=mu.shape[1], **options)
    model = model.to(mu)
    model.posterior = lambda x: (mu, log_sigma)
    terms = model.terms(torch.rand(len(mu), *shape).to(mu), torch.Generator().manual_seed(0))
    assert set(terms) == {"distortion", "rate", "covariance"}
    return terms["covariance"]


@pytest.fixture(scope="module")
def beside_others(run_python, tmp_path_factory):
    """The folder of one of them, trained beside stored rows; what the commands and laws said."""
    folder = tmp_path_factory.mktemp("beside")
    rows = read_results(BASELINE).rows
    others = rows["objective"].isin(["vae", "wae-mmd", "rae-gp"]) & (rows["space"] == "unit")
    write_results(folder / "results.csv", rows[others & (rows["seed"] == 0)])
    shutil.copy(folder / "results.csv", folder / "before.csv")
    chosen = ["--only", "objective=dip-vae-ii", "--out", str(folder), "--quiet"]
    report = ["report", str(folder), "--cards"]
    calls = [["list", "objectives"], ["run", *SUITE, *chosen], report]
    laws = str(Path(__file__).with_name("test_objective_laws.py"))
    held = LAWS.format(laws, "dip-vae or backbones_have_the_same or structure_hash")
    listed, _, said = run_python("-c", CALLS.format(calls) + held).partition("The laws:\n")
    return folder, listed, said


def test_the_installed_objectives_are_listed(beside_others):
    _, listed, _ = beside_others
    for name in NAMES:
        assert re.search(rf"^{name} +VAE \+ penalty", listed, re.MULTILINE)
    assert not set(NAMES) & set(OBJECTIVES.names())


def test_every_law_of_the_registry_holds_for_them(beside_others):
    _, _, said = beside_others
    passed = int(re.search(r"(\d+) passed", said).group(1))
    assert passed >= 2 * 15 and "failed" not in said


def test_one_of_them_is_trained_alone_and_reported_beside_stored_rows(beside_others):
    folder, _, _ = beside_others
    runs = [p for p in (folder / "runs").iterdir() if (p / "checkpoint.safetensors").is_file()]
    assert len(runs) == 1
    stored, after = (
        set((folder / name).read_text(encoding="utf-8").splitlines())
        for name in ("before.csv", "results.csv")
    )
    assert stored < after
    found = read_results(folder).rows
    added = found[~found["run"].isin(read_results(BASELINE).rows["run"])]
    assert set(added["objective"]) - set(REFERENCES) == {"dip-vae-ii"}
    table = (folder / "tables" / "fd.md").read_text(encoding="utf-8")
    methods = re.findall(r"^\| ([\w-]+)", table, re.MULTILINE)
    assert {"vae", "wae-mmd", "rae-gp", "dip-vae-ii"} <= set(methods)
    card = next((folder / "cards").glob("dip-vae-ii*.md")).read_text(encoding="utf-8")
    weights = load_checkpoint(runs[0] / "checkpoint.safetensors")[0]
    assert weights_digest(weights) in card


@pytest.mark.parametrize("name", NAMES)
def test_the_penalty_is_the_weighted_distance_of_the_covariance_from_one(example, name):
    draw = np.random.default_rng(3)
    mu, log_sigma = draw.normal(size=(40, 3)) @ draw.normal(size=(3, 3)), draw.normal(size=(40, 3))
    expected = np.cov(mu, rowvar=False, bias=True)
    if name == "dip-vae-ii":
        expected = expected + np.diag(np.mean(np.exp(log_sigma) ** 2, axis=0))
    off = sum(expected[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    on = sum((expected[i, i] - 1) ** 2 for i in range(3))
    options = {"beta": 0.5, "off_diagonal": 2.0, "diagonal": 7.0}
    found = covariance_term(name, torch.tensor(mu), torch.tensor(log_sigma), **options)
    assert found.shape == (40,)
    assert found[0].item() == pytest.approx(0.5 * (2.0 * off + 7.0 * on), rel=1e-9)


def test_codes_of_unit_covariance_cost_nothing_and_the_noise_counts_in_the_second(example):
    corners = torch.tensor([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    sharp, noisy = torch.full((4, 2), -40.0), torch.full((4, 2), 0.5).log()
    assert covariance_term("dip-vae-i", corners, noisy)[0].item() == pytest.approx(0, abs=1e-9)
    assert covariance_term("dip-vae-ii", corners, sharp)[0].item() == pytest.approx(0, abs=1e-9)
    shrunk = 0.75**0.5 * corners
    assert covariance_term("dip-vae-ii", shrunk, noisy)[0].item() == pytest.approx(0, abs=1e-6)
    first = covariance_term("dip-vae-i", shrunk, noisy, beta=1.0, off_diagonal=1.0)
    # A variance of 0.75, rounded five times, is taken from 1 and squared.
    rel = 2 * TOLERANCES["float32_slack"](0.75, 5) / 0.25
    assert first[0].item() == pytest.approx(10 * 2 * 0.25**2, rel=rel)


def test_a_negative_weight_is_refused(example):
    sizes = {"backbone": "tiny", "image_shape": (1, 8, 8), "latent_dim": 2}
    with pytest.raises(ValueError, match=r"'diagonal' is -1\.0; expected at least 0"):
        build("dip-vae-i", **sizes, diagonal=-1.0)


def test_the_suite_of_the_example_is_whole_and_its_code_is_small(example):
    suite = load_suite(str(EXAMPLE / "suite.toml"))
    assert {config.objective for config in suite.configs} == {"vae", *NAMES}
    assert len(suite.configs) == 15
    for config in suite.configs:
        OBJECTIVES.get(config.objective)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["aebench.models"] == {"dip-vae": "aebench_dip_vae"}
    sources = [path for path in EXAMPLE.rglob("*.py")]
    assert sum(len(p.read_text(encoding="utf-8").splitlines()) for p in sources) <= 150

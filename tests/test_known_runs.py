"""A study goes on where its committed rows, arrays and record stop, on any machine."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.cli.main import main
from aebench.bench.comparison.labels import REFERENCES
from aebench.bench.data.dataset import find_source
from aebench.bench.evaluation import identity as evaluation_identity
from aebench.bench.pages import report
from aebench.bench.pages.report import build_report
from aebench.bench.records.code import training_code
from aebench.bench.records.equivalence import same_scores, same_training_code
from aebench.bench.records.figure_file import COMMITTED, read_figures
from aebench.bench.records.per_image import read_file, write_per_image
from aebench.bench.records.results import read_results, records_of, write_results
from aebench.bench.records.trainings import read_trainings, rows_by_run
from aebench.bench.runs import runner
from aebench.bench.runs.known import KnownRows
from aebench.bench.suites.schema import SCALES
from aebench.bench.suites.suite import load_suite
from aebench.models import build

SUITE = """
title = "Study"
[training]
steps = 8
batch_size = 20
train_images = 100
validate_every = 4
[evaluation]
metrics = ["reconstruction", "prd"]
features = ["pixels"]
densities = ["prior", "gaussian"]
images = 20
sheet_images = 4
likelihood_images = 3
likelihood_samples = 4
likelihood_validation_images = 8
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 2
objective = ["ae", "vae"]
"""
KEPT = ("arrays", "results.csv", "results.csv.sha256", "recipes.json", "trainings.json")


def content(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}
    return {name: text for name, text in found.items() if not name.startswith(("runs/", "asked/"))}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Returns the suite's file, and the folder of a whole study with its runs and its report."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(SUITE)
    given = ["run", str(folder / "study.toml"), "--out", str(folder / "out")]
    assert main([*given, "--device", "cpu", "--workers", "1", "--quiet"]) == 0
    build_report(folder / "out", cards=True)
    return folder / "study.toml", folder / "out"


@pytest.fixture
def clone(study, tmp_path):
    """Returns a folder that holds what is committed of the study, and no run."""
    for name in KEPT:
        source, target = study[1] / name, tmp_path / "clone" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return tmp_path / "clone"


@pytest.fixture
def go_on(study, clone, aebench):
    """Returns a function that runs the study, or another suite, in the clone."""

    def run(*arguments: str, suite: str | None = None) -> tuple[int, str]:
        return aebench(suite or str(study[0]), *arguments, out=clone)

    return run


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr(report, "write_figures", lambda rows, runs, folder: [])


@pytest.fixture
def altered(suite_in, tmp_path):
    """Returns a function that writes the study's suite with replacements, and returns its path."""
    return partial(suite_in, tmp_path, name="study", text=SUITE)


def test_a_clone_without_runs_trains_nothing_and_makes_no_directory(clone, go_on):
    before = content(clone)
    code, told = go_on("--workers", "2")
    assert code == 0 and "aebench: suite 'study': 2 known by their rows in " in told
    assert not (clone / "runs").exists() and content(clone) == before


def test_a_report_of_a_clone_gives_the_same_bytes_as_one_where_the_runs_are(study, clone):
    whole = content(study[1])
    (clone / "cards").mkdir()
    build_report(clone)
    assert {"plots/sheet.png", "plots/training.pdf", "plots/latent.png"} < whole.keys()
    assert content(clone) == whole


def test_arrays_that_are_lost_on_one_machine_draw_no_figure(study, clone):
    (clone / COMMITTED).unlink()
    build_report(clone)
    assert not list(clone.glob("plots/sheet*")) and list(study[1].glob("plots/sheet*"))


def test_what_is_missing_is_trained_and_a_report_joins_both(
    study, clone, go_on, altered, no_plots
):
    more = altered(('["ae", "vae"]', '["ae", "vae", "rae-l2"]'))
    code, told = go_on(suite=more)
    assert code == 0 and "2 known by their rows, 1 trained" in told
    build_report(clone)
    rows = read_results(clone).rows
    old = read_results(study[1]).rows
    assert set(rows["objective"]) == {*REFERENCES, "ae", "vae", "rae-l2"}
    kept = rows[rows["run"].isin(set(old["run"]))].reset_index(drop=True)
    assert kept.equals(old)
    shutil.rmtree(clone / "runs")
    assert "3 known by their rows" in go_on(suite=more)[1]
    assert len(read_figures(clone / COMMITTED)) == 3


def test_a_run_that_left_the_rows_leaves_the_arrays_and_the_record(clone, no_plots):
    rows, lost = read_results(clone).rows, min(read_figures(clone / COMMITTED))
    write_results(clone / "results.csv", rows[rows["run"] != lost])
    build_report(clone)
    assert lost not in read_figures(clone / COMMITTED) and lost not in read_trainings(clone)


RESULTS = Path(__file__).parent.parent / "results"


@pytest.mark.parametrize(
    "record", sorted(RESULTS.glob("*/trainings.json")), ids=lambda path: path.parent.name
)
def test_every_run_on_record_in_committed_results_is_known_by_its_rows(record, tmp_path):
    for name in KEPT:
        source = record.parent / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    known = KnownRows(tmp_path)
    runs = [run for run in read_trainings(tmp_path) if known.origin(run)]
    assert not known.doubts and len(runs) > 3


@pytest.mark.parametrize(
    "record", sorted(RESULTS.glob("*/trainings.json")), ids=lambda path: path.parent.name
)
def test_committed_runs_are_what_todays_code_would_train_and_score(record):
    # If not, `aebench check ... --equivalent` records that a change kept all numbers, shown by the
    # suites in scripts/equivalence; where it did not, the study is run again.
    rows = rows_by_run(records_of(read_results(record.parent).rows))
    found = {run: own for run, own in read_trainings(record.parent).items() if own["weights"]}
    names = {(own[0]["suite"], own[0]["scale"]) for run, own in rows.items() if run in found}
    configs = {
        config.digest: config
        for suite, scale in sorted(names)
        for config in load_suite(
            suite, settings={"scale": scale} if scale in SCALES else {}
        ).configs
    }
    assert set(found) <= set(configs)
    scored, trained = [], {}
    for run, own in found.items():
        config, row = configs[run], rows[run][0]
        code = evaluation_identity.evaluation_identity(config.evaluation, own["data"])["code"]
        then = own["evaluation"]
        scored.append(same_scores(then["code"], code, rows[run], then["settings"]))
        trained[config.objective, row["space"], config.backbone, own["training_code"]] = run
    assert all(scored), f"{scored.count(False)} of {len(scored)} runs were scored by other code"
    for (objective, space, backbone, code), run in trained.items():
        row = rows[run][0]
        model = build(
            objective,
            backbone=backbone,
            image_shape=tuple(map(int, row["image_shape"].split("x"))),
            latent_dim=row["latent_dim"],
            space=space,
            form=find_source(row["dataset"]).form,
            backbone_options=configs[run].backbone_options,
            **configs[run].options,
        )
        assert same_training_code(code, training_code(model, model.backbone, model.space)), run


def test_retrain_declines_what_is_known(clone, go_on):
    code, told = go_on("--retrain", "--only", "objective=ae")
    assert code == 0 and "1 trained" in told
    assert "1 complete" in go_on("--only", "objective=ae")[1]


def test_other_training_code_is_stale_until_it_is_trained_again(clone, go_on, monkeypatch):
    before = content(clone)
    digest = runner.training_code
    monkeypatch.setattr(runner, "training_code", lambda *parts: digest(*parts) + "x")
    code, told = go_on()
    assert code == 0 and "2 stale in " in told and "--rerun-stale trains them again" in told
    assert not (clone / "runs").exists() and content(clone) == before
    assert "1 trained" in go_on("--rerun-stale", "--only", "objective=ae")[1]


def test_other_data_are_refused_until_it_is_trained_again(clone, go_on, monkeypatch):
    from aebench.bench.runs import floor, preflight

    data = runner.dataset("digits", "default")
    other = dataclasses.replace(data, validation=data.validation.flip(0))
    for module in (runner, floor, preflight):
        monkeypatch.setattr(module, "dataset", lambda name, split: other)
    code, told = go_on()
    assert code == 2 and "results.csv was trained on another data than is here now" in told
    assert not (clone / "runs").exists()
    assert "1 trained" in go_on("--rerun-stale", "--only", "objective=ae")[1]


@pytest.mark.parametrize("change", ["settings", "code"])
def test_another_evaluation_needs_the_weights(clone, go_on, altered, monkeypatch, change):
    before, suite = content(clone), None
    if change == "settings":
        suite = altered(("likelihood_samples = 4", "likelihood_samples = 5"))
    else:
        own = evaluation_identity.evaluation_code
        monkeypatch.setattr(
            evaluation_identity,
            "evaluation_code",
            lambda *given, **named: own(*given, **named) + "x",
        )
    code, told = go_on(suite=suite)
    assert code == 0 and "2 stale (needs their weights)" in told
    assert "scores of 2 runs are by other code, settings or weights of an extractor" in told
    assert content(clone) == before and not (clone / "runs").exists()
    assert "1 trained" in go_on("--rerun-stale", "--only", "objective=ae", suite=suite)[1]
    # References have no likelihood, so that its settings are nothing to them.
    assert bool(list(clone.glob("runs/floor-*"))) == (change == "code")


def test_more_scores_need_the_weights_and_fewer_do_not(go_on, altered):
    fewer = altered(('["reconstruction", "prd"]', '["prd"]'))
    assert "2 known by their rows" in go_on(suite=fewer)[1]
    more = altered(('"prd"]', '"prd", "frechet"]'))
    assert "2 stale (needs their weights)" in go_on(suite=more)[1]


def edit_rows(clone):
    path = clone / "results.csv"
    path.write_text(path.read_text().replace(",gaussian,", ",gmm-99,", 1))


def cut_rows(clone):
    path = clone / "results.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    (clone / "results.csv.sha256").unlink()


def lose_rows(clone):
    (clone / "results.csv").unlink()


def mark_conflict(clone):
    path = clone / "results.csv"
    path.write_text(f"<<<<<<< ours\n{path.read_text()}=======\n>>>>>>> theirs\n")


def lose_record(clone):
    (clone / "trainings.json").unlink()


def edit_record(clone):
    path = clone / "trainings.json"
    path.write_text(path.read_text().replace('"steps": 8', '"steps": 9', 1))


def cut_arrays(clone):
    path = clone / COMMITTED
    path.write_bytes(path.read_bytes()[:-200])


def lose_arrays(clone):
    (clone / COMMITTED).unlink()


def swap_pictures(clone):
    with np.load(clone / COMMITTED) as stored:
        arrays = dict(stored)
    arrays["places"] = arrays["places"][::-1]
    np.savez(clone / COMMITTED, **arrays)


def lose_likelihoods(clone):
    (clone / "arrays" / "likelihoods.npz").unlink()


DAMAGES = (
    *(edit_rows, cut_rows, lose_rows, mark_conflict, lose_record, edit_record, cut_arrays),
    *(lose_arrays, swap_pictures, lose_likelihoods),
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_not_known_and_said_once(clone, damage, study):
    runs = {p.name for p in (study[1] / "runs").iterdir() if not p.name.startswith("floor")}
    whole = KnownRows(clone)
    assert all(whole.origin(run) for run in runs) and not whole.doubts
    damage(clone)
    known = KnownRows(clone)
    lost = {run for run in runs if known.origin(run) is None}
    assert lost and lost == known.doubts.keys()
    assert all("\n" not in doubt for doubt in known.doubts.values())


def test_the_command_tells_of_damage_in_one_line_and_trains_again(clone, go_on):
    lose_record(clone)
    code, told = go_on("--only", "objective=ae")
    assert code == 0 and "1 trained" in told
    assert told.count("on record, but not known by their rows") == 1


@pytest.mark.parametrize("lost", ["results.csv", "results.csv*"])
def test_a_lost_table_leaves_the_arrays_and_the_record_of_runs_without_rows(
    study, clone, no_plots, lost
):
    for path in clone.glob(lost):
        path.unlink()
    run = min(path.parent.name for path in study[1].glob("runs/*/likelihoods.npz"))
    shutil.copytree(study[1] / "runs" / run, clone / "runs" / run)
    names = (str(COMMITTED), "arrays/likelihoods.npz", "trainings.json")
    before = {name: (clone / name).read_bytes() for name in names}
    assert f"'{clone / 'results.csv'}' is lost" in read_results(clone).warnings[0]
    build_report(clone)
    assert {name: (clone / name).read_bytes() for name in before} == before
    assert not (clone / "results.csv").exists()
    assert "is lost, but not what was written" in (clone / "README.md").read_text()


def test_a_run_that_diverged_is_known_as_such(clone, go_on, altered, no_plots):
    wild = '"ae"\n[[runs]]\ndataset = "digits"\nbackbone = "tiny"\nlatent_dim = 2\n'
    wild += 'objective = "rae-l2"\ntraining = {learning_rate = 1e30}\n'
    suite = altered(('["ae", "vae"]', wild))
    told = go_on(suite=suite)[1]
    (line,) = re.findall("^aebench: run '.*$", told, re.MULTILINE)
    assert "1 diverged, 1 known by its rows" in told
    build_report(clone)
    shutil.rmtree(clone / "runs")
    code, told = go_on(suite=suite)
    assert code == 1 and "1 diverged, 1 known by its rows" in told and f"{line}\n" in told
    assert not (clone / "runs").exists()


def test_a_directory_that_holds_a_training_anew_leaves_the_committed_rows(study, clone, no_plots):
    likelihoods = min(study[1].glob("runs/*/likelihoods.npz"))
    run = likelihoods.parent.name
    folder = clone / "runs" / run
    folder.mkdir(parents=True)
    shutil.copy(study[1] / "runs" / run / "log.jsonl", folder)
    scores = read_file(likelihoods).items()
    moved = {key: dataclasses.replace(own, values=own.values - 1) for key, own in scores}
    write_per_image(folder / "likelihoods.npz", moved)
    (folder / "config.json").write_text(json.dumps({"training_code": "another"}))
    before = read_figures(clone / COMMITTED)[run]
    build_report(clone)
    assert read_figures(clone / COMMITTED)[run].keys() == before.keys()
    assert read_trainings(clone)[run]["training_code"] != "another"
    shutil.rmtree(clone / "runs")
    assert KnownRows(clone).origin(run)

"""One recipe, one method: two are two rows in every table, the seeds of one are pooled."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import runpy
import shutil
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.comparison.columns import (
    SCORE_KEY,
    method_labels,
    without_floor,
    without_setting,
)
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.records.recipe import IN_COLUMNS, recipe_notes, recipe_of, recipe_settings
from aebench.bench.records.results import frame, joined, read_results, write_results
from aebench.bench.suites.suite import load_suite
from aebench.bench.tables.paired import compare_results

FACTORY = runpy.run_path(str(Path(__file__).parent / "row_factory.py"))
make_row, write_runs = FACTORY["make_row"], FACTORY["write_runs"]
SUITE = """
[training]
steps = 8
batch_size = 20
train_images = 100
[evaluation]
metrics = ["reconstruction", "frechet"]
features = ["pixels"]
densities = ["gaussian"]
images = 20
sheet_images = 2
[scales.small]
width = 1.0
[[runs]]
dataset = "digits"
backbone = "mlp"
backbone_options = {hidden = 8}
latent_dim = 3
objective = ["ae"]
seed = [0, 1]
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Returns a suite file and two folders: of one recipe, and of it and one of fewer steps."""
    path = tmp_path_factory.mktemp("recipes")
    suite, one, both = path / "suite.toml", path / "one", path / "both"
    suite.write_text(SUITE, encoding="utf-8")
    command = ["run", str(suite), "--device", "cpu", "--workers", "1", "--quiet"]
    assert main([*command, "--out", str(one)]) == 0
    shutil.copytree(one, both)
    assert main([*command, "--out", str(both), "--set", "training.steps=3"]) == 0
    return suite, one, both


def means(folder, steps):
    """Returns the mean MSE over the seeds that took so many steps, from the rows themselves."""
    found = []
    for path in folder.glob("runs/*/result.json"):
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        found += [r["value"] for r in rows if r["metric"] == "mse" and r["steps"] == steps]
    assert len(found) == 2
    return sum(found) / 2


def test_two_recipes_in_one_folder_are_two_rows_of_a_comparison_named_by_what_differs(folders):
    _, _, both = folders
    table, _ = compare_results(both, both)
    lines = [
        line for line in csv.DictReader(io.StringIO(table.as_csv())) if line["score"] == "mse"
    ]
    found = {line["objective"]: float(line["first"].split()[0]) for line in lines}
    assert found == {
        f"ae (steps={steps}) unit": pytest.approx(means(both, steps), rel=1e-3) for steps in (3, 8)
    }


def test_two_counts_of_steps_in_one_folder_are_two_tables_of_the_report_with_all_seeds(folders):
    _, _, both = folders
    assert main(["report", str(both)]) == 0
    paths = {
        8: both / "tables" / "test-images.csv",
        3: both / "tables" / "test-images-steps-3.csv",
    }
    texts = {steps: path.read_text(encoding="utf-8") for steps, path in paths.items()}
    for steps, text in texts.items():
        (line,) = csv.DictReader(io.StringIO(text))
        (name,) = (name for name in line if "mse" in name and name.endswith("seeds"))
        assert line[name] == "2"
        value = float(line[name.removesuffix(" seeds")])
        assert value == pytest.approx(means(both, steps), rel=1e-3)
    shutil.rmtree(both / "runs")
    assert main(["report", str(both)]) == 0
    for steps, path in paths.items():
        assert path.read_text(encoding="utf-8") == texts[steps]


def test_what_two_result_sets_do_not_share_is_named_by_its_settings(folders, tmp_path, capsys):
    _, one, both = folders
    rows = read_results(both).rows
    write_results(tmp_path / "results.csv", rows[rows["steps"] == 3])
    assert main(["compare", str(one), str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "share no score of the same method and seed" in told
    assert "ae (steps=8)" in told and "ae (steps=3)" in told


def test_two_counts_of_steps_are_entries_of_two_boards(folders, tmp_path):
    _, _, both = folders
    (tmp_path / "boards").mkdir()
    build_leaderboard([both], tmp_path / "boards")
    found = list(csv.DictReader((tmp_path / "boards" / "leaderboard.csv").open()))
    entries = {(entry["objective"], entry["suite"]): entry["seeds"] for entry in found}
    suite = found[0]["suite"].partition(",")[0]
    assert entries == {("ae", suite): "2", ("ae", f"{suite}, 3 steps"): "2"}


def test_seeds_of_two_machines_are_pooled_and_a_run_in_both_counts_once(tmp_path):
    kept = {"one": (0, 1, 2), "two": (2, 3)}
    for name, seeds in kept.items():
        rows = [make_row(seed=seed, value=10.0 + seed) for seed in seeds]
        write_runs(tmp_path / name, rows, arrays=False, log=False)
    build_leaderboard([tmp_path / "one", tmp_path / "two"], tmp_path)
    (entry,) = csv.DictReader((tmp_path / "leaderboard.csv").open())
    assert (entry["seeds"], float(entry["mean"])) == ("4", 11.5)


def test_folders_are_joined_in_any_order():
    parts = [
        frame([make_row(seed=seed, value=float(seed), date=f"2026-01-0{day}T00:00:00Z")])
        for seed, day in ((0, 1), (1, 1), (1, 2), (2, 1))
    ]
    texts = {joined(order).to_csv() for order in itertools.permutations(parts)}
    assert len(texts) == 1
    assert joined(parts)["seed"].tolist() == [0, 1, 2]
    assert joined(parts)["date"].str[9].tolist() == ["1", "2", "1"]


def test_each_row_of_a_run_says_what_its_training_cost(folders):
    _, one, _ = folders
    rows = read_results(one).rows
    assert (without_floor(rows)["compute_seconds"] > 0).all()


def recipe(suite, **options):
    (config, *_) = load_suite(str(suite), **options).configs
    return recipe_of(
        recipe_settings(
            config.training_record(),
            dataclasses.asdict(config.evaluation),
            space=config.space or "unit",
            split=config.split,
            data="ab",
        )
    )


@pytest.fixture
def suite_file(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


def changed(value):
    """Returns another value of the same type."""
    if isinstance(value, (list, tuple)):
        return [*value, "x"]
    return value | {"x": 1} if isinstance(value, dict) else value + type(value)(1)


def test_a_run_that_was_scored_in_two_ways_keeps_both_and_an_older_row_of_it_goes():
    rows = [make_row(recipe=name * 16, run="ab" * 8, value=at) for at, name in enumerate("ab", 1)]
    older = make_row(recipe="c" * 16, run="ab" * 8, value=3.0, compute_seconds=None)
    found = joined([frame([row]) for row in (*rows, older)])
    assert found["value"].tolist() == [1.0, 2.0]


def test_every_setting_changes_the_recipe_unless_a_column_of_the_row_says_it(suite_file):
    (config, *_) = load_suite(str(suite_file), seeds=[0]).configs
    training, evaluation = config.training_record(), dataclasses.asdict(config.evaluation)
    place = {"space": "unit", "split": "default", "data": "ab"}
    given = [("", training, {})]
    for name, value in (dataclasses.asdict(config.training) | {"precision": "float32"}).items():
        more = training["training"] | {name: changed(value)}
        given.append((name, training | {"training": more}, {}))
    for name in training.keys() - {"training", "space", "split"}:
        given.append((name, training | {name: changed(training[name])}, {}))
    given += [(name, training, {name: changed(value)}) for name, value in evaluation.items()]
    found = {
        name: recipe_of(recipe_settings(own, evaluation | more, **place))
        for name, own, more in given
    } | {
        name: recipe_of(recipe_settings(training, evaluation, **place | {name: "other"}))
        for name in ("space", "split")
    }
    alike = {name for name, recipe in found.items() if recipe == found[""]} - {""}
    assert alike == {*IN_COLUMNS, "scale", "seed"}
    assert len(set(found.values())) == len(found) - len(alike)


def test_data_of_a_users_own_are_part_of_the_recipe_and_those_of_the_package_their_name():
    def made(dataset, data):
        settings = {"dataset": dataset}
        return recipe_of(recipe_settings(settings, {}, space="unit", split="a", data=data))

    assert made("digits", "ab") == made("digits", "cd")
    assert made("folder:x", "ab") != made("folder:x", "cd")


def test_seeds_share_a_recipe(suite_file):
    assert recipe(suite_file, seeds=[5]) == recipe(suite_file)


def settings(**changes):
    training = {"steps": 10, "learning_rate": 1e-3} | changes
    return {"dataset": "digits", "options": {}, "training": training}


def test_methods_have_one_name_if_and_only_if_they_have_one_recipe():
    known = [settings(), settings(steps=20), settings(steps=20, learning_rate=1e-4), settings(a=1)]
    recipes = {recipe_of(own): own for own in known}
    many = [*recipes, "unknown", "unseen"]
    rows = [
        make_row(seed=seed, recipe=recipe, run=f"{recipe}-{seed}")
        for recipe in many
        for seed in (0, 1)
    ]
    labels = method_labels(frame(rows, recipes))
    pairs = set(zip(labels, frame(rows)["recipe"], strict=True))
    assert len(pairs) == len(set(labels)) == len(many)
    assert any("learning_rate=0.0001, steps=20" in label for label in labels)


def test_a_recipe_is_named_by_the_settings_in_which_it_differs():
    notes = recipe_notes({"a" * 16: settings(), "b" * 16: settings(steps=20)})
    assert notes == {"a" * 16: "steps=10", "b" * 16: "steps=20"}
    assert set(recipe_notes({"a" * 16: {}, "b" * 16: {}}).values()) == {"#aaaaaa", "#bbbbbb"}


def test_a_setting_taken_out_of_a_method_leaves_all_others_in():
    known = [settings(noise_sigma=0.1), settings(noise_sigma=0.2)]
    known += [settings(noise_sigma=0.2, learning_rate=0.1)]
    recipes = {recipe_of(own): own for own in known}
    rows = [
        make_row(recipe=r, run=r, variant=f'{{"noise_sigma":{i}}}') for i, r in enumerate(recipes)
    ]
    found, rest = without_setting(frame(rows, recipes), "noise_sigma")
    assert len(found) == 3 and rest["recipe"].nunique() == 2 and rest["method"].nunique() == 2


def test_an_edited_file_of_recipes_is_named_and_not_believed(tmp_path):
    known = {recipe_of(settings()): settings()}
    write_results(tmp_path / "results.csv", frame([make_row(recipe=next(iter(known)))], known))
    assert json.loads(read_results(tmp_path).rows["settings"][0]) == settings()
    text = (tmp_path / "recipes.json").read_text(encoding="utf-8")
    (tmp_path / "recipes.json").write_text(text.replace("10", "11"), encoding="utf-8")
    found = read_results(tmp_path)
    assert found.rows["settings"].tolist() == [""] and len(found.warnings) == 1
    assert "recipes.json' was edited or cut short" in found.warnings[0]


def test_a_score_is_that_of_a_recipe():
    assert "recipe" in SCORE_KEY and not {"suite", "scale", "seed", "run"} & set(SCORE_KEY)


def test_rows_of_a_failed_evaluation_go_when_a_later_one_has_the_score(tmp_path):
    bound = {"metric": "log_prob", "images": "test", "kind": "", "n_real": None}
    failed = make_row(**bound, status="failed", reason="no", date="2026-01-01T00:00:00Z")
    done = make_row(**(bound | {"kind": "exact", "n_real": 100}), date="2026-01-02T00:00:00Z")
    other = make_row(**(bound | {"metric": "mse"}), status="failed", reason="no")
    write_results(tmp_path / "results.csv", frame([failed, done, other]))
    rows = read_results(tmp_path).rows
    assert sorted(zip(rows["metric"], rows["status"], strict=True)) == [
        ("log_prob", "ok"),
        ("mse", "failed"),
    ]


def test_a_runs_rows_are_those_of_its_result_alone(tmp_path):
    older = [make_row(metric="fd", value=9.0), make_row(metric="frechet", status="failed")]
    older += [make_row(seed=1, value=7.0)]
    write_results(tmp_path / "results.csv", frame(older))
    write_runs(tmp_path, [make_row(metric="kid", value=2.0)], arrays=False, log=False)
    rows = read_results(tmp_path).rows
    assert sorted(zip(rows["metric"], rows["seed"], rows["value"], strict=True)) == [
        ("fd", 1, 7.0),
        ("kid", 0, 2.0),
    ]

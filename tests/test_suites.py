"""The packaged suites: what each expands to, and that each runs from end to end at ``smoke``."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from aebench.bench.data.dataset import DATASETS, find_source, load_dataset
from aebench.bench.errors import UserError
from aebench.bench.evaluation.identity import CHOICES
from aebench.bench.evaluation.interpolation import KINDS
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.bench.pages.report import build_report
from aebench.bench.runs.preflight import check_suite
from aebench.bench.runs.run_rows import place_columns
from aebench.bench.suites.command import folder_name
from aebench.bench.suites.suite import WIDTHS, load_suite
from aebench.bench.suites.suite_files import read_suite_file, suite_names
from aebench.metrics.extractor import EXTRACTORS, scan_extractors
from aebench.models.backbones.backbone import BACKBONES
from aebench.models.building import build
from aebench.models.densities.density import build_density
from aebench.models.objectives.iwae import IWAE
from aebench.models.objectives.objective import OBJECTIVES

SCALES = ("smoke", "small", "medium", "full")
# Runs and steps at medium, where a suite has that scale.
MEDIUM = {
    "aef-denoising-fashion-mnist": (9, 45_000),
    "aef-grid-fashion-mnist": (12, 60_012),
    "families-fashion-mnist": (145, 1_169_090),
    "rae-2d-latent": (8, 40_000),
    "rae-beta-sweep": (8, 40_000),
    "rae-mc-samples": (5, 25_000),
    "rae-prd": (8, 80_000),
    "rae-table1-fashion-mnist": (30, 300_000),
    "structured-expressions": (32, 136_000),
    "structured-molecules": (13, 31_590),
}
# Runs at smoke, small and full.
COUNTS = {
    "aef-ablation-fashion-mnist": (27, 27, 81),
    "aef-celebahq-32": (2, 2, 18),
    "aef-celebahq-64": (2, 2, 24),
    "aef-denoising-celebahq-32": (9, 9, 27),
    "aef-denoising-fashion-mnist": (12, 24, 72),
    "aef-denoising-kmnist": (12, 24, 72),
    "aef-denoising-mnist": (12, 24, 72),
    "aef-grid-fashion-mnist": (8, 12, 60),
    "aef-grid-kmnist": (8, 12, 60),
    "aef-grid-mnist": (8, 12, 60),
    "families-celeba": (19, 19, 95),
    "families-cifar10": (19, 19, 95),
    "families-fashion-mini": (20, 60, 100),
    "families-fashion-mnist": (20, 60, 100),
    "families-mnist": (20, 60, 100),
    "likelihood": (19, 47, 85),
    "rae-2d-latent": (16, 16, 16),
    "rae-beta-sweep": (16, 16, 48),
    "rae-mc-samples": (10, 10, 30),
    "precision-fashion-mini": (32, 96, 160),
    "rae-prd": (32, 32, 160),
    "structured-expressions": (6, 8, 16),
    "structured-molecules": (5, 5, 13),
    **{
        f"rae-{table}-{dataset}{ending}": (10, 10, 30 if ending else 50)
        for table, ending in (("table1", ""), ("table1", "-released"), ("table3", ""))
        for dataset in ("mnist", "fashion-mnist", "cifar10", "celeba")
    },
}
WITH_LIKELIHOODS = ("families-fashion-mini", "likelihood")
OTHERS = [name for name in COUNTS if name not in WITH_LIKELIHOODS]
TITLES = {name: read_suite_file(name)[1]["title"] for name in COUNTS}


@cache
def expand(name: str, scale: str):
    return load_suite(name, settings={"scale": scale})


def test_no_packaged_suite_trains_spectral_norm_without_batch_norm():
    shapes = {"rae-32": (1, 32, 32), "rae-64": (3, 64, 64)}
    found = set()
    for config in (config for name in COUNTS for config in expand(name, "smoke").configs):
        if "sn" in getattr(OBJECTIVES.get(config.objective), "regularisers", ()):
            options = dict(config.backbone_options)
            found.add((config.objective, config.backbone, tuple(options.items())))
    for objective, backbone, options in found:
        shape = shapes.get(backbone, (1, 28, 28))
        names = {"backbone": backbone, "backbone_options": dict(options)}
        assert build(objective, image_shape=shape, latent_dim=2, **names).warning == ""
    assert {objective for objective, _, _ in found} > {"rae-sn"}


def scales_of(name):
    return [scale for scale in SCALES if scale != "medium" or name in MEDIUM]


@cache
def every_config():
    return [(n, s, c) for n in COUNTS for s in scales_of(n) for c in expand(n, s).configs]


@pytest.mark.parametrize("name", COUNTS)
def test_a_packaged_suite_expands_to_the_expected_number_of_runs_at_every_scale(name):
    scales = ("smoke", "small", "full")
    assert tuple(len(expand(name, scale).configs) for scale in scales) == COUNTS[name]
    medium = "medium" in read_suite_file(name)[1]["scales"]
    assert medium == (name in MEDIUM)
    if medium:
        configs = expand(name, "medium").configs
        assert (len(configs), sum(c.training.steps for c in configs)) == MEDIUM[name]


def test_every_packaged_suite_with_scales_is_counted_here():
    scaled = {name for name in suite_names() if "scales" in read_suite_file(name)[1]}
    assert scaled == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_a_suite_says_what_it_shows_and_its_title_is_its_own(name):
    about = read_suite_file(name)[1]
    assert about["title"] and about["description"].endswith(".")
    assert list(TITLES.values()).count(about["title"]) == 1
    assert about["paper"] or name.startswith(("families-", "precision-"))


def test_a_suite_that_calls_its_weights_published_names_the_objective_whose_weight_is_not():
    told = {name: read_suite_file(name)[1]["description"] for name in COUNTS}
    claims = {name for name, text in told.items() if "weights of the loss as published" in text}
    assert claims
    for name in claims:
        options = {c.objective: c.options for c in expand(name, "full").configs}
        # Only the released penalty has a published weight.
        assert "penalty" not in options["rae-gp"] and "but for rae-gp" in told[name]


def test_a_suite_says_where_the_published_scores_of_its_tables_and_curves_are_of_other_images():
    # Only Inception's features are those of the papers.
    known = [n for n in COUNTS if "inception" in expand(n, "full").configs[0].evaluation.features]
    papers = {name: read_suite_file(name)[1] for name in known}
    rounded = [n for n, own in papers.items() if re.search("AEF.* curves", own["paper"])]
    references = [n for n, own in papers.items() if "Table 2" in own["paper"]]
    assert rounded and references
    assert all("rounded to eight bits" in papers[name]["description"] for name in rounded)
    assert all("PRD is against test images" in papers[n]["description"] for n in references)


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_follows_a_published_protocol_or_says_its_budget(name):
    about, suite = read_suite_file(name)[1], load_suite(name)
    assert about["paper"] or about["budget"]
    if budget := about.get("budget"):
        steps = {f"{config.training.steps:,} steps" for config in suite.configs}
        assert steps == {budget} and suite.label == "own budget"
        assert all(config.own_budget for config in suite.configs)
        assert load_suite(name, settings={"scale": "own budget"}) == suite


@pytest.mark.parametrize("name", suite_names())
def test_validation_happens_at_least_ten_times_a_run_outside_smoke(name):
    scales = {"full", *read_suite_file(name)[1].get("scales", {})} - {"smoke"}
    for training in {c.training for scale in scales for c in expand(name, scale).configs}:
        # 0 means once an epoch and ten times at least; the trainer has a test of its own.
        assert training.validate_every <= training.steps / 10


def test_suites_name_only_what_is_registered():
    scan_extractors()
    used = [config for _, _, config in every_config()]
    assert {c.objective for c in used} <= set(OBJECTIVES.names())
    assert {c.backbone for c in used} <= set(BACKBONES.names())
    assert {c.dataset for c in used} <= set(DATASETS.names())
    evaluations = {c.evaluation for c in used}
    assert {m for e in evaluations for m in e.metrics} <= set(metrics())
    assert {f.partition("@")[0] for e in evaluations for f in e.features} <= {
        name.partition("@")[0] for name in EXTRACTORS
    }
    assert {e.interpolation for e in evaluations} <= set(KINDS)
    for density in {d for e in evaluations for d in e.densities}:
        build_density(density)


def test_every_run_of_every_suite_can_be_built_at_smoke():
    built = set()
    for _, scale, config in every_config():
        source = find_source(config.dataset)
        shape = source.image_shape
        key = (config.objective, config.space, str(config.options), config.backbone, shape)
        if scale == "smoke" and key not in built:
            built.add(key)
            build(
                config.objective,
                backbone=config.backbone,
                image_shape=shape,
                latent_dim=config.latent_dim,
                space=config.space or None,
                form=source.form,
                backbone_options=config.backbone_options,
                **config.options,
            )
    assert len(built) > 80


def test_runs_of_different_scales_never_share_a_digest():
    scales = {}
    for _, scale, config in every_config():
        assert scales.setdefault(config.digest, scale) == scale


def test_a_suite_has_one_network_and_one_evaluation_count_for_all_objectives():
    for name in COUNTS:
        configs = expand(name, "full").configs
        for dataset in {c.dataset for c in configs}:
            own = [c for c in configs if c.dataset == dataset]
            assert len({(c.backbone, str(c.backbone_options)) for c in own}) == 1, name
            assert len({c.evaluation.images for c in own}) == 1, name


def test_objectives_differ_in_training_only_where_the_title_says_so():
    for name in COUNTS:
        configs = expand(name, "full").configs
        several = {c.training for c in configs}
        for dataset in {c.dataset for c in configs}:
            own = {c.training for c in configs if c.dataset == dataset}
            if name.startswith("precision-"):
                assert len(own) == 2, name
                own = {replace(training, precision="float32") for training in own}
            if "released" not in name and "denoising" not in name:
                assert len(own) == 1, name
        if "denoising" in name:
            sigmas = {t.noise_sigma for t in several}
            objectives = {(c.objective, c.training.noise_sigma) for c in configs}
            assert min(sigmas) > 0 and len(objectives) == 3 * len(sigmas)


@pytest.mark.parametrize("name", [name for name in COUNTS if "denoising" in name])
def test_the_denoising_autoencoder_is_not_clipped_since_its_published_loss_never_is(name):
    for scale in scales_of(name):
        configs = expand(name, scale).configs
        clips = {(c.objective == "ae", c.training.gradient_clip) for c in configs}
        assert clips == {(True, 0.0), (False, 200.0)}
    # What is not in the suite is clipped as the paper's other models are.
    (other, *_) = load_suite(name, only={"objective": "iwae"}).configs
    assert other.training.gradient_clip == 200.0


@pytest.mark.parametrize("name", COUNTS)
def test_a_smaller_scale_is_smaller_in_every_run(name):
    smoke, small, full = (expand(name, scale).configs for scale in SCALES if scale != "medium")
    for less, more in ((smoke, small), (small, full)):
        sizes = [[c.training.steps * c.training.batch_size for c in own] for own in (less, more)]
        assert max(sizes[0]) < min(sizes[1])
        assert max(c.evaluation.images for c in less) < max(c.evaluation.images for c in more) + 1
    assert {c.backbone_options.get("width", 1.0) for c in full} == {1.0}
    assert {c.backbone_options["width"] for c in smoke} == {WIDTHS["smoke"]}


@pytest.mark.parametrize("name", MEDIUM)
def test_the_longest_runs_of_medium_are_longer_than_small_ones_and_no_longer_than_full_ones(name):
    for less, more in pairwise(expand(name, scale).configs for scale in SCALES[1:]):
        smaller, larger = longest(less), longest(more)
        shared = smaller.keys() & larger.keys()
        assert shared and all(smaller[method] <= larger[method] for method in shared)
        assert more[0].scale == "full" or all(smaller[m] < larger[m] for m in shared)
        assert max(c.evaluation.images for c in less) < max(c.evaluation.images for c in more) + 1


def longest(configs):
    """Returns the most images that a run sees in training, by what is trained."""
    counts = {}
    for config in configs:
        method = (config.backbone, config.objective, config.space)
        size = config.training.steps * config.training.batch_size
        counts[method] = max(size, counts.get(method, 0))
    return counts


def test_at_medium_the_iwae_costs_as_many_passes_of_the_networks_as_the_others():
    configs = expand("families-fashion-mnist", "medium").configs
    assert len({replace(config.training, steps=1) for config in configs}) == 1
    seen = longest(configs)
    steps = {method: count / configs[0].training.batch_size for method, count in seen.items()}
    samples = IWAE.default_samples
    passes = steps.pop(("aef-small", "iwae", "logit")) * (1 + samples)
    assert set(steps.values()) == {10_000} and 20_000 - samples <= passes <= 20_000


def test_at_medium_one_objective_of_each_family_is_trained_for_fewer_steps_too():
    found = {}
    for config in expand("families-fashion-mnist", "medium").configs:
        found.setdefault((config.objective, config.space), set()).add(
            (config.training.steps, config.seed)
        )
    several = {method for method, own in found.items() if len(own) > 5}
    assert several == {
        *(("wae-mmd", ""), ("rae-l2", ""), ("ae", ""), ("vae", "logit"), ("aef-center", "logit"))
    }
    fewer = {(steps, seed) for steps in (1000, 3000) for seed in range(3)}
    wanted = fewer | {(10_000, seed) for seed in range(5)}
    assert all(found[method] == wanted for method in several)


def trials_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_tuned_runs_have_the_lowest_of_the_trials_that_are_committed():
    root = Path(__file__).parent.parent
    trials = trials_of(root / "bench/suites/families-fashion-mnist.csv")
    committed = trials_of(root / "results/families-fashion-mnist-medium/tuning.csv")
    assert all(trial in committed for trial in trials)
    tuned = [c for c in expand("families-fashion-mnist", "medium").configs if c.tuned]
    for config in tuned:
        own = [t for t in trials if (t["objective"], t["space"]) == (config.objective, "unit")]
        assert len(own) == 10 and {t["better"] for t in own} == {"lower"}
        best = min(own, key=lambda trial: float(trial["value"]))
        assert config.options == json.loads(best["options"])
    names = {"vae", "cv-vae", "wae-mmd", "rae", "rae-l2", "rae-gp"}
    assert {(c.objective, c.seed) for c in tuned} == {(n, s) for n in names for s in range(5)}


def test_at_medium_the_runs_of_the_prd_curves_are_those_of_table_1():
    known = {c.digest: values(c) for c in expand("rae-table1-fashion-mnist", "medium").configs}
    for config in expand("rae-prd", "medium").configs:
        assert values(config) == known[config.digest]


def values(config):
    """Returns the settings of an evaluation on which the values of its scores depend."""
    settings = asdict(config.evaluation)
    return {name: value for name, value in settings.items() if name not in CHOICES}


def test_the_grid_at_medium_has_the_notebooks_network_flows_steps_and_samples():
    configs = expand("aef-grid-fashion-mnist", "medium").configs
    full = expand("aef-grid-fashion-mnist", "full").configs
    told = {(c.objective, str(c.options)) for c in configs}
    assert told < {(c.objective, str(c.options)) for c in full}
    assert {c.backbone_options.get("width", 1.0) for c in configs} == {1.0}
    assert {(c.split, c.training.steps, c.training.batch_size) for c in configs} == {
        ("aef", 5001, 128)
    }
    deep = {c.latent_dim: c.evaluation for c in configs}
    assert (deep[2].likelihood_k_images, deep[2].likelihood_k_samples) == (10_000, 32)
    assert {c.latent_dim for c in configs if c.evaluation.likelihood_k_images} == {2}


def test_the_released_settings_are_those_of_the_specification():
    rates = {
        c.objective: c.training.learning_rate
        for c in expand("rae-table1-mnist-released", "full").configs
    }
    assert rates["vae"] == rates["cv-vae"] == rates["2svae"] == 1e-4
    assert rates["wae-mmd"] == 1e-3 and rates["rae"] == rates["rae-gp"] == rates["ae"] == 5e-4
    celeba = expand("rae-table1-celeba-released", "full").configs
    assert {c.training.batch_size for c in celeba if c.objective in ("vae", "2svae")} == {1000}
    steps = {c.objective: c.training.steps for c in celeba}
    assert steps["ae-l2"] == 100 * 1627 and steps["rae"] == 70 * 1627


def test_padded_views_have_no_likelihood_and_partition_models_see_native_images():
    for name, _, config in every_config():
        if config.dataset.endswith("-32") and not config.dataset.startswith("celebahq"):
            assert config.evaluation.likelihood_images == 0, name
            assert not config.objective.startswith("aef"), name


def missing_data(name: str) -> str:
    """Returns the error of the first data set of a suite that is not here, empty if none is."""
    for dataset in {c.dataset: None for c in expand(name, "smoke").configs}:
        try:
            load_dataset(dataset)
        except UserError as error:
            return str(error)
    return ""


def run_smoke(name, aebench, tmp_path, objective="*"):
    suite = load_suite(name, settings={"scale": "smoke"}, only={"objective": objective})
    out = tmp_path / folder_name(suite.name, suite.scale)
    chosen = ("--set", "scale=smoke", "--only", f"objective={objective}")
    code, told = aebench(name, *chosen, "--quiet", out=out)
    absent = missing_data(name)
    if absent:
        assert code == 2 and not out.exists()
        line = told.splitlines()[-1]
        assert "is missing" in line and ("Get it with: aebench data" in line or "Put " in line)
        return
    assert code == 0, told
    results = [json.loads(p.read_text()) for p in out.glob("runs/*/result.json")]
    rows = [row for result in results for row in result["rows"]]
    assert {row["run"] for row in rows} >= {c.digest for c in suite.configs}
    assert {row["scale"] for row in rows} == {"smoke"}
    wrong = [(r["objective"], r["metric"], r["reason"]) for r in rows if r["status"] == "failed"]
    assert not wrong
    assert {row["status"] for row in rows} <= {"ok", "not applicable"}
    return rows


def check_likelihoods(rows):
    kinds = {row["kind"] for row in rows if row["metric"] == "bits_per_dim"}
    assert kinds >= {"exact", "lower bound"}


@pytest.mark.long
@pytest.mark.parametrize("name", WITH_LIKELIHOODS)
def test_a_suite_runs_from_end_to_end_at_smoke(name, aebench, tmp_path):
    check_likelihoods(run_smoke(name, aebench, tmp_path))


def test_objectives_of_each_kind_run_from_end_to_end_at_smoke(aebench, tmp_path):
    # A lower bound or none in both spaces, completed or not; and an exact likelihood.
    chosen = ("[rv]ae", "aef-center")
    runs = [run_smoke("families-fashion-mini", aebench, tmp_path, name) for name in chosen]
    rows = [row for own in runs for row in own]
    check_likelihoods(rows)
    trained = {(row["objective"], row["space"]) for row in rows if row["backbone"]}
    assert len(trained) == 5


def test_a_suite_of_texts_runs_and_reports_from_end_to_end_at_smoke(aebench, tmp_path):
    chosen = ("--set", "scale=smoke", "--only", "objective=rae", "--quiet")
    code, told = aebench("structured-expressions", *chosen)
    assert code == 0, told
    names = {
        path.relative_to(tmp_path / "out").as_posix() for path in build_report(tmp_path / "out")
    }
    assert {"tables/figure2.md", "tables/strings.md", "tables/codes.md"} <= names
    assert {"plots/sheet-texts.png", "plots/texts-interpolation.png"} <= names
    table = (tmp_path / "out" / "tables" / "figure2.md").read_text()
    assert "GRAE rae" in table and "Ours: for each seed 1 search of 1 round of 2" in table


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_a_suite_runs_at_smoke_or_says_how_to_get_its_data(name, aebench, tmp_path):
    run_smoke(name, aebench, tmp_path)


@pytest.mark.parametrize("name", ["rae-table1-mnist", "aef-celebahq-32", "families-cifar10"])
def test_a_suite_whose_data_are_absent_says_in_one_line_how_to_get_them(
    name, monkeypatch, tmp_path
):
    monkeypatch.setenv("AEBENCH_DATA", str(tmp_path))
    for roots in ("aebench.bench.data.places.roots",):
        monkeypatch.setattr(roots, lambda: [tmp_path])
    with pytest.raises(UserError, match=r"is missing: .*(aebench data \w+ --download|Put )") as e:
        check_suite(expand(name, "smoke").configs)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "scale", "said"),
    [
        ("quick", "full", "own budget"),
        ("likelihood", "small", "small"),
        ("rae-prd", "full", "full"),
    ],
)
def test_rows_say_full_only_of_a_published_protocol(name, scale, said):
    (config, *_) = expand(name, scale).configs
    data = SimpleNamespace(split="default", image_shape=(1, 28, 28))
    assert place_columns(config, data, "run", {})["scale"] == said

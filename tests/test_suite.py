from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest
from aebench.bench.cli.words import dotted_settings
from aebench.bench.errors import UserError
from aebench.bench.suites.config import Config, Evaluation, Training
from aebench.bench.suites.schema import SuiteFile
from aebench.bench.suites.suite import load_suite
from aebench.bench.suites.suite_files import suite_names


def test_a_suite_is_the_product_of_its_factors(suite_file):
    suite = load_suite(suite_file(("latent_dim = 3", "latent_dim = [2, 3]\nseed = [0, 1]")))
    found = {(c.objective, c.latent_dim, c.seed) for c in suite.configs}
    assert found == {(o, d, s) for o in ("ae", "vae") for d in (2, 3) for s in (0, 1)}


def test_every_packaged_suite_can_be_read():
    for name in suite_names():
        assert load_suite(name).configs


def test_training_settings_are_in_the_digest_and_the_evaluation_is_not(suite_file):
    path = suite_file()
    digest = load_suite(path).configs[0].digest
    assert load_suite(path, settings={"evaluation.images": 30}).configs[0].digest == digest
    assert load_suite(path, settings={"training.steps": 9}).configs[0].digest != digest
    assert load_suite(path, seeds=[1]).configs[0].digest != digest


def test_the_digest_does_not_depend_on_the_order_or_the_name_of_the_suite(suite_file):
    first = load_suite(suite_file())
    second = load_suite(suite_file(('["ae", "vae"]', '["vae", "ae"]'), name="other"))
    assert {c.digest for c in first.configs} == {c.digest for c in second.configs}


def test_later_layers_of_settings_win_over_earlier_ones(suite_file):
    block = ("latent_dim = 3", "latent_dim = 3\ntraining = {steps = 5}")
    assert load_suite(suite_file(block)).configs[0].training.steps == 5
    scaled = ('title = "Small"', 'title = "Small"\nscales = {smoke = {training = {steps = 6}}}')
    path = suite_file(block, scaled)
    assert load_suite(path, settings={"scale": "smoke"}).configs[0].training.steps == 6
    chosen = {"scale": "smoke", "training.steps": 7}
    assert load_suite(path, settings=chosen).configs[0].training.steps == 7


def test_lists_of_options_are_swept(suite_file):
    path = suite_file(("latent_dim = 3", "latent_dim = 3\noptions = {beta = [1.0, 2.0]}"))
    options = [c.options for c in load_suite(path, only={"objective": "vae"}).configs]
    assert options == [{"beta": 1.0}, {"beta": 2.0}]


def test_lists_of_training_settings_are_swept_and_a_scale_can_narrow_them(suite_file):
    scaled = ('title = "Small"', "scales.smoke.training = {noise_sigma = 0.5}")
    path = suite_file(scaled, ("steps = 8", "steps = [8, 9]\nnoise_sigma = [0, 0.5]"))
    found = [(c.objective, c.training.steps, c.training.noise_sigma) for c in _at(path, "full")]
    assert found == [(o, n, s) for n in (8, 9) for s in (0.0, 0.5) for o in ("ae", "vae")]
    assert {c.training.noise_sigma for c in _at(path, "smoke")} == {0.5}


def _at(path, scale):
    return load_suite(path, settings={"scale": scale}).configs


def test_what_a_suite_says_of_all_runs_is_changed_by_a_block_and_by_the_scale(suite_file):
    first = "seed = 3\noptions = {beta = 1.0, gamma = 2.0}\nscales.smoke.options = {gamma = 4.0}"
    path = suite_file(
        ('title = "Small"', first), ("latent_dim = 3", "latent_dim = 3\noptions = {beta = 3.0}")
    )
    (config, _), (small, _) = _at(path, "full"), _at(path, "smoke")
    assert config.seed == 3 and config.options == {"beta": 3.0, "gamma": 2.0}
    assert small.options == {"beta": 3.0, "gamma": 4.0}


MEDIUM = """
[scales.medium]
seed = [0, 1]
dataset = "digits"
backbone = "tiny"
latent_dim = 2
training = {steps = 6}
[[scales.medium.runs]]
objective = "vae"
[[scales.medium.runs]]
objective = "iwae"
space = "logit"
training = {steps = 3}
[[runs]]
"""


def test_runs_of_a_scale_take_the_place_of_the_suites_and_change_what_the_scale_says(suite_file):
    path = suite_file(("[[runs]]\n", MEDIUM))
    found = [(c.objective, c.seed, c.training.steps) for c in _at(path, "medium")]
    assert found == [(o, s, n) for o, n in (("vae", 6), ("iwae", 3)) for s in (0, 1)]
    assert {(c.objective, c.training.steps) for c in _at(path, "full")} == {("ae", 8), ("vae", 8)}
    chosen = {"scale": "medium", "training.steps": 2, "seed": 5}
    assert {(c.seed, c.training.steps) for c in load_suite(path, settings=chosen).configs} == {
        (5, 2)
    }
    only = {"objective": "ae"}
    (other,) = load_suite(path, settings={"scale": "medium"}, only=only, seeds=[1]).configs
    assert (other.objective, other.training.steps) == ("ae", 6)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sede = 1", "key 'scales.medium.runs[1].sede' is unknown. Did you mean 'seed'?"),
        ("latent_dim = 0", "key 'scales.medium.runs[1].latent_dim' is 0; expected at least 1"),
        ("options = {beta = nan}", "key 'scales.medium.runs[1].options' holds what JSON cannot"),
    ],
)
def test_what_is_wrong_in_the_runs_of_a_scale_is_told_with_its_place(suite_file, line, told):
    path = suite_file(("[[runs]]\n", MEDIUM.replace('"iwae"', f'"iwae"\n{line}')))
    with pytest.raises(UserError) as error:
        load_suite(path, settings={"scale": "medium"})
    assert told in str(error.value)


def test_a_key_that_a_scale_does_not_know_is_told_with_those_it_knows(suite_file):
    path = suite_file(("[training]", "scales.medium.run = []\n[training]"))
    with pytest.raises(UserError, match=r"'scales.medium.run' is unknown. Did you mean 'runs'"):
        load_suite(path)


def test_whole_numbers_stand_for_numbers_and_nothing_else_does(suite_file):
    path = suite_file(("steps = 8", "steps = 8\ngradient_clip = 2"))
    clip = load_suite(path).configs[0].training.gradient_clip
    assert clip == 2.0 and isinstance(clip, float)
    for value in ("true", '"2"', "2020-01-01"):
        path = suite_file(("steps = 8", f"steps = 8\ngradient_clip = {value}"))
        with pytest.raises(UserError, match=r"gradient_clip' is .*; expected a number or a l"):
            load_suite(path)


def test_all_that_is_wrong_is_told_at_once(suite_file):
    path = suite_file(
        ("steps = 8", "stpes = 8"),
        ("images = 20\n", "images = true\n"),
        ("latent_dim = 3", "latent_dim = [3, 0]\noptions = 1\nspace = 3"),
    )
    with pytest.raises(UserError) as error:
        load_suite(path)
    told = str(error.value)
    assert told.startswith(f"Suite '{path}': key 'training.stpes' is unknown. Did you mean 'ste")
    assert told.count("; key '") == 4 and "\n" not in told
    for part in (
        "'evaluation.images' is True; expected a whole number;",
        "'runs[0].latent_dim[1]' is 0; expected at least 1;",
        "'runs[0].options' is 1; expected a table",
        "'runs[0].space' is 3; expected text or a list of them",
    ):
        assert part in told


def test_of_very_many_mistakes_ten_are_told(suite_file):
    many = ", ".join(["-1"] * 30)
    with pytest.raises(UserError, match=r"seed\[9\]' is -1; expected at least 0; and 20 more\."):
        load_suite(suite_file(("latent_dim = 3", f"latent_dim = 3\nseed = [{many}]")))


def test_only_keeps_what_matches_the_pattern(suite_file):
    assert [c.objective for c in load_suite(suite_file(), only={"objective": "v*"}).configs] == [
        "vae"
    ]


def test_only_with_an_unlisted_name_runs_it_under_the_settings_of_the_suite(suite_file):
    (config,) = load_suite(suite_file(), only={"objective": "wae-mmd"}).configs
    assert (config.objective, config.latent_dim, config.training.steps) == ("wae-mmd", 3, 8)


def test_a_pattern_that_matches_nothing_is_told(suite_file):
    with pytest.raises(UserError, match=r"no run that matches objective=x\*"):
        load_suite(suite_file(), only={"objective": "x*"})


def test_a_run_listed_twice_is_one_run(suite_file):
    path = suite_file(('["ae", "vae"]', '["ae", "ae"]'))
    assert len(load_suite(path).configs) == 1


def test_one_run_with_two_evaluations_is_refused(suite_file):
    again = '\n[[runs]]\ndataset = "digits"\nbackbone = "tiny"\nlatent_dim = 3\n'
    again += 'objective = "ae"\nevaluation = {images = 30}\n'
    path = suite_file(('["ae", "vae"]\n', '["ae", "vae"]\n' + again))
    with pytest.raises(UserError, match=r"two .* tables with different evaluations"):
        load_suite(path)


BAD = [
    (("steps = 8", "stpes = 8"), r"key 'training.stpes' is unknown. Did you mean 'steps'\?"),
    (('title = "S', 'titel = "S'), r"key 'titel' is unknown. Did you mean 'title'\?"),
    (("backbone =", "bakcbone ="), r"key 'runs\[0\].bakcbone' is unknown. Did you mean"),
    (("steps = 8", 'steps = "8"'), "key 'training.steps' is '8'; expected a whole number"),
    (("steps = 8", "steps = true"), "key 'training.steps' is True; expected a whole number"),
    (("steps = 8", "steps = 8.5"), "key 'training.steps' is 8.5; expected a whole number"),
    (("steps = 8", "steps = 0"), "'training.steps' is 0; expected at least 1"),
    (("steps = 8", "steps = 8\nlearning_rate = nan"), "'training.learning_rate' is nan"),
    (("steps = 8", "steps = 8\ngradient_clip = inf"), "'training.gradient_clip' is inf"),
    (('["reconstruction"]', '"frechet"'), "'evaluation.metrics' is 'frechet'; expected a list"),
    (('["gaussian"]', "[1]"), r"'evaluation.densities\[0\]' is 1; expected text"),
    (("images = 20\n", "images = 1\n"), "'evaluation.images' is 1; expected at least 2"),
    (
        ("images = 20\n", "images = 20\ntemperatures = [0]\n"),
        r"temperatures\[0\]' is 0; expected a positive number",
    ),
    (("latent_dim = 3", "latent_dim = 0"), r"'runs\[0\].latent_dim' is 0; expected at least 1"),
    (("latent_dim = 3", 'latent_dim = "3"'), r"'runs\[0\].latent_dim' is '3'; expected a whole"),
    (("latent_dim = 3", "latent_dim = []"), "expected at least one value"),
    (
        ("latent_dim = 3", "latent_dim = 3\nseed = -1"),
        r"'runs\[0\].seed' is -1; expected at least 0",
    ),
    (
        ("latent_dim = 3", "latent_dim = 3\nseed = 99999999999"),
        r"seed' is 99999999999; expected at most 4294967295",
    ),
    (("latent_dim = 3\n", ""), r"'runs\[0\].latent_dim' is None; expected a whole number"),
    (("latent_dim = 3", "latent_dim = 3\noptions = 1"), r"'runs\[0\].options' is 1; expected a t"),
    (
        ("latent_dim = 3", "latent_dim = 3\noptions = {a = nan}"),
        r"'runs\[0\].options' holds what JSON cannot: .*; expected finite numbers",
    ),
    (
        ("latent_dim = 3", "latent_dim = 3\noptions = {a = 2020-01-01}"),
        r"'runs\[0\].options' holds what JSON",
    ),
    (("latent_dim = 3", "latent_dim = 3\nbackbone_options = 1"), "backbone_options' is 1"),
    (('title = "Small"', "title = 3"), "key 'title' is 3; expected text"),
    (
        ('title = "Small"', 'scale = "huge"'),
        "key 'scale' is 'huge'; expected smoke, small, medium or full",
    ),
    (('title = "Small"', "scales = {huge = {}}"), "key 'scales.huge' is unknown"),
    (('title = "Small"', "scales = {full = 3}"), "key 'scales.full' is 3; expected a table"),
    (('title = "Small"', 'scales = {full = {width = "a"}}'), "'scales.full.width' is 'a'"),
    (("[training]", "runs = 3\n[other]"), "is unknown|cannot|not valid TOML"),
    (("[[runs]]", "[[runs]"), "is not valid TOML"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_content_names_file_key_value_and_what_was_expected(suite_file, change, message):
    path = suite_file(change)
    with pytest.raises(UserError, match=message) as error:
        load_suite(path)
    assert path in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("runs", ["runs = []", "runs = 3", "runs = [3]", ""])
def test_a_suite_without_runs_is_refused(tmp_path, runs):
    path = tmp_path / "empty.toml"
    path.write_text(runs, encoding="utf-8")
    with pytest.raises(UserError, match=r"key 'runs.*expected (at least one|a table)"):
        load_suite(str(path))


def test_unreadable_files_are_refused_by_name(tmp_path, suite_file):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid TOML"):
        load_suite(str(binary))
    with pytest.raises(UserError, match="cannot be read: No such file"):
        load_suite(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_suite(f"{tmp_path}/")
    with pytest.raises(UserError, match=r"is called '..'; expected a name"):
        load_suite(suite_file(name=".."))


def test_deeply_nested_toml_is_refused(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 100_000, encoding="utf-8")
    with pytest.raises(UserError, match="not valid TOML"):
        load_suite(str(path))


def test_an_unknown_suite_has_its_near_match_and_the_list():
    with pytest.raises(UserError, match=r"Unknown suite 'quikc'. Did you mean 'quick'\? Known:"):
        load_suite("quikc")


def test_unknown_keys_of_the_command_line_have_their_near_match(suite_file):
    with pytest.raises(UserError, match=r"'--set training.step' is unknown. Did you mean 'steps'"):
        load_suite(suite_file(), settings={"training.step": 3})
    for key in ("title", "scales.small", "runs", "a.b.c"):
        with pytest.raises(UserError, match=f"key '--set {key.partition('.')[0]}' is unknown"):
            load_suite(suite_file(), settings={key: {}})
    with pytest.raises(UserError, match=r"factor of --only 'objectiv'. Did you mean 'objective'"):
        load_suite(suite_file(), only={"objectiv": "ae"})


@pytest.mark.parametrize("given", ["pixels", "[pixels]", "[pixels, lite0@64]"])
def test_the_example_at_the_end_of_the_line_on_a_list_works_in_a_shell(given):
    # A shell leaves [pixels] of ["pixels"].
    with pytest.raises(UserError, match="expected a list, such as --set '") as told:
        load_suite("quick", settings=dotted_settings([f"evaluation.features={given}"]))
    option, words = shlex.split(str(told.value).rpartition("such as ")[2].removesuffix("."))
    suite = load_suite("quick", settings=dotted_settings([words]))
    names = {"pixels", "lite0@64"} if "," in given else {"pixels"}
    assert option == "--set" and set(suite.configs[0].evaluation.features) == names


def test_configs_are_checked_without_a_suite_too():
    factors = {"dataset": "digits", "backbone": "tiny", "objective": "ae"}
    with pytest.raises(ValueError, match=r"latent_dim\n.*greater than or equal to 1 .*value=0"):
        Config(suite="s", scale="full", **factors, latent_dim=0)
    with pytest.raises(ValueError, match=r"selection\n.*'last step' .*value='luck'"):
        Training(selection="luck")
    with pytest.raises(
        ValueError, match=r"annealing_steps\n.*greater than or equal to 1 .*value=0"
    ):
        Evaluation(annealing_steps=0)


def test_a_scale_that_a_suite_does_not_have_is_refused():
    with pytest.raises(UserError, match=r"'quick' has no scale 'smoke'; expected one of: full\."):
        load_suite("quick", settings={"scale": "smoke"})
    with pytest.raises(UserError, match="no scale 'medium'; expected one of: smoke, small, full"):
        load_suite("likelihood", settings={"scale": "medium"})


def test_rows_of_a_suite_with_a_budget_say_it_and_its_runs_keep_their_names():
    (config, *_) = load_suite("quick").configs
    assert (config.scale, config.own_budget) == ("full", True)
    assert config.digest == dataclasses.replace(config, own_budget=False).digest
    (small, *_) = load_suite("likelihood", settings={"scale": "small"}).configs
    assert not small.own_budget


WRITE_SCHEMA = (
    "import json; from aebench.bench.suites.schema import SuiteFile; "
    "print(json.dumps(SuiteFile.model_json_schema(), indent=1))"
)


def test_the_published_schema_is_that_of_the_code():
    path = Path(__file__).parents[1] / "docs" / "suite.schema.json"
    published = json.loads(path.read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(SuiteFile.model_json_schema())), (
        f'write it anew: python -c "{WRITE_SCHEMA}" > docs/suite.schema.json'
    )


def test_a_suite_file_may_begin_with_a_mark_and_be_called_as_its_user_likes(suite_file, tmp_path):
    text = Path(suite_file()).read_text(encoding="utf-8")
    expected = load_suite(suite_file())
    for name in ("MINE.TOML", "mine", "my.suite"):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        found = load_suite(str(tmp_path / name))
        assert found.name == name.removesuffix(".TOML")
        assert [c.seed for c in found.configs] == [c.seed for c in expected.configs]


def test_a_file_without_an_ending_is_found_here_but_a_packaged_name_comes_first(
    suite_file, tmp_path, monkeypatch
):
    text = Path(suite_file()).read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "quick"):
        Path(name).write_text(text, encoding="utf-8")
    assert load_suite("mine").name == "mine"
    assert len(load_suite("quick").configs) > len(load_suite("./quick").configs)


def test_a_relative_path_starts_at_the_suite_s_file_and_one_of_the_command_where_it_is_given(
    suite_file, tmp_path, monkeypatch
):
    both = 'dataset = ["folder:images", "npz:/data/a.npz", "digits", "folder:~/own"]'
    suite = suite_file(('dataset = "digits"', both))
    names = {c.dataset for c in load_suite(suite).configs}
    own = f"folder:{Path.home()}/own"
    assert names == {f"folder:{tmp_path}/images", "npz:/data/a.npz", "digits", own}
    monkeypatch.chdir(tmp_path)
    assert "folder:images" in {c.dataset for c in load_suite("small.toml").configs}
    given = load_suite(suite, settings={"dataset": "folder:other"}).configs
    assert {c.dataset for c in given} == {"folder:other"}


def test_a_run_that_lacks_its_backbone_is_told_with_its_place(tmp_path):
    (tmp_path / "x.toml").write_text('title = "X"\n[[runs]]\ndataset = "digits"\n')
    with pytest.raises(UserError, match=r"key 'runs\[0\]\.backbone' is None; expected text"):
        load_suite(str(tmp_path / "x.toml"))

"""Files of the user's own that `--plugin` loads, and the page that shows how to write them."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import runpy
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from aebench.bench import UserError, run
from aebench.bench.cli.main import main
from aebench.bench.comparison.plot import PLOTS
from aebench.bench.comparison.table import TABLES
from aebench.bench.data.dataset import DATASETS
from aebench.bench.evaluation.evaluation import Evaluator
from aebench.bench.evaluation.metric_lookup import find_metric
from aebench.bench.evaluation.metric_lookup import metrics as known_metrics
from aebench.bench.evaluation.record import EvaluationRecord
from aebench.bench.evaluation.texts import TextEvaluator
from aebench.bench.figures.all import write_figures
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.pages.report import all_tables
from aebench.bench.records import code
from aebench.bench.records.code import training_code
from aebench.bench.records.results import read_results
from aebench.bench.runs import plugins
from aebench.bench.runs.asked import write_asked
from aebench.bench.runs.dispatch import carry_out
from aebench.bench.runs.objective_form import check_terms, lacking
from aebench.bench.runs.plugins import load_plugins
from aebench.bench.runs.request import Request
from aebench.bench.runs.workers import Processes
from aebench.bench.suites.config import Evaluation
from aebench.bench.suites.suite import load_suite
from aebench.metrics import extractor
from aebench.metrics.registry import METRICS
from aebench.models import AUTOENCODERS, DENSITIES, OBJECTIVES, SPACES, build
from aebench.models.registry import Registry

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "extending.md"
FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
FILE = re.compile(r'```\w+ title="(.+?)"\n(.*?)```', re.DOTALL)
SMALL = ["dataset=digits", "backbone=tiny", "seed=0", "training.steps=2", "training.batch_size=20"]
SMALL += ["evaluation.images=30", "tuning.steps=2"]
OBJECTIVE = """
from aebench.models import OBJECTIVES, Objective

@OBJECTIVES.register("{name}")
class Own(Objective):
    def terms(self, x, generator):
        errors = (x - self.mean(self.code(x))).square().flatten(1).sum(1)
        return {{"distortion": {factor} * errors}}
"""
METRIC = """
from aebench.metrics.registry import register

@register("{name}", unit="share", better="higher")
def own(*, real, generated):
    return {{"own": 1.0}}
"""


EXTRACTOR = """
from aebench.metrics.extractor import Extractor, register_extractor

@register_extractor("own")
class Own(Extractor):
    def find_weights(self):
        return None

    def embed(self, images):
        return {returned}
"""


@pytest.fixture(autouse=True)
def forgotten(tmp_path, monkeypatch):
    """Forgets after each test what plug-ins have registered."""
    # Folders are scanned once, so before the names are kept.
    for registry in (OBJECTIVES, DENSITIES, SPACES, AUTOENCODERS, DATASETS, TABLES, PLOTS):
        registry.names()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    extractor.scan_extractors()
    monkeypatch.setattr(extractor, "EXTRACTORS", dict(extractor.EXTRACTORS))
    known_metrics()
    monkeypatch.setattr(plugins, "_LOADED", {})
    metrics, modules = dict(METRICS), set(sys.modules)
    yield
    METRICS.clear()
    METRICS.update(metrics)
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The folder in which the files of the page lie, as the reader's working folder."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        Path(name).write_text(text, encoding="utf-8")
    draw = np.random.default_rng(0)
    for name in ("real", "generated"):
        np.save(f"{name}.npy", draw.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8))
    return tmp_path


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_command_of_the_page_does_what_it_says(page, capsys):
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) >= 7
    said = []
    for line in lines:
        words = [f"{w}.npy" if w in ("real", "generated") else w for w in shlex.split(line)]
        assert words.pop(0) == "aebench"
        if words[0] in ("run", "tune"):
            own = {word.partition("=")[0] for word in words}
            small = [pair for pair in SMALL if pair.partition("=")[0] not in own]
            words += ["--quiet", "--workers", "1", "--set", *small]
        assert main(words) == 0, line
        said.append(capsys.readouterr().out)
    assert re.search(r"^huber +Huber loss", said[0], re.MULTILINE)
    assert re.search(r"^huber +unit: width 0.01 to 1", said[1], re.MULTILINE)
    for name in ("energy", "coarse", "stripes"):
        assert any(re.search(rf"^{name} ", text, re.MULTILINE) for text in said)
    assert any("features   coarse:-" in text for text in said)
    assert set(read_results(page / "stripes").rows["dataset"]) == {"stripes"}
    rows = read_results(page / "results" / "mine").rows
    own = rows[rows["objective"] == "huber"]
    assert set(own["variant"]) == {"", '{"width":0.05}', '{"width":0.5}'}
    assert set(own["status"]) == {"ok"} and own["run"].nunique() == 3
    assert "huber" in (page / "results" / "mine" / "tuning.csv").read_text(encoding="utf-8")


def test_a_worker_process_loads_the_file_as_the_command_did(page):
    loaded = load_plugins([page / "huber.py"])
    # Not digits, for which the worker would import scikit-learn.
    draw, sizes = np.random.default_rng(0), {"train": 100, "validation": 30, "test": 30}
    images = {k: draw.integers(0, 256, (n, 1, 8, 8), np.uint8) for k, n in sizes.items()}
    np.savez(page / "images.npz", **images)
    settings = dict(pair.split("=") for pair in SMALL)
    settings |= {"dataset": f"npz:{page / 'images.npz'}"}
    settings = {k: int(v) if v.isdigit() else v for k, v in settings.items()}
    settings |= {"evaluation.metrics": ["reconstruction"], "evaluation.densities": []}
    suite = load_suite("mine.toml", settings=settings, only={"objective": "huber"})
    request = Request(suite.configs[0], page / "out", plugins=loaded)
    write_asked(request.out, suite.configs)
    [done] = Processes(1).map([request], lambda event: None)
    assert (done.outcome, done.error) == ("trained", None)
    # Of another text than the command had loaded, nothing is trained.
    (page / "huber.py").write_text("x = 1\n", encoding="utf-8")
    plugins._LOADED.clear()  # As in a process that has just begun.
    done = carry_out(replace(request, out=page / "other"), lambda event: None)
    assert "has changed since the command began" in str(done.error)


def test_the_metric_of_the_page_is_right_on_its_example_and_where_laws_are_equal(page):
    load_plugins([page / "energy.py"])
    module = sys.modules["energy"]
    assert doctest.testmod(module).attempted == 1 and doctest.testmod(module).failed == 0
    draw = np.random.default_rng(1)
    found = [
        module.energy(real=draw.normal(size=(50, 3)), generated=draw.normal(size=(60, 3)))
        for _ in range(30)
    ]
    values = np.array([each["energy"].value for each in found])
    assert abs(values.mean()) < 3 * values.std(ddof=1) / 30**0.5


def code_of(module, text, folder):
    """Returns the digest of the training of an objective in a module."""
    load_plugins([written(folder, f"{module}.py", text)])
    sizes = {"backbone": "tiny", "image_shape": (1, 8, 8), "latent_dim": 2}
    model = build("own", **sizes)
    return training_code(model, model.backbone, model.space)


def test_the_file_counts_in_the_digest_as_an_installed_module_does(tmp_path, monkeypatch):
    text = OBJECTIVE.format(name="own", factor=1.0)
    found = code_of("of_a_plugin", text, tmp_path)
    del OBJECTIVES._entries["own"], sys.modules["of_a_plugin"]
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("of_a_plugin")
    model = build("own", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2)
    assert training_code(model, model.backbone, model.space) == found


def test_another_line_is_another_digest_and_a_comment_is_not(tmp_path):
    texts = (
        OBJECTIVE.format(name="own", factor=1.0),
        OBJECTIVE.format(name="own", factor=1.0) + "# a comment\n",
        OBJECTIVE.format(name="own", factor=2.0),
    )
    found = []
    for at, text in enumerate(texts):
        (tmp_path / str(at)).mkdir()
        found.append(code_of("changing", text, tmp_path / str(at)))
        plugins._LOADED.clear()
        code._read.cache_clear()  # Each is what another process would find.
        del OBJECTIVES._entries["own"], sys.modules["changing"]
    assert found[0] == found[1] != found[2]


BAD = {
    "missing": (
        "absent.py",
        None,
        "Plug-in '.*absent.py' cannot be read: No such file or directory",
    ),
    "no Python": ("own.txt", "", "does not end in .py; expected a Python file"),
    "syntax": ("own.py", "x = 1\ndef (:\n", r"own.py', line 2: SyntaxError: "),
    "nothing": ("own.py", "x = 1\n", "registers nothing; expected a decorator"),
    "objective": (
        *("own.py", OBJECTIVE.format(name="vae", factor=1)),
        "line 4: ValueError: Objective 'vae' is registered twice",
    ),
    "metric": (
        *("own.py", METRIC.format(name="frechet")),
        "line 4: ValueError: Metric 'frechet' is registered twice: by aebench.metrics",
    ),
    "direction": (
        *("own.py", METRIC.format(name="own").replace("higher", "best")),
        "metric 'own' with better='best'; expected one of: higher, lower, closer, none",
    ),
    "need": (
        *("own.py", METRIC.format(name="own").replace("generated", "fake")),
        "metric 'own', which asks for 'fake'; expected some of clean, .* a default",
    ),
    "need of no run": (
        *("own.py", METRIC.format(name="own").replace("real, generated", "log_prob")),
        "metric 'own', which asks for 'log_prob'; expected some of",
    ),
    "failure": ("own.py", "x = 1\n1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
    "exit": ("own.py", "import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    "relative": ("own.py", "from .objective import OBJECTIVES\n", "by their whole names"),
    "name": ("json.py", METRIC.format(name="own"), "would be module 'json', which is there"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_and_exit_code_2(case, tmp_path, capsys):
    name, text, expected = BAD[case]
    path = tmp_path / name if text is None else written(tmp_path, name, text)
    assert main(["list", "objectives", "--plugin", str(path)]) == 2
    told = capsys.readouterr()
    assert re.search(expected, told.err) and told.err.count("\n") == 1 and told.out == ""


def test_a_metric_may_ask_for_whatever_a_run_over_images_or_texts_gives_and_no_more(tmp_path):
    settings = Evaluation(metrics=(), densities=(), features=(), likelihood_images=0)
    given: dict[str, object] = {"noise_sigma": 0.5, "are_vectors": False, "may_overflow": False}
    form = SimpleNamespace(task="smiles", padding=0)
    outputs: Any = SimpleNamespace(**given, densities={}, settings=settings, form=form)
    record = EvaluationRecord(tmp_path / "evaluation.json", {"weights": "", "data": ""})
    found: set[str] = set()
    for kind in (Evaluator, TextEvaluator):
        found |= {*kind(outputs, {}, settings, record, "cpu")._providers}
    metric = find_metric("frechet")
    assert {plugins._unfit_metric(replace(metric, needs=(name,))) for name in found} == {""}
    told = plugins._unfit_metric(replace(metric, needs=("fake",)))
    listed = told.partition("some of ")[2].partition(";")[0]
    assert listed.split(", ") == sorted(found)


CONSTRUCTORS = {
    "backbone, space, *, weight=1.0": "no 'preset'",
    "backbone, space, weight=1.0": "no 'preset', and 'weight' before the '*'",
    "backbone, *, preset='mnist'": "not both 'backbone' and 'space'",
    "backbone, space, *, preset='mnist', width": "of 'Own' has no default for 'width'; expected",
    "backbone, space, *, preset='mnist'": "does not call its parent's",
}


@pytest.mark.parametrize("parameters", CONSTRUCTORS)
def test_a_constructor_of_another_form_is_told_what_it_lacks(parameters, tmp_path, capsys):
    text = OBJECTIVE.format(name="own", factor=1).replace(
        "    def terms", f"    def __init__(self, {parameters}):\n        pass\n\n    def terms"
    )
    words = ["run", "quick", "--only", "objective=own", "--dry-run", "--out", str(tmp_path)]
    path = written(tmp_path, "own_form.py", text)
    assert main([*words, "--plugin", str(path), "--set", "backbone=tiny"]) == 2
    told = capsys.readouterr().err
    assert CONSTRUCTORS[parameters] in told and told.count("\n") == 1
    assert 'expected __init__(self, backbone, space, *, preset="mnist"' in told


@pytest.mark.parametrize("option", ["alpha", "seed", "form", "space", "latent_dim", "objective"])
def test_an_option_named_as_a_setting_of_a_run_is_refused_when_its_file_is_read(option, tmp_path):
    constructor = f"def __init__(self, backbone, space, *, preset='mnist', {option}=1.0)"
    if option == "space":
        constructor = constructor.replace("backbone, space", "network, data")
    text = OBJECTIVE.format(name="own", factor=1).replace(
        "    def terms", f"    {constructor}:\n        ...\n\n    def terms"
    )
    with pytest.raises(UserError, match=f"option '{option}' of 'Own' .*; give it another name"):
        load_plugins([written(tmp_path, "own_option.py", text)])


OWN_ERROR = """
class OwnError(Exception):
    def __init__(self, what, where):
        super().__init__(f"{what} at {where}")
"""
RAISES = "raise OwnError('lost', 3)"
RAISING = {
    "when it is made": (
        "    def __init__(self, backbone, space, *, preset='mnist'):\n"
        f"        super().__init__(backbone, space, preset=preset)\n        {RAISES}"
    ),
    "at the trial of its terms": f"    def total(self, terms):\n        {RAISES}",
    "in training": (
        "    def total(self, terms):\n        if len(terms['distortion']) > 3:\n"
        f"            {RAISES}\n        return super().total(terms)"
    ),
    "when its codes are decoded": f"    def decode(self, z):\n        {RAISES}",
}


@pytest.mark.parametrize("case", RAISING)
def test_an_error_of_an_objectives_own_kind_is_one_line_and_exit_code_2(case, tmp_path, capsys):
    text = f"{OWN_ERROR}{OBJECTIVE.format(name='own', factor=1)}\n{RAISING[case]}\n"
    path = written(tmp_path, "own_raising.py", text)
    words = ["run", "quick", "--workers", "1", "--quiet", "--plugin", str(path)]
    words += ["--only", "objective=own", "--out", str(tmp_path / "out"), "--set", *SMALL]
    words += ["objective=own", 'evaluation.features=["pixels"]']
    assert main([*words, 'evaluation.densities=["gaussian"]']) == 2
    told = capsys.readouterr().err
    found = [line for line in told.splitlines() if "OwnError" in line]
    assert found and "Traceback" not in told
    assert re.search(r"own_raising\.py', line \d+: OwnError: lost at 3$", found[0])


def test_an_installed_package_that_fails_to_load_is_one_line_with_its_place(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    written(tmp_path, "own_package.py", f"{OWN_ERROR}{RAISES}\n")
    information = tmp_path / "own_package-1.0.dist-info"
    information.mkdir()
    written(information, "METADATA", "Name: own-package\nVersion: 1.0\n")
    written(information, "entry_points.txt", "[aebench.models]\nany = own_package\n")
    monkeypatch.setattr(OBJECTIVES, "_scanned", False)
    assert main(["list", "objectives"]) == 2
    told = capsys.readouterr().err
    assert told == "aebench: Module 'own_package', line 5: OwnError: lost at 3\n"


OPTIONS = {
    ("{'widht': Range(0.1, 1.0)}", "0.5"): "Unknown option 'widht'. Did you mean 'width'?",
    ("{'width': (0.1, 1.0)}", "0.5"): "has (0.1, 1.0) for 'width'; expected a Range",
    ("['width']", "0.5"): "'tunable' of 'Own' is ['width']; expected a Range for each option",
    ("{'width': Range(0.1, 1.0)}", "None"): "is None, and 'tunable' names it; expected a number",
    ("{}", "frozenset()"): "Option 'width' of 'Own' is frozenset(); expected what the record",
    ("{}", "float('inf')"): "Option 'width' of 'Own' is inf; expected what the record",
}


@pytest.mark.parametrize(("tunable", "default"), OPTIONS)
def test_options_that_cannot_be_tuned_or_recorded_are_refused_before_any_step(
    tunable, default, tmp_path, capsys
):
    text = OBJECTIVE.format(name="own", factor=1).replace("Objective\n", "Objective, Range\n")
    constructor = f"def __init__(self, backbone, space, *, preset='mnist', width={default})"
    text = text.replace(
        "    def terms",
        f"    tunable = {tunable}\n\n    {constructor}:\n"
        "        super().__init__(backbone, space, preset=preset)\n\n    def terms",
    )
    path = written(tmp_path, "own_options.py", text)
    words = ["tune", "quick", "--trials", "2", "--workers", "1", "--quiet", "--plugin", str(path)]
    words += ["--only", "objective=own", "--out", str(tmp_path / "out"), "--set", *SMALL]
    assert main([*words, 'evaluation.features=["pixels"]', "objective=own"]) == 2
    told = capsys.readouterr().err
    assert OPTIONS[tunable, default] in told and told.count("\n") == 1
    assert not (tmp_path / "out" / "tuning").exists()


ERRORS = "(x - self.mean(self.code(x))).square()"
TERMS = {
    f"{{'d': {ERRORS}.mean()}}": r"Term 'd' of 'Own' is \(\) for 3 images; expected shape \(3,\)",
    f"{{'d': {ERRORS}.sum(1)}}": r"Term 'd' of 'Own' is \(3, 8, 8\) for 3 images",
    f"{ERRORS}.flatten(1).sum(1)": "'terms' of 'Own' returns Tensor; expected tensors",
    "{'d': x.flatten(1).sum(1)}": "No term of 'Own' depends on a parameter",
    f"{{'step': {ERRORS}.flatten(1).sum(1)}}": (
        "'terms' of 'Own' has a term 'step'; expected a name without '/' that is none of learning_"
    ),
    f"{{'d': {ERRORS}.flatten(1).sum(1), 'loss': x.flatten(1).sum(1)}}": "has a term 'loss'; expe",
    f"{{'d/e': {ERRORS}.flatten(1).sum(1)}}": "'terms' of 'Own' has a term 'd/e'; expected a name",
    "{'d': self.absent(x)}": "own_terms.py', line 7: AttributeError: 'Own' object has no",
}


@pytest.mark.parametrize("returned", TERMS)
def test_terms_that_would_train_something_else_are_refused_before_the_first_step(
    returned, tmp_path, capsys
):
    head = OBJECTIVE.format(name="own", factor=1).partition("        errors")[0]
    path = written(tmp_path, "own_terms.py", f"{head}        return {returned}\n")
    words = ["run", "quick", "--only", "objective=own", "--dry-run", "--out", str(tmp_path)]
    settings = ["--set", "dataset=digits", "backbone=tiny"]
    assert main([*words, "--plugin", str(path), *settings]) == 2
    told = capsys.readouterr().err
    assert re.search(TERMS[returned], told) and told.count("\n") == 1


def test_a_term_with_the_name_of_a_diagnostic_is_refused(tmp_path):
    text = OBJECTIVE.format(name="own_twice", factor=1)
    text += '\n    def diagnostics(self, x):\n        return {"distortion": x.mean()}\n'
    load_plugins([written(tmp_path, "own_twice.py", text)])
    model = build("own_twice", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2)
    with pytest.raises(
        ValueError, match=r"has a term 'distortion'; expected a name .* distortion, "
    ):
        check_terms(model, torch.zeros(3, 1, 8, 8, dtype=torch.uint8))


def test_a_sole_term_may_be_called_loss(tmp_path):
    text = OBJECTIVE.format(name="own_loss", factor=1).replace('"distortion"', '"loss"')
    load_plugins([written(tmp_path, "own_loss.py", text)])
    check_terms(
        build("own_loss", backbone="tiny", image_shape=(1, 8, 8), latent_dim=2),
        torch.zeros(3, 1, 8, 8, dtype=torch.uint8),
    )


RETURNED = {
    "0.5": r"returns 0\.5; expected scores by name, each a number or an Estimate, such as \{'en",
    "None": "returns None; expected scores",
    "'half'": "returns 'half'; expected scores",
    "{}": r"returns \{\}; expected scores",
    "{'own': None}": r"returns \{'own': None\}; expected scores",
    "{'own': '0.5'}": r"returns \{'own': '0\.5'\}; expected scores",
    "{'own': [1.0, 2.0]}": r"returns \{'own': \[1\.0, 2\.0\]\}; expected scores",
    "{'own': Estimate(None)}": r"returns \{'own': Estimate\(.*; expected scores",
    "{1: 0.5}": r"returns \{1: 0\.5\}; expected scores",
    "{'own': 1 + 2e-6}": r"returns \{'own': 1\.000002\}; its unit is 'share'",
    "{'own': 1.5}": r"returns \{'own': 1\.5\}; its unit is 'share': expected numbers from 0",
    "{'own': Estimate(-0.5, 0.1)}": r"returns \{'own': -0\.5\}; its unit is 'share'",
    "{}['x']": "'own_failing.py', line 6: KeyError: 'x'",
    "__import__('sys').exit(3)": "'own_failing.py', line 6: SystemExit: 3",
    "__import__('no_such_library')": "No module named 'no_such_library'",
    "open('no_such_file')": "No such file or directory: 'no_such_file'",
}


@pytest.mark.parametrize("returned", RETURNED)
def test_a_metric_of_ones_own_that_returns_no_scores_is_one_line_and_leaves_the_others(
    returned, page, capsys
):
    text = METRIC.format(name="own").replace('{"own": 1.0}', returned)
    text = text.replace("import reg", "import Estimate, reg")
    path = written(page, "own_failing.py", text)
    words = [
        "evaluate",
        "real.npy",
        "generated.npy",
        "--features",
        "pixels",
        "--plugin",
        str(path),
    ]
    assert main([*words, "--metrics", "frechet"]) == 0
    alone = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FD ")]
    assert main([*words, "--metrics", "own,frechet"]) == 2
    told = capsys.readouterr()
    assert re.search(f"^aebench: Metric 'own': .*{RETURNED[returned]}", told.err)
    assert told.err.count("\n") == 1
    beside = [line for line in told.out.splitlines() if line.startswith("FD ")]
    assert [line.split()[:3] for line in beside] == [line.split()[:3] for line in alone]
    assert main([*words, "--metrics", "own"]) == 2
    told = capsys.readouterr()
    assert re.search(f"^aebench: No metric applies; 'own': .*{RETURNED[returned]}", told.err)
    assert told.err.count("\n") == 1 and told.out == ""


def test_a_metric_of_ones_own_that_changes_its_arrays_changes_no_other_score(page, capsys):
    change = "real.__imul__(2), generated.__imul__(0)"
    text = METRIC.format(name="own").replace("    return", f"    {change}\n    return")
    path = written(page, "own_changing.py", text)
    for name in ("real", "generated"):  # As numpy arrays, which nothing copies on the way.
        np.save(f"{name}.npy", np.load(f"{name}.npy").reshape(40, 64).astype(float))
    found = []
    for names in ("frechet", "own,frechet"):
        words = ["evaluate", "real.npy", "generated.npy", "--metrics", names]
        assert main([*words, "--plugin", str(path), "--json"]) == 0
        scores = json.loads(capsys.readouterr().out)["scores"]
        found.append({s["metric"]: s["value"] for s in scores})
    assert found[1] == {"own": 1.0, **found[0]} and found[0]["fd"] > 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_a_file_in_any_encoding_that_python_reads_is_a_plugin(encoding, tmp_path, capsys):
    path = tmp_path / "own_encoded.py"
    text = f"# coding: {encoding.removesuffix('-sig')}\n# ü\n{METRIC.format(name='own')}"
    path.write_text(text, encoding=encoding)
    assert main(["list", "metrics", "--plugin", str(path)]) == 0
    assert re.search("^own +unit: share; better: higher$", capsys.readouterr().out, re.MULTILINE)
    assert "ü" in code.source_of("own_encoded")
    metric = known_metrics()["own"]
    assert code.evaluation_code([metric.function.__module__], likelihoods=False)


def test_scores_may_be_numbers_of_any_library_and_are_kept_as_plain_ones(page, capsys):
    returned = "{'a': np.float32(0.5), 'b': torch.tensor(0.25), 'c': Estimate(np.float32(1), "
    text = METRIC.format(name="own").replace(
        '{"own": 1.0}', f"{returned}torch.tensor(0.125)), 'd': 1 + 1e-9}}"
    )
    text = text.replace("import reg", "import Estimate, reg")
    path = written(page, "own_numbers.py", f"import numpy as np\nimport torch\n{text}")
    words = ["evaluate", "real.npy", "generated.npy", "--features", "pixels", "--metrics", "own"]
    assert main([*words, "--plugin", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["scores"]
    values = [(each["metric"], each["value"], each["stderr"]) for each in found]
    assert values == [
        ("a", 0.5, None),
        ("b", 0.25, None),
        ("c", 1.0, 0.125),
        ("d", 1 + 1e-9, None),
    ]


def small_run(**given):
    settings = dict(pair.split("=") for pair in SMALL)
    settings = {k: int(v) if v.isdigit() else v for k, v in settings.items()}
    settings |= {"evaluation.densities": ["gaussian"], "evaluation.features": ["pixels"]}
    return run("mine.toml", settings=settings | given.pop("settings", {}), progress=False, **given)


def test_in_a_run_such_a_metric_is_a_row_that_says_so_and_the_others_are_scored(page):
    written(page, "own_failing.py", METRIC.format(name="own").replace('{"own": 1.0}', "0.5"))
    with pytest.warns(UserWarning, match=r"^3 scores failed\. 'own': returns 0\.5; expected"):
        rows = small_run(
            plugins=["huber.py", "own_failing.py"],
            only={"objective": "ae"},
            settings={"evaluation.metrics": ["own", "frechet"]},
        )
    failed = rows[rows["metric"] == "own"]
    assert len(failed) and set(failed["status"]) == {"failed"}
    assert failed["reason"].str.startswith("returns 0.5; expected scores by name").all()
    assert set(rows[(rows["metric"] == "fd") & (rows["objective"] == "ae")]["status"]) == {"ok"}


def test_a_score_under_the_name_of_another_metrics_is_refused(page, capsys):
    path = written(page, "own_fd.py", METRIC.format(name="own").replace('{"own"', '{"fd"'))
    words = ["evaluate", "real.npy", "generated.npy", "--features", "pixels"]
    words += ["--metrics", "frechet,own", "--plugin", str(path), "--json"]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err == "aebench: Metric 'own': another metric has a score 'fd', too\n"
    assert [s["metric"] for s in json.loads(told.out)["scores"]] == ["fd", "own"]
    with pytest.raises(UserError, match=r"ae digits .*: Two metrics have a score 'fd'; give that"):
        small_run(
            plugins=[path],
            only={"objective": "ae"},
            settings={"evaluation.metrics": ["frechet", "own"]},
        )


def test_from_python_a_run_takes_plugins_as_the_command_does(page):
    rows = small_run(
        plugins="huber.py",
        only={"objective": "huber"},
        settings={"evaluation.metrics": ["reconstruction"]},
    )
    words = ["run", "mine.toml", "--quiet", "--workers", "1", "--only", "objective=huber"]
    words += ["--plugin", "huber.py", "--out", "other", "--set", *SMALL]
    words += ['evaluation.metrics=["reconstruction"]', 'evaluation.densities=["gaussian"]']
    words += ['evaluation.features=["pixels"]']
    assert main(words) == 0
    other = read_results(page / "other").rows
    own = rows[rows["objective"] == "huber"].sort_values(["run", "metric"])
    other = other[other["objective"] == "huber"].sort_values(["run", "metric"])
    assert len(own) and own["run"].tolist() == other["run"].tolist()
    assert own["value"].tolist() == other["value"].tolist()


TABLE = """
from aebench.bench.comparison.table import TABLES

@TABLES.register("own-table")
def own(rows):
    return []
"""
PLOT = """
from aebench.bench.figures.canvas import PLOTS

@PLOTS.register("own-plot")
def own(rows, runs):
    return iter(())
"""


@pytest.mark.parametrize(("text", "registry"), [(TABLE, TABLES), (PLOT, PLOTS)])
def test_a_file_with_a_table_or_a_plot_alone_is_a_plugin(text, registry, tmp_path, capsys):
    path = written(tmp_path, "own_shown.py", text)
    assert main(["list", "suites", "--plugin", str(path)]) == 0
    assert [name for name in registry.names() if name.startswith("own-")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("made", [None, "x", ["x"], [("name", 3)]])
def test_a_table_or_a_plot_of_ones_own_that_makes_none_is_told_by_its_name(
    made, tmp_path, monkeypatch
):
    rows = FACTORY["frame"](FACTORY["table_rows"](seeds=(0,)))
    monkeypatch.setattr(TABLES, "_entries", {"own": lambda rows: made})
    with pytest.raises(UserError, match=r"Table 'own' makes .*; expected a list of Table"):
        all_tables(rows, {})
    monkeypatch.setattr(PLOTS, "_entries", {"own": lambda rows, runs: made})
    with pytest.raises(UserError, match=r"Plot 'own' makes .*; expected pairs of a file name"):
        write_figures(rows, RunFiles(tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("returned", ["[1.0]", "images.mean()", "None"])
def test_an_extractor_of_ones_own_that_gives_no_features_is_told_by_its_name(
    returned, page, capsys
):
    path = written(page, "own_extractor.py", EXTRACTOR.format(returned=returned))
    words = ["evaluate", "real.npy", "generated.npy", "--features", "own", "--plugin", str(path)]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("aebench: Extractor 'own' gives no tensor of shape (B, F): ")
    assert told.count("\n") == 1


def test_the_page_says_of_every_kind_what_to_import_and_how_to_register_it():
    table = PAGE.read_text(encoding="utf-8").partition("## All kinds")[2].split("\n\n")[2]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines()[2:]]
    names = {"feature extractor": "extractor", "autoencoder with weights": "autoencoder"}
    kinds = {names.get(kind := row[0].removeprefix("| "), kind) for row in cells}
    assert {kind for kind, _ in plugins._registered()} <= kinds
    for _, imported, registered, _ in cells:
        found: dict[str, object] = {}
        exec(imported.strip("`"), found)
        assert registered.strip("`@").partition("(")[0].partition(".")[0] in found


def test_whatever_is_registered_by_name_counts_as_what_a_plugin_may_register():
    for path in (ROOT / "bench").rglob("*.py"):
        if "Registry(" in path.read_text(encoding="utf-8"):
            importlib.import_module(f"aebench.{'.'.join(path.relative_to(ROOT).parts)[:-3]}")
    known = {kind for kind, _ in plugins._registered()}
    modules = [m for name, m in sorted(sys.modules.items()) if name.startswith("aebench.")]
    held = [r for m in modules for r in vars(m).values() if isinstance(r, Registry)]
    assert {r.kind for r in held if r.names()} <= known and len(known) >= 9


def test_a_file_that_was_changed_under_way_is_told_so(tmp_path):
    path = written(tmp_path, "own_changed.py", METRIC.format(name="own"))
    load_plugins([path])
    written(tmp_path, "own_changed.py", METRIC.format(name="other"))
    with pytest.raises(UserError, match="has changed since this process loaded it; restart Pyth"):
        load_plugins([path])


def test_terms_that_change_their_images_are_tried_on_a_copy(tmp_path):
    text = OBJECTIVE.format(name="own", factor=1).replace(
        "        errors", "        x.mul_(0)\n        errors"
    )
    load_plugins([written(tmp_path, "own_in_place.py", text)])
    sizes = {"backbone": "mlp", "image_shape": (1, 1, 5), "latent_dim": 2, "space": "real"}
    vectors = torch.ones(3, 1, 1, 5)
    check_terms(build("own", **sizes), vectors)
    assert bool((vectors == 1).all())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "class Own(Objective)",
            "class Own",
            "objective 'own_form' by 'Own'; expected a class th",
        ),
        ('"own_form"', '"own\\nform"', "objective 'own\\nform'; expected a name"),
        (
            '"own_form"',
            '""',
            "objective ''; expected a name",
        ),
    ],
)
def test_what_cannot_be_an_objective_is_refused_when_its_file_is_read(
    old, new, told, tmp_path, monkeypatch
):
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    text = OBJECTIVE.format(name="own_form", factor=1).replace(old, new)
    with pytest.raises(UserError, match=re.escape(told)):
        load_plugins([written(tmp_path, "own_form.py", text)])
    sys.modules.pop("own_form")


UNFIT = {
    "from aebench.models import DENSITIES\n@DENSITIES.register('own')\ndef own(): ...": (
        "density 'own' by 'own'; expected a class that inherits from Density"
    ),
    "from aebench.models import DENSITIES, Density\n@DENSITIES.register('own')\n"
    "class Own(Density):\n    def fit(self, codes, seed): ...": (
        "density 'own' by 'Own', which lacks sample; expected it defined"
    ),
    "from aebench.models import DENSITIES, Density\n@DENSITIES.register('own')\n"
    "class Own(Density):\n    def __init__(self, count): ...\n"
    "    def fit(self, codes, seed): ...\n    def sample(self, count, generator): ...": (
        "density 'own' by 'Own'; expected a call Own() to work: missing a required"
    ),
    "from aebench.models import SPACES\n@SPACES.register('own')\nclass Own: ...": (
        "space 'own' by 'Own'; expected a class that inherits from Space"
    ),
    "from aebench.bench.data.dataset import DATASETS\n@DATASETS.register('own')\ndef own(): ...": (
        "data set 'own' by 'own'; expected an object of a class that inherits from Source"
    ),
    "from aebench.bench.data.dataset import Source, register\n@register\n"
    "class Own(Source):\n    name = 'own'\n    def read(self): ...": (
        "data set 'own' by 'Own'; expected an object of a class that inherits from Source"
    ),
    "from aebench.metrics.extractor import register_extractor\n@register_extractor('own')\n"
    "class Own: ...": "extractor 'own' by 'Own'; expected a class that inherits from Extractor",
    "from aebench.models import AUTOENCODERS\nAUTOENCODERS.register('own')(3)": (
        "autoencoder 'own' by 'int'; expected a call int() to work: 3 is not a call"
    ),
    "from aebench.bench.comparison.table import TABLES\n@TABLES.register('own')\ndef own(): ...": (
        "table 'own' by 'own'; expected a call own(rows) to work: too many"
    ),
    "from aebench.bench.figures.canvas import PLOTS\n@PLOTS.register('own')\ndef own(rows): ...": (
        "plot 'own' by 'own'; expected a call own(rows, runs) to work: too many positional"
    ),
}


@pytest.mark.parametrize("text", UNFIT)
def test_what_is_not_of_its_kind_is_refused_in_one_line_when_its_file_is_read(
    text, tmp_path, capsys
):
    path = written(tmp_path, "own_unfit.py", f"{text}\n")
    assert main(["list", "suites", "--plugin", str(path)]) == 2
    told = capsys.readouterr().err
    assert f"'{path}' registers {UNFIT[text]}" in told and told.count("\n") == 1


def test_what_is_of_its_kind_is_taken_with_options_of_its_own(tmp_path, capsys):
    text = """
from aebench.models import DENSITIES, Density

@DENSITIES.register("own-K")
class Own(Density):
    def __init__(self, count, *, shrinkage=0.0): ...
    def fit(self, codes, seed): ...
    def sample(self, count, generator): ...
"""
    path = written(tmp_path, "own_density.py", text)
    assert main(["list", "densities", "--plugin", str(path)]) == 0
    assert re.search("^own-K", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("noise", "owner"),
    [
        ("torch.randn_like(x)", "torch"),
        ("np.random.rand()", "NumPy"),
        ("np.random.normal()", "NumPy"),
        ("random.random()", "Python"),
    ],
)
def test_terms_with_noise_of_a_librarys_own_are_refused_since_no_run_could_be_repeated(
    noise, owner, tmp_path
):
    text = OBJECTIVE.format(name="own_noise", factor=1).replace(
        "        errors", f"        x = x + {noise}\n        errors"
    )
    imports = "import random\nimport numpy as np\nimport torch\n"
    load_plugins([written(tmp_path, "own_noise.py", f"{imports}{text}")])
    sizes = {"backbone": "mlp", "image_shape": (1, 1, 5), "latent_dim": 2, "space": "real"}
    with pytest.raises(
        ValueError, match=rf"'terms' of '\w+' draws from {owner}'s own random numbers"
    ):
        check_terms(build("own_noise", **sizes), torch.ones(3, 1, 1, 5))


def test_every_objective_of_the_project_has_the_form():
    for _, named in OBJECTIVES.items():
        assert {lacking(named.in_space(space)) for space in named.spaces} == {""}

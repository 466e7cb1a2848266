"""Which code a number depends on: what moves its digest, and what does not."""

from __future__ import annotations

import ast
import hashlib
import importlib
import pkgutil
import subprocess
import sys
import textwrap

import pytest
from aebench.bench.evaluation.identity import evaluation_identity
from aebench.bench.records import code
from aebench.bench.suites.config import Evaluation
from aebench.models import build

OWN = "plugin_of_the_test"
CODE = '''
    """A module."""
    def double(x):
        """Doubles."""
        # A comment.
        return 2 * x
'''


def forget():
    code._read.cache_clear()


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Returns a function that writes modules of one package and returns the first's digest."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / OWN).mkdir()
    (tmp_path / OWN / "__init__.py").write_text("")

    def digest(**modules: str) -> str:
        for name, text in modules.items():
            (tmp_path / OWN / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        forget()
        return code.code_digest([f"{OWN}.{next(iter(modules))}"], ())

    yield digest
    for name in [n for n in sys.modules if n.startswith(OWN)]:
        del sys.modules[name]


@pytest.fixture
def changed(monkeypatch):
    """Returns a function that adds a line to the source of one module; the others stay as read."""
    source_of, read = code.source_of, code._read

    def change(module: str) -> None:
        monkeypatch.setattr(code, "source_of", lambda name: source_of(name) + "\nADDED = 1\n")
        monkeypatch.setattr(
            code, "_read", lambda name: (read.__wrapped__ if name == module else read)(name)
        )

    return change


def test_comments_docstrings_and_layout_do_not_change_the_digest_and_code_does(digest_of):
    first = digest_of(a=CODE)
    assert len(first) == 16
    other = (
        CODE.replace("A comment", "Another").replace("Doubles", "Twice").replace("2 * x", "2*x")
    )
    assert digest_of(a=other) == first
    assert digest_of(a=CODE.replace("2 * x", "3 * x")) != first


@pytest.mark.parametrize(
    "uses",
    [
        "from .base import double\nfour = double(2)\n",
        f"import {OWN}.base\n",
        f"def four():\n    from {OWN} import base\n    return base.double(2)\n",
    ],
)
def test_imports_of_every_form_are_followed_within_a_package(digest_of, uses):
    changed = CODE.replace("2 * x", "3 * x")
    assert digest_of(a=uses, base=CODE) != digest_of(a=uses, base=changed)
    alone = "import json\nfour = json.dumps(4)\n"
    assert digest_of(a=alone, base=CODE) == digest_of(a=alone, base=changed)


def test_a_module_under_its_old_name_is_followed_under_its_present_one(digest_of):
    for uses in (
        "from aebench.models.vae import VAE\n",
        "import aebench.models.vae\n",
        "from aebench.models import VAE\n",
        "from aebench.models.objectives import vae\n",
    ):
        assert digest_of(a=uses) and f"{OWN}.a" in code._reach([f"{OWN}.a"], ())
        reached = code._reach([f"{OWN}.a"], ("aebench.models",))
        assert {"aebench.models.objectives.vae", "aebench.models.spaces.space"} <= reached
        assert not {"aebench.models.vae", "aebench.models"} & reached


def training_digest(objective="rae-gp", space="unit"):
    model = build(
        objective, backbone="aef-small", image_shape=(1, 28, 28), latent_dim=2, space=space
    )
    return code.training_code(model, model.backbone, model.space)


@pytest.fixture(scope="module")
def unchanged():
    """The digest of a training by the code as it is."""
    return training_digest()


TRAINING = [
    f"training.{m.name}"
    for m in pkgutil.iter_modules(importlib.import_module("aebench.bench.training").__path__)
]


@pytest.mark.parametrize(
    "module",
    [
        *(f"aebench.bench.{name}" for name in TRAINING),
        *("aebench.models.objectives.rae", "aebench.models.objectives.gradient_penalty"),
        *("aebench.models.objectives.objective", "aebench.models.backbones.aef"),
        *("aebench.models.backbones.upsampling", "aebench.models.spaces.space"),
        *("aebench.models.building", "aebench.models.streams"),
    ],
)
def test_a_line_in_what_trains_a_run_moves_its_digest(unchanged, changed, module):
    changed(module)
    assert training_digest() != unchanged


def test_a_logit_run_depends_on_its_space_and_a_unit_run_does_not(changed):
    before = training_digest("vae", "logit"), training_digest("vae", "unit")
    changed("aebench.models.spaces.logit")
    after = training_digest("vae", "logit"), training_digest("vae", "unit")
    assert before[0] != after[0] and before[1] == after[1]


@pytest.mark.parametrize(
    "module",
    [
        *("aebench.bench.tables.wide", "aebench.bench.figures.sheet", "aebench.bench.cli.run"),
        *("aebench.bench.runs.runner", "aebench.bench.evaluation.evaluation"),
        *("aebench.models.objectives.wae_mmd", "aebench.models.backbones.rae"),
        "aebench.metrics.prd",
    ],
)
def test_a_line_elsewhere_does_not_move_the_digest_of_a_training(unchanged, changed, module):
    changed(module)
    assert training_digest() == unchanged


@pytest.mark.parametrize(
    ("module", "moves"),
    [
        ("aebench.bench.evaluation.outputs", True),
        ("aebench.bench.evaluation.interpolation", True),
        ("aebench.metrics.prd", True),
        ("aebench.metrics.screening", True),
        ("aebench.metrics.features.lite0", True),
        ("aebench.models.densities.gmm", True),
        ("aebench.bench.likelihood.importance", False),
        ("aebench.bench.tables.wide", False),
        ("aebench.bench.training.trainer", False),
    ],
)
def test_an_evaluation_depends_on_what_scores_and_on_nothing_else(changed, module, moves):
    def digest():
        return evaluation_identity(Evaluation(), "data")["code"]

    before = digest()
    changed(module)
    assert (digest() != before) == moves


def test_a_likelihood_depends_on_its_estimator(changed):
    settings = Evaluation(likelihood_images=1)
    before = evaluation_identity(settings, "data")
    changed("aebench.bench.likelihood.annealing_path")
    assert evaluation_identity(settings, "data") != before


@pytest.mark.parametrize(
    ("module", "moves"),
    [
        ("aebench.bench.optimisation.surrogate", True),
        ("aebench.bench.evaluation.text_outputs", True),
        ("aebench.bench.data.texts", True),
        ("aebench.models.sequences.decoding", True),
        ("aebench.models.sequences.grammar", True),
        ("aebench.metrics.molecules", True),
        ("aebench.bench.evaluation.interpolation", False),
        ("aebench.bench.tables.strings", False),
    ],
)
def test_rounds_of_a_search_depend_on_what_proposes_decodes_and_judges(changed, module, moves):
    before = code.search_code()
    changed(module)
    assert (code.search_code() != before) == moves


SYNTAX = """
from __future__ import annotations
import a.b as c
@deco
async def f(x: int = 1, *, y=None, z, **k) -> None:
    async with x as w: yield f"{x!r:>{y}} a" "b" f"{z=}"
class A(B, metaclass=M):
    v: int
    def g(self, /, *args): return lambda: (None, ..., {**a, "k": b"x"}, [*c], 1e3, -0.0)
match x:
    case {"a": 1, **rest} if rest: pass
    case A(b=None) | [1, *_]: pass
try: pass
except* E as e: raise X from e
"""


def test_code_reads_the_same_under_every_python():
    # The digest of Python 3.11's own dump of it; 3.12 and 3.13 dump it otherwise.
    text = code.syntax_text(ast.parse(SYNTAX))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "76896d2e9d817fbc"


def test_a_class_of_a_script_has_its_file_as_its_code(monkeypatch, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("class Model: ...\n")
    main = type(sys)("__main__")
    main.__file__, main.__spec__ = str(script), None
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert code.source_of("__main__") == script.read_text()
    main.__file__ = None
    assert code.source_of("__main__") == ""


def test_a_script_started_as_a_module_may_import_from_beside_it(tmp_path):
    folder = tmp_path / OWN
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "beside.py").write_text("FACTOR = 2\n")
    text = "from aebench.bench.records.code import code_digest\nfrom .beside import FACTOR\n"
    (folder / "run.py").write_text(f"{text}print(code_digest(['__main__'], ()))\n")
    command = [sys.executable, "-m", f"{OWN}.run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert len(done.stdout.strip()) == 16, done.stderr

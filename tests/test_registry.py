"""The one registry class: names, near matches, plug-in files and entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.metrics.extractor import EXTRACTORS, scan_extractors
from aebench.metrics.registry import METRICS, import_plugins
from aebench.models.registry import Registry, UnknownName, unknown_name

DROPPED_IN = '''
"""A trivial objective, as a new user writes it."""

from aebench.models.objective import OBJECTIVES, Objective, squared_error


@OBJECTIVES.register("x")
class X(Objective):
    """Squared error alone."""

    def terms(self, x, generator):
        y, _ = self.space(x)
        return {"distortion": squared_error(y, self.mean(self.code(y)))}
'''
USED = """
import sys
import aebench.models
aebench.models.__path__.append(sys.argv[1])
import torch
from aebench.models import build
from aebench.models.objective import OBJECTIVES
sizes = dict(backbone="tiny", image_shape=(1, 8, 8), latent_dim=2)
objective = build("x", **sizes)
loss = objective.loss(torch.rand(3, 1, 8, 8), torch.Generator())
sys.stdout.write(f"{'x' in OBJECTIVES.names()} {len(OBJECTIVES.names()) > 5} {tuple(loss.shape)}")
"""


@pytest.fixture
def colours():
    registry: Registry[str] = Registry("colour", folder="aebench.models.spaces", group="none")
    registry.register("green")("the green one")
    registry.register("red")("the red one")
    return registry


def make_package(folder: Path, name: str, **modules: str) -> None:
    """Writes a package with a folder of things, and modules that name the place of a thing."""
    things = folder / name / "things"
    things.mkdir(parents=True)
    for package in (things.parent, things):
        (package / "__init__.py").write_text("")
    registry = f'THINGS = Registry("thing", folder="{name}.things", group="{name}")\n'
    source = "from aebench.models.registry import Registry\n" + registry
    (things / "base.py").write_text(source)
    for module, place in modules.items():
        text = f'from {name}.things.base import THINGS\nTHINGS.register("{module}")("{module}")\n'
        (folder / name / place / f"{module}.py").write_text(text)


@pytest.fixture
def importable(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_registered_entries_are_found_and_sorted(colours):
    assert colours.get("red") == "the red one"
    assert colours.names() == ["green", "red"]
    assert list(colours.items()) == [("green", "the green one"), ("red", "the red one")]


def test_an_unknown_name_gets_the_near_match_and_the_list(colours):
    expected = r"^Unknown colour 'rad'\. Did you mean 'red'\? Known: green, red\.$"
    with pytest.raises(UnknownName, match=expected):
        colours.get("rad")
    with pytest.raises(UnknownName, match=r"^Unknown colour 'zzz'\. Known: green, red\.$"):
        colours.get("zzz")
    assert unknown_name("size", "x", []) == "Unknown size 'x'. Known: ."


def test_a_name_taken_by_something_defined_elsewhere_is_refused():
    registry: Registry[type] = Registry("shape", folder="aebench.models.spaces", group="none")

    class Square: ...

    class Circle: ...

    registry.register("round")(Circle)
    with pytest.raises(ValueError, match=r"Shape 'round' is registered twice: by .*Circle and by"):
        registry.register("round")(Square)
    assert registry.get("round") is Circle


def test_a_module_that_is_imported_twice_may_register_again():
    registry: Registry[type] = Registry("shape", folder="aebench.models.spaces", group="none")

    def define() -> type:
        class Circle: ...

        return registry.register("round")(Circle)

    first, second = define(), define()
    assert first is not second
    assert registry.get("round") is second


def test_a_file_in_the_folder_or_beside_it_is_found_by_the_scan(importable):
    make_package(importable, "scanned_a", inside="things", beside="")
    from scanned_a.things.base import THINGS

    assert THINGS.names() == ["beside", "inside"]
    assert THINGS.get("beside") == "beside"


def test_a_module_of_another_distribution_is_found_by_its_entry_point(importable):
    make_package(importable, "scanned_b", one="things")
    plugin = 'from scanned_b.things.base import THINGS\nTHINGS.register("two")("second")\n'
    (importable / "other_distribution.py").write_text(plugin)
    information = importable / "other_distribution-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: other-distribution\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[scanned_b]\nany = other_distribution\n")
    from scanned_b.things.base import THINGS

    assert THINGS.names() == ["one", "two"]
    assert THINGS.get("two") == "second"


EXTRACTOR = """
from aebench.metrics.extractor import Extractor, register_extractor

@register_extractor("pixels")
class Pixels(Extractor):
    pass
"""
METRIC = """
from aebench.metrics.registry import register

@register("frechet", unit="", better="lower")
def frechet(*, real, generated):
    return {"fd": 0.0}
"""


@pytest.mark.parametrize(
    ("group", "code", "expected"),
    [
        ("metrics", METRIC, ", line 4: ValueError: Metric 'frechet' is registered twice: by "),
        ("extractors", EXTRACTOR, ", line 4: ValueError: Extractor 'pixels' is registered twice"),
        ("metrics", "def (:", " cannot be loaded: SyntaxError: "),
    ],
    ids=["our metric's name", "our extractor's name", "no Python"],
)
def test_an_installed_package_that_cannot_be_loaded_is_one_line_and_replaces_nothing(
    group, code, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(str(tmp_path))
    scan_extractors()
    before = metrics(), dict(EXTRACTORS)
    (tmp_path / "broken_package.py").write_text(code)
    information = tmp_path / "broken_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: broken-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[aebench.{group}]\nany = broken_package\n")
    import_plugins.cache_clear()
    assert main(["list", "metrics" if group == "metrics" else "features"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"aebench: Module 'broken_package'{expected}")
    assert told.count("\n") == 1
    assert (dict(sorted(METRICS.items())), EXTRACTORS) == before


def test_a_broken_plug_in_is_an_error_each_time_and_not_only_once(importable):
    make_package(importable, "scanned_c", one="things")
    (importable / "scanned_c" / "things" / "two.py").write_text("raise RuntimeError('broken')\n")
    from scanned_c.things.base import THINGS

    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            THINGS.names()


def test_an_objective_dropped_into_the_folder_can_be_built(tmp_path):
    (tmp_path / "x.py").write_text(DROPPED_IN)
    command = [sys.executable, "-c", USED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True True (3,)", 0), done.stderr

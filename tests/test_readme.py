"""README's instructions, followed as a new user would."""

from __future__ import annotations

import configparser
import importlib.util
import re
import runpy
import sys
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.models.objectives.objective import OBJECTIVES

README = Path(__file__).parent.parent / "README.md"
RESULTS = README.parent / "results"


@pytest.fixture
def added_model(tmp_path):
    """The model of the section 'Add a model', as a module of the objectives."""
    section = README.read_text(encoding="utf-8").partition("## Add a model")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    path = tmp_path / "x.py"
    path.write_text(code, encoding="utf-8")
    name = "aebench.models.objectives.x_of_the_readme"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    OBJECTIVES.names()
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield "x"
    del sys.modules[name]
    del OBJECTIVES._entries["x"]


def test_the_model_of_the_readme_is_listed_and_runs_under_the_suite(added_model, tmp_path, capsys):
    assert main(["list", "objectives"]) == 0
    assert re.search(r"^x +Sum of absolute errors", capsys.readouterr().out, re.MULTILINE)
    settings = ["training.steps=2", "evaluation.images=30", "training.train_images=200"]
    settings += ['evaluation.features=["pixels"]', 'evaluation.metrics=["frechet"]']
    arguments = ["run", "quick", "--only", f"objective={added_model}", "--out", str(tmp_path)]
    assert main([*arguments, "--workers", "1", "--set", *settings]) == 0
    assert main(["report", str(tmp_path)]) == 0
    table = (tmp_path / "tables" / "fd.md").read_text(encoding="utf-8")
    assert re.search(r"^\| x +\|", table, re.MULTILINE)


def test_readme_has_at_most_120_lines_beside_its_results():
    before, _, rest = README.read_text(encoding="utf-8").partition("<!-- results -->")
    after = rest.partition("<!-- end of results -->")[2]
    assert after and len(f"{before}{after}".splitlines()) <= 120


def test_the_two_commands_open_the_readme():
    first = README.read_text(encoding="utf-8").split("```")[1].strip().splitlines()
    commands = [line.partition("#")[0].strip() for line in first]
    assert commands == [
        "python3 -m pip install tox-uv && tox -e quick",
        "python3 -m pip install tox-uv && tox -e test",
    ]


def test_the_first_command_trains_although_the_rows_of_the_quick_suite_are_committed():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(README.parent / "tox.ini", encoding="utf-8")
    words = settings["testenv:quick"]["commands"].split()
    assert words[:3] == ["aebench", "run", "quick"] and "--retrain" in words


def test_the_table_of_the_readme_is_that_of_the_committed_results():
    def lines(text):
        return [re.sub(r"[\s:-]+", " ", x) for x in text.splitlines() if x.startswith("| ")]

    readme = README.read_text(encoding="utf-8").partition("<!-- results -->")[2]
    opening = readme.partition("<!-- end of results -->")[0]
    # Cells name their count of seeds, as (5), (4/5) or (3/5, 1 untrusted).
    shown = [x for x in lines(opening) if re.search(r"\(\d+(/\d+)?[,)]", x)]
    pages = [*RESULTS.glob("README.md"), *RESULTS.glob("families-*/README.md")]
    assert len(shown) > 15
    assert set(shown) <= {
        line for page in pages for line in lines(page.read_text(encoding="utf-8"))
    }


def test_the_readme_says_what_the_page_of_results_opens_with():
    script = runpy.run_path(str(README.parent / "scripts" / "readme.py"))
    readme, page = (path.read_text(encoding="utf-8") for path in (README, RESULTS / "README.md"))
    assert script["with_opening"](readme, page) == readme


def test_the_script_puts_the_opening_of_the_page_where_the_readme_has_its_results(tmp_path):
    script = runpy.run_path(str(README.parent / "scripts" / "readme.py"))
    page = "# Results\n\n**What we found.** x\n\n![a](<b/plots/a.png>)\n\n| suite | runs |\n"
    readme = "top\n\n<!-- results -->\nold\n<!-- end of results -->\n\nrest\n"
    new = script["with_opening"](readme, page)
    assert new == (
        "top\n\n<!-- results -->\n**What we found.** x\n\n![a](<results/b/plots/a.png>)"
        "\n<!-- end of results -->\n\nrest\n"
    )
    assert script["with_opening"](new, page) == new
    assert script["with_opening"](readme, "# Results\n\n| suite | runs |\n") == readme

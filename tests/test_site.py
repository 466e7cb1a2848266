"""The documentation site: what is generated is whole, and a broken link stops the build."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aebench.bench.cli.main import COMMANDS
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.models import OBJECTIVES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGE = "# A page\n\n[Another](other.md), [the results](../results/README.md)\n"


def build(source, out, *options):
    """Builds a site as `tox -e docs` does, and returns how it ended."""
    words = ["-q", "-W", "--keep-going", "-c", str(source / "docs"), *options]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(source), str(out)],
        capture_output=True,
        text=True,
    )


@pytest.fixture
def site(tmp_path):
    """A checkout of two pages and one of results, under the project's own configuration."""
    for folder in ("docs/root", "docs/static", "results/study/tables"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("conf.py", "generated.py", "root/index.html", "static/site.css"):
        shutil.copy(DOCS / name, tmp_path / "docs" / name)
    (tmp_path / "results" / "leaderboard.html").write_text("<p>board</p>")
    (tmp_path / "results" / "README.md").write_text("# Results\n\n[Study](study/README.md)\n")
    study = "[tables](tables/) and [one](tables/fd.md)\n\n# Study\n"
    (tmp_path / "results" / "study" / "README.md").write_text(f"# Study\n\n{study}")
    (tmp_path / "results" / "study" / "tables" / "fd.md").write_text("**A | table**\n\nx\n")
    toctree = "```{toctree}\nother\n/results/README\n/results/study/README\n```\n"
    (tmp_path / "docs" / "index.md").write_text(f"{PAGE}\n{toctree}")
    (tmp_path / "docs" / "other.md").write_text("# Other\n\n```{generated} objectives\n```\n")
    return tmp_path


def test_broken_links_and_a_page_in_no_list_stop_the_build_and_nothing_else_does(site):
    index = site / "docs" / "index.md"
    index.write_text(f"{index.read_text()}\n[gone](gone.md) [lost](other.md#nowhere)\n")
    (site / "docs" / "loose.md").write_text("# Loose\n")
    done = build(site, site / "out")
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if "WARNING" in line]
    for at, word in enumerate(("loose.md", "'gone.md'", "'nowhere'")):
        assert word in told[at], done.stderr
    assert len(told) == 3
    pages = {path.relative_to(site / "out").as_posix() for path in site.glob("out/**/*.html")}
    assert {"index.html", "leaderboard.html", "docs/index.html", "docs/other.html"} <= pages
    table = (site / "out" / "results" / "study" / "tables" / "fd.html").read_text()
    assert re.search(r"<h1>A \| table", table)
    other = (site / "out" / "docs" / "other.html").read_text()
    assert "what it minimises" in other
    for name in OBJECTIVES.names():
        assert f'href="#objective-{name}"' in other and f'id="objective-{name}"' in other


@pytest.fixture(scope="module")
def generated():
    sys.path.insert(0, str(DOCS))
    try:
        import generated

        yield generated
    finally:
        sys.path.remove(str(DOCS))
        sys.modules.pop("generated", None)


def test_all_objectives_metrics_and_commands_are_listed_with_what_they_are(generated):
    for text, names in (
        (generated.objectives(), OBJECTIVES.names()),
        (generated.scores(), metrics()),
    ):
        rows = re.findall(r"^\| \[`(.+?)`\]\(#", text, re.MULTILINE)
        assert rows == list(names)
        assert len(re.findall(r"^\.\. auto", text, re.MULTILINE)) == len(rows)
    assert "(Silvestri et al., 2023), arXiv 2205.09546" in generated.objectives()
    helps = re.findall(r"^## aebench (\w+)", generated.commands(), re.MULTILINE)
    assert helps == list(COMMANDS)


def test_every_key_of_the_schema_has_a_line_and_every_table_a_section_to_link_to(generated):
    text = generated.suite_schema()
    schema = json.loads((DOCS / "suite.schema.json").read_text(encoding="utf-8"))
    scales = schema["$defs"].pop("Scales")["properties"]
    for part in (schema, *schema["$defs"].values()):
        for key in part.get("properties", {}):
            assert f"| `{key}` |" in text
    assert "NAME: " + ", ".join(f"`{name}`" for name in scales) in text
    linked = {name.lower() for name in schema["$defs"]} - {"scaled"} | {"scales"}
    assert set(re.findall(r"\(#suite-(\w+)\)", text)) == linked
    assert set(re.findall(r"^\(suite-(\w+)\)=$", text, re.MULTILINE)) == linked
    assert "### `[evaluation.optimisation]`" in text
    assert "| `steps` | whole number ≥ 1 |" in text
    assert "| `seed` | whole number ≥ 0 and ≤ 4,294,967,295, or a list |" in text


def test_the_claims_are_those_of_the_committed_pages(generated):
    text = generated.claims()
    tables = sorted((ROOT / "results").glob("*/tables/claims.md"))
    assert len(tables) >= 5
    for path in tables:
        assert f"](/{path.relative_to(ROOT).as_posix()})" in text
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    verdicts = [x for x in page.splitlines() if re.search("supported|contradicted", x)]
    assert verdicts and all(line in text for line in verdicts)


@pytest.mark.long
def test_the_whole_site_is_built_without_a_warning(tmp_path):
    done = build(ROOT, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "docs" / "start.html").is_file()

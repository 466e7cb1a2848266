"""A release: one version, whole archives, and a checklist that refuses."""

from __future__ import annotations

import io
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "release.py"))
Refused, main = SCRIPT["Refused"], SCRIPT["main"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def git(root, *words):
    own = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *own, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return SCRIPT["build"](ROOT, tmp_path_factory.mktemp("dist"))


def test_citation_and_changes_have_the_version_of_the_project():
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(VERSION)} \(", (ROOT / "CHANGELOG.md").read_text(), re.M)
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "bench").rglob("*.py"))
    assert not any(re.search(r"__version__ *= *[\"']", text) for text in sources)


def test_wheel_and_sdist_have_all_code_and_licences_and_nothing_else(built):
    sdist, wheel = built
    assert (sdist.name, wheel.name) == (
        f"aebench-{VERSION}.tar.gz",
        f"aebench-{VERSION}-py3-none-any.whl",
    )
    SCRIPT["check_sdist"](sdist, ROOT)
    SCRIPT["check_wheel"](wheel, ROOT)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        points = archive.read(f"aebench-{VERSION}.dist-info/entry_points.txt").decode()
    assert "aebench/bench/suites/quick.toml" in names and "aebench/models/py.typed" in names
    assert {n.rpartition("/")[2] for n in names if "/licenses/" in n} >= {"LICENSE"}
    assert "[console_scripts]\naebench = aebench.bench.cli.main:main" in points
    assert "[pytest11]" in points
    assert sum(archive.getinfo(n).file_size for n in names) < 20e6
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert not tops & {"tests", "results", "docs", ".ci", "scripts", "examples"}


def rewritten(source, target, *, without="\0", more=""):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if not name.endswith(without):
                new.writestr(name, old.read(name))
        if more:
            new.writestr(more, b"")
    return target


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": "aebench/results/rows.csv"}, "has 1 files too many, such as 'aebench/results"),
        ({"more": "tests/scratch.npz"}, "has 1 files too many, such as 'tests/scratch.npz'"),
        ({"without": "licenses/LICENSE"}, "lacks 'aebench-.*licenses/LICENSE'"),
        ({"without": "LICENSE-fashion-mnist"}, "lacks .*LICENSE-fashion-mnist"),
        ({"without": "quick.toml"}, "lacks 1 files, such as 'aebench/bench/suites/quick.toml'"),
    ],
)
def test_a_wheel_with_more_or_less_is_refused(built, tmp_path, change, told):
    wheel = rewritten(built[1], tmp_path / built[1].name, **change)
    with pytest.raises(Refused, match=told):
        SCRIPT["check_wheel"](wheel, ROOT)


def test_an_sdist_with_tests_or_results_is_refused(built, tmp_path):
    for name in ("tests/test_x.py", "results/results.csv"):
        target = tmp_path / built[0].name
        with tarfile.open(built[0]) as old, tarfile.open(target, "w:gz") as new:
            for member in old.getmembers():
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
            new.addfile(tarfile.TarInfo(f"aebench-{VERSION}/{name}"), io.BytesIO())
        with pytest.raises(Refused, match=f"has 1 files too many, such as '{name}'"):
            SCRIPT["check_sdist"](target, ROOT)


@pytest.fixture
def project(tmp_path):
    """A small repository that would be released, up to the build."""
    root = tmp_path / "project"
    files = {
        "pyproject.toml": '[project]\nname = "aebench"\nversion = "0.2.0"\n',
        "CITATION.cff": "title: x\nversion: 0.2.0\n",
        "CHANGELOG.md": "# Changes\n\n## 0.2.0 (2027-01-02)\n\n- more\n",
        ".ci/run": "echo checked >> ../checked\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    git(root, "init", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-m", "all")
    return root


def edited(root, name, old, new):
    path = root / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    git(root, "commit", "-am", "edit")


CHANGES = {
    "The tree has 1 changes, such as '?? new.txt'": lambda r: (r / "new.txt").write_text("x"),
    "The branch is 'other'; expected 'main'": lambda r: git(r, "switch", "-c", "other"),
    "has the tag v0.2.0 already": lambda r: git(r, "tag", "v0.2.0"),
    "CITATION.cff has version 0.1.0; pyproject.toml has 0.2.0": lambda r: edited(
        r, "CITATION.cff", "0.2.0", "0.1.0"
    ),
    "CHANGELOG.md has no heading '## 0.2.0 (DATE)'": lambda r: edited(
        r, "CHANGELOG.md", "0.2.0", "0.3.0"
    ),
    "CHANGELOG.md dates 0.2.0 'unreleased'": lambda r: edited(
        r, "CHANGELOG.md", "2027-01-02", "unreleased"
    ),
    ".ci/run failed with exit code 3": lambda r: edited(r, ".ci/run", "echo", "exit 3; echo"),
    "The tree has 1 changes, such as '?? litter'": lambda r: edited(
        r, ".ci/run", "echo", "touch litter; echo"
    ),
}


@pytest.mark.parametrize("told", CHANGES)
def test_the_checklist_refuses_in_one_line_and_builds_nothing(project, tmp_path, capsys, told):
    CHANGES[told](project)
    assert main(["--out", str(tmp_path / "dist")], project) == 1
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
    assert not (tmp_path / "dist").exists()
    cheap_first = (tmp_path / "checked").exists()
    assert cheap_first is ("litter" in told)


def test_a_folder_with_files_is_not_added_to(project, tmp_path, capsys):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "old.whl").touch()
    assert main(["--out", str(tmp_path / "dist")], project) == 1
    assert "is not empty" in capsys.readouterr().err


def test_a_tree_that_passes_is_built_from_its_commit_and_refused_for_what_that_lacks(
    project, tmp_path, capsys
):
    (project / ".git" / "info" / "exclude").write_text("litter.py\n")
    (project / "litter.py").touch()  # Of the folder, and of no commit.
    out = tmp_path / "dist"
    assert main(["--out", str(out)], project) == 1
    told, refused = capsys.readouterr()
    assert told.count("ok  ") == 4 and (tmp_path / "checked").exists()
    archive = "aebench-0.2.0.tar.gz"
    assert refused == f"No release: {archive} lacks 4 files, such as 'CHANGELOG.md'.\n"
    assert {file.name for file in out.iterdir()} == {archive, "aebench-0.2.0-py3-none-any.whl"}
    with tarfile.open(out / archive) as built:
        assert not [name for name in built.getnames() if "litter" in name]


def test_the_script_is_a_command():
    script = str(ROOT / "scripts" / "release.py")
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--out" in done.stdout

"""The checklist of a release: refuses a tree that is dirty or red, builds, looks at what is built.

python scripts/release.py --out dist

Wheel and sdist are built from the commit, not from the folder, the wheel from the sdist.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BRANCH = "main"
PACKAGES = ("bench", "metrics", "models")
BESIDE = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "pyproject.toml")
GENERATED = ("PKG-INFO", "setup.cfg", "MANIFEST.in", "constraints.txt")


class Refused(Exception):
    """Something that a release must not have; one line."""


def git(root: Path, *words: str) -> str:
    """Returns what git writes."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def version_of(root: Path) -> str:
    """Returns the version, which `pyproject.toml` alone decides."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def check_tree(root: Path) -> None:
    """Refuses a tree with changes, or another branch than the one that is released."""
    if changed := git(root, "status", "--porcelain"):
        first = changed.splitlines()[0].strip()
        raise Refused(f"The tree has {len(changed.splitlines())} changes, such as '{first}'.")
    branch = git(root, "rev-parse", "--abbrev-ref", "HEAD")
    if branch != BRANCH:
        raise Refused(f"The branch is '{branch}'; expected '{BRANCH}'.")


def check_words(root: Path) -> None:
    """Refuses a version that is tagged already, or that not all files have."""
    version = version_of(root)
    if git(root, "tag", "--list", f"v{version}"):
        raise Refused(f"Version {version} has the tag v{version} already.")
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text("utf-8"), re.M)
    if cited is None or cited[1] != version:
        found = cited[1] if cited else "none"
        raise Refused(f"CITATION.cff has version {found}; pyproject.toml has {version}.")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = dict(re.findall(r"^## (\S+) \((.+)\)$", changes, re.M))
    if version not in headings:
        raise Refused(f"CHANGELOG.md has no heading '## {version} (DATE)'.")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", headings[version]):
        raise Refused(f"CHANGELOG.md dates {version} '{headings[version]}'; expected YYYY-MM-DD.")


def check_green(root: Path) -> None:
    """Runs the maintainers' check; refuses a tree in which it fails."""
    code = subprocess.run(["bash", ".ci/run"], cwd=root, check=False).returncode
    if code:
        raise Refused(f".ci/run failed with exit code {code}.")


def build(root: Path, out: Path) -> tuple[Path, Path]:
    """Builds from the commit; returns the sdist and the wheel that is built from it."""
    with tempfile.TemporaryDirectory() as folder:
        commit, unpacked = Path(folder, "commit"), Path(folder, "unpacked")
        archive = Path(folder, "commit.tar")
        git(root, "archive", "--output", str(archive), "HEAD")
        for file, target in ((archive, commit), (None, unpacked)):
            source = file or next(out.glob("*.tar.gz"))
            with tarfile.open(source) as tar:
                tar.extractall(target, filter="data")
            if file:
                _built(commit, out, "build_sdist")
        _built(next(unpacked.iterdir()), out, "build_wheel")
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def _built(source: Path, out: Path, what: str) -> None:
    code = f"import sys; from setuptools import build_meta; build_meta.{what}(sys.argv[1])"
    words = [sys.executable, "-c", code, str(out.absolute())]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise Refused(f"{what} failed: {last}")


def packaged(root: Path) -> set[str]:
    """Returns the files of the packages that the commit has."""
    return set(git(root, "ls-files", *PACKAGES).splitlines())


def check_wheel(wheel: Path, root: Path) -> None:
    """Refuses a wheel that lacks a file of the packages or a licence, or has anything else."""
    version = version_of(root)
    about = f"aebench-{version}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {f"aebench/{name}" for name in packaged(root)}
    licences = [n for n in wanted if Path(n).name.startswith("LICENSE-")]
    kept = {f"{about}licenses/{name.removeprefix('aebench/')}" for name in licences}
    _compare(
        wheel,
        {name for name in names if not name.startswith(about)},
        wanted,
    )
    if lost := sorted({f"{about}licenses/LICENSE", *kept} - names):
        raise Refused(f"{wheel.name} lacks '{lost[0]}'.")


def check_sdist(sdist: Path, root: Path) -> None:
    """Refuses an sdist that lacks what a build needs or a licence, or has anything else."""
    top = f"aebench-{version_of(root)}/"
    with tarfile.open(sdist) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    if outside := sorted(name for name in names if not name.startswith(top)):
        raise Refused(f"{sdist.name} has '{outside[0]}' outside of '{top}'.")
    own = {name.removeprefix(top) for name in names}
    own = {n for n in own if n not in GENERATED and not n.startswith("aebench.egg-info/")}
    _compare(sdist, own, {*packaged(root), *BESIDE})


def _compare(file: Path, names: set[str], wanted: set[str]) -> None:
    if lost := sorted(wanted - names):
        raise Refused(f"{file.name} lacks {len(lost)} files, such as '{lost[0]}'.")
    if more := sorted(names - wanted):
        raise Refused(f"{file.name} has {len(more)} files too many, such as '{more[0]}'.")


def main(words: list[str] | None = None, root: Path = ROOT) -> int:
    """Goes through the checklist; returns 0 where nothing is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="an empty folder, or none")
    out = parser.parse_args(words).out
    steps: list[tuple[str, Callable[[Path], None]]] = [
        ("the tree is that of a commit of main", check_tree),
        ("version, changes and citation agree", check_words),
        (".ci/run passes", check_green),
        (".ci/run left the tree as it was", check_tree),
    ]
    try:
        if out.exists() and any(out.iterdir()):
            raise Refused(f"'{out}' is not empty.")
        for told, check in steps:
            check(root)
            print(f"ok  {told}", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        sdist, wheel = build(root, out)
        check_sdist(sdist, root)
        check_wheel(wheel, root)
    except Refused as error:
        print(f"No release: {error}", file=sys.stderr)
        return 1
    print(f"ok  {sdist} and {wheel} have what they should, and nothing else")
    print(f"Now: git tag v{version_of(root)}, push it, and upload both files.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

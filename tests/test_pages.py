"""Every shell and Python block of the README and the tutorials, run as a reader would."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.data.dataset import load_dataset
from aebench.bench.runs import dispatch
from aebench.bench.suites.suite_files import suite_names
from PIL import Image

ROOT = Path(__file__).parent.parent
PAGE_BLOCKS = runpy.run_path(str(Path(__file__).with_name("page_blocks.py")))
blocks_of, commands_of, Reader, RUN = (
    PAGE_BLOCKS[name] for name in ("blocks_of", "commands_of", "Reader", "RUN")
)
PAGES = [
    *(ROOT / name for name in ("README.md", "docs/start.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
]
QUICK = {"README.md"}
# Tutorials whose blocks another test runs, and holds against more than exit codes.
TRIED_BY = {
    "docs/extending.md": "test_plugins.py",
    "docs/pretrained.md": "test_pretrained.py",
    "docs/python.md": "test_python.py",
}
# Why a block may stand on a page without being run here.
REASONS = {
    "installs from a package index",
    "downloads weights",
    "takes minutes",
    "takes hours",
    "needs a Slurm cluster",
    "needs a Ray cluster",
}
OTHER_LANGUAGES = {"toml", "yaml", "text"}


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def read(page):
    return blocks_of(page.read_text(encoding="utf-8"), name_of(page))


BLOCKS = [block for page in PAGES for block in read(page)]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader in a folder with the images that the pages speak of, on a machine of one core."""
    folder = tmp_path / "reader"
    images = load_dataset("fashion-mini").train[:240].numpy()
    for at, name in enumerate(("real", "generated", "photos")):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images[80 * at : 80 * (at + 1)]):
            Image.fromarray(image.squeeze()).save(folder / name / f"{number:03d}.png")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(dispatch, "usable_cores", lambda: 1)
    return Reader(folder)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if name_of(page) in QUICK else pytest.mark.long)
        for page in PAGES
    ],
    ids=name_of,
)
def test_every_block_of_a_page_runs_in_order(page, reader):
    blocks = read(page)
    assert blocks
    for block in blocks:
        reader.follow(block)


def test_every_tutorial_of_the_site_is_tried():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (part,) = [x for x in index.split("```") if ":caption: Tutorials" in x]
    names = {f"docs/{line}.md" for line in part.split("\n\n")[-1].split()}
    assert names == {name_of(page) for page in PAGES[2:]} | TRIED_BY.keys()
    for page, test in TRIED_BY.items():
        assert Path(page).name in (ROOT / "tests" / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["docs/install.md", "docs/start.md"])
def test_a_page_that_begins_in_a_clone_writes_into_no_folder_of_committed_results(page):
    # A suite's default folder is where its committed results lie.
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [block.text for block in blocks_of(text, page)]
    lines = [line.split() for block in blocks for line in commands_of(block)]
    runs = [words for words in lines if words[:2] == ["aebench", "run"]]
    assert runs and all("--out" in words for words in runs)
    written = [words[words.index("--out") + 1] for words in runs]
    reported = [words[2] for words in lines if words[:2] == ["aebench", "report"]]
    assert set(written) == set(reported)
    assert not {Path(folder).name for folder in written} & {*suite_names()}


def test_every_fence_names_its_language_and_says_what_a_test_does_with_it():
    for block in BLOCKS:
        directive = block.language.startswith("{")
        assert directive or block.language in {*RUN, *OTHER_LANGUAGES}, block.place
        assert directive or block.words.keys() <= {"not-run", "title"}, block.place


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if "not-run" in b.words], ids=lambda block: block.place
)
def test_a_block_that_is_not_run_says_one_of_the_known_reasons(block):
    assert block.words["not-run"] in REASONS


def test_more_blocks_are_run_than_not():
    run = [block for block in BLOCKS if block.is_run]
    assert len(run) > 2 * len([block for block in BLOCKS if "not-run" in block.words]) > 0


def test_a_failing_block_fails_the_reader(reader):
    page = "```bash\naebench evaluate real nowhere\n```\n\n```python\nraise KeyError\n```\n"
    shell, python = blocks_of(page, "page.md")
    assert (shell.line, python.line) == (1, 5)
    with pytest.raises(AssertionError, match=r"page\.md:1: 'aebench evaluate real nowhere'"):
        reader.follow(shell)
    with pytest.raises(KeyError):
        reader.follow(python)


def test_a_shell_runs_the_same_program_and_stops_at_the_first_failure(reader):
    page = "```bash\naebench --version | cat > said.txt\nfalse | true\n```\n"
    (block,) = blocks_of(page, "page.md")
    with pytest.raises(AssertionError, match=r"'false \| true' ended with 1"):
        reader.follow(block)
    assert (reader.folder / "said.txt").read_text().startswith("aebench ")


def test_the_shift_of_the_tutorial_is_eight(reader):
    blocks = [block for block in read(ROOT / "docs" / "tutorials" / "score-two-folders.md")]
    for block in blocks:
        if block.language == "python":
            reader.follow(block)
    assert float(reader.said) == pytest.approx(8.0, rel=1e-9)
    assert np.load("samples.npz")["arr_0"].shape == (60, 28, 28)

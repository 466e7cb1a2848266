"""Molecules from the wheel of MOSES, from the file of ZINC250k, and what a file may not hold."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import lzma
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aebench.bench.data.dataset import DATASETS, load_dataset
from aebench.bench.data.moses import Drawn, Moses250k
from aebench.bench.data.texts import texts
from aebench.bench.data.zinc250k import FILE, Zinc250k
from aebench.bench.errors import UserError
from aebench.bench.suites.suite import load_suite
from aebench.models.sequences.forms import form

lines = runpy.run_path(str(Path(__file__).with_name("input_files.py")))["lines"]

pytestmark = pytest.mark.usefixtures("root")
PARTS = ("train", "validation", "test")
MOLECULES = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "Cl", "=O", "c1ccccc1")]
UNWRITABLE = ["[H]C", "[2H]C", "C" * 65]


def texts_of(data, part):
    return texts(form(data.form), getattr(data, part))


def table(molecules):
    return gzip.compress("".join(f"{m}\n" for m in ["SMILES", *molecules]).encode(), mtime=0)


def small_moses(files, writing="grammar", passed_over=(2, 0)):
    """Returns the source for small files: all that can be written is drawn.

    In the drawn order one of the three that cannot comes last, when enough are drawn.
    """

    class Small(Moses250k):
        held_out = 5

    Small.files = tuple(
        Drawn(name, hashlib.sha256(content).hexdigest(), count, left)
        for (name, content), count, left in zip(
            files.items(), (len(MOLECULES) - 10, 10), passed_over, strict=True
        )
    )
    return Small(writing)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Returns the files of an installed wheel ``molsets`` that cannot be imported."""
    site = tmp_path / "site"
    data = site / "moses" / "dataset" / "data"
    data.mkdir(parents=True)
    (site / "moses" / "__init__.py").write_text("raise RuntimeError('imported')")
    metadata = site / "molsets-0.3.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: molsets\nVersion: 0.3.1\n")
    files = {
        "train.csv.gz": table([*MOLECULES[:20], *UNWRITABLE, *MOLECULES[20:-10]]),
        "test.csv.gz": table(MOLECULES[-10:]),
    }
    for name, content in files.items():
        (data / name).write_bytes(content)
    monkeypatch.syspath_prepend(str(site))
    return files


def test_molecules_are_read_from_the_wheel_without_importing_it(wheel):
    data = small_moses(wheel).load()
    assert "moses" not in sys.modules
    assert [len(getattr(data, part)) for part in PARTS] == [25, 5, 10]
    assert {*texts_of(data, "train"), *texts_of(data, "validation")} == set(MOLECULES[:-10])
    assert set(texts_of(data, "test")) == set(MOLECULES[-10:])


def test_both_ways_of_writing_draw_the_same_molecules(wheel):
    by_rule, by_character = (small_moses(wheel, w).load() for w in ("grammar", "characters"))
    assert (by_rule.image_shape, by_character.image_shape) == ((1, 160, 76), (1, 64, 35))
    for part in PARTS:
        assert texts_of(by_rule, part) == texts_of(by_character, part)


def test_what_cannot_be_written_is_counted_where_the_data_set_is_shown(wheel):
    state = small_moses(wheel).state()
    assert state.condition == "whole"
    assert state.place.endswith("; 2 of 42 molecules cannot be written and are left out")


def test_another_count_of_molecules_that_cannot_be_written_is_refused(wheel):
    with pytest.raises(UserError, match=r"2 molecules among the first 30 cannot be .* expected 3"):
        small_moses(wheel, passed_over=(3, 0)).read()


def test_the_order_of_the_rows_decides_neither_the_draw_nor_the_parts(wheel, root):
    turned = {
        name: table(gzip.decompress(content).decode().split()[:0:-1])
        for name, content in wheel.items()
    }
    expected = small_moses(wheel).load().digest
    (root / "moses-250k").mkdir()
    for name, content in turned.items():
        (root / "moses-250k" / name).write_bytes(content)
    source = small_moses(turned)
    assert source.load().digest == expected
    assert source.where().startswith(str(root / "moses-250k"))  # It comes before the wheel.


def test_the_script_cuts_the_first_molecules_that_are_drawn(wheel, tmp_path):
    cut = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "cut_moses_mini.py"))["cut"]
    cut.__globals__["COUNTS"] = {"train.csv.gz": 30, "test.csv.gz": 10}
    found = cut(tmp_path / "site" / "moses" / "dataset" / "data").decode().splitlines()
    assert found == [*sorted(MOLECULES[:30]), *sorted(MOLECULES[30:])]


def test_a_changed_file_of_the_wheel_is_refused(wheel):
    assert DATASETS.get("moses-250k").state().condition == "broken"
    with pytest.raises(UserError, match=r"train\.csv\.gz has sha256 .* expected 786f0313"):
        DATASETS.get("moses-250k").read()


@pytest.mark.parametrize("name", ["moses-250k", "moses-250k-characters"])
def test_without_the_wheel_one_line_has_the_command_that_gets_it(name):
    with pytest.raises(
        UserError, match=r"is missing: .* pip install --no-deps molsets$"
    ) as raised:
        load_dataset(name)
    assert "\n" not in str(raised.value)


class SmallZinc(Zinc250k):
    """The released file, were it 40 lines of which 5 test."""

    count, test = 40, 5


def write_zinc(root, molecules):
    (root / "zinc250k").mkdir(exist_ok=True)
    (root / "zinc250k" / FILE).write_text("\n".join(molecules) + "\n")


@pytest.mark.parametrize("writing", ["grammar", "characters"])
@pytest.mark.parametrize("split", ["default", "aef"])
def test_the_lines_of_zinc_decide_the_part_as_published(root, writing, split):
    write_zinc(root, MOLECULES)
    data = SmallZinc(writing).load(split)
    assert sorted(texts_of(data, "test")) == sorted(MOLECULES[:5])
    assert sorted(texts_of(data, "train")) == sorted(MOLECULES[5:36])  # 0.9 x 35, rounded down.
    assert sorted(texts_of(data, "validation")) == sorted(MOLECULES[36:])


def test_within_a_part_the_lines_of_zinc_decide_nothing(root):
    write_zinc(root, MOLECULES)
    first = SmallZinc().load()
    parts = itertools.pairwise((0, 5, 36, 40))
    write_zinc(root, [m for start, stop in parts for m in MOLECULES[start:stop][::-1]])
    assert SmallZinc().load().digest == first.digest


def test_the_released_file_of_zinc_has_the_published_parts():
    source = DATASETS.get("zinc250k")
    trained = int((source.count - source.test) * 0.9)
    assert (source.test, trained, source.count - source.test - trained) == (5_000, 220_010, 24_446)
    assert all(f"{n:,}" in type(source).__doc__ for n in (220_010, 24_446, 5_000))


def test_the_commands_on_zinc_take_the_released_epochs_of_its_own_molecules():
    root = Path(__file__).parent.parent
    page = (root / "docs" / "structured.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [line for line in page.splitlines() if "dataset=zinc250k" in line]
    trained = int((Zinc250k.count - Zinc250k.test) * 0.9)
    assert len(commands) == 2
    for command in commands:
        given = dict(re.findall(r"--set (\S+)=(\S+)", command))
        steps = {name: int(text) for name, text in given.items() if name.endswith("steps")}
        (config, *_) = load_suite(
            "structured-molecules", settings={"dataset": given["dataset"], **steps}
        ).configs
        training, search = config.training, config.evaluation.optimisation
        assert training.steps == 100 * (trained // training.batch_size)
        assert search.steps * search.minibatch == pytest.approx(50 * 0.9 * trained, rel=1e-3)


def test_another_file_of_zinc_is_refused(root):
    write_zinc(root, MOLECULES)
    with pytest.raises(UserError, match=r"holds 40 molecules; expected 249456. Another file can"):
        load_dataset("zinc250k")
    assert DATASETS.get("zinc250k").state().condition == "broken"


def test_the_state_of_zinc_comes_from_its_first_lines(root):
    write_zinc(root, ["?", *MOLECULES[1:]])
    assert "line 1: '?' does not parse" in SmallZinc().state().place
    write_zinc(root, MOLECULES)
    assert SmallZinc().state().condition == "whole"


def test_without_the_file_of_zinc_one_line_says_how_to_get_it():
    with pytest.raises(UserError, match=f"'zinc250k' is missing: .* Put {FILE}, which came"):
        load_dataset("zinc250k")


def test_the_command_that_gets_zinc_writes_the_file_where_it_is_looked_for():
    before, _, command = Zinc250k.advice.partition("Get it there with: ")
    words = shlex.split(command)
    assert words[0] == "curl" and words[words.index("-o") + 1] == f"zinc250k/{FILE}"
    assert words[-1].startswith("https://") and words[-1].endswith(
        f"/grammarVAE/master/data/{FILE}"
    )
    assert "AEBENCH_DATA" in before


def smi(*molecules):
    return "\n".join(molecules).encode()


# What a file holds; its name where that matters; and what the error says further.
FILES = {
    "one SMILES a line, in .smi, .txt, .csv, or packed as .gz or .xz": [
        (smi(*MOLECULES), "a.smi"),
        (smi(*MOLECULES), "a.txt"),
        (smi(*MOLECULES), "a.csv"),
        (gzip.compress(smi(*MOLECULES)), "a.smi.gz"),
        (lzma.compress(smi(*MOLECULES)), "a.smi.xz"),
    ],
    "the heading `SMILES` in the first line": [(smi("SMILES", *MOLECULES), "a.csv")],
    "CRLF at the ends of lines, a byte-order mark, empty lines at the end": [
        (b"\xef\xbb\xbf" + b"\r\n".join(smi(m) for m in MOLECULES) + b"\r\n\r\n", "a.smi"),
        (smi(*(f" {m}\t" for m in MOLECULES)) + b"\n \n", "a.smi"),
    ],
    "a line that repeats another": [(smi(*MOLECULES, *MOLECULES), "a.smi")],
    "no line": [(b"", "a.smi"), (b"\n\n", "a.smi"), (b"SMILES\n", "a.csv")],
    "fewer than three lines": [(smi("CC", "CO"), "a.smi", "holds 2 lines")],
    "a second column, or an empty line": [
        (smi("CC", "CO 17", "CN"), "a.smi", "line 2: has 2 columns"),
        (smi("SMILES", "CC", "CO,1.5,2", "CN"), "a.csv", "line 3: has 3 columns"),
        (smi("CC", "CO", "", "CN"), "a.smi", "line 3: has 0 columns"),
    ],
    "text that is not UTF-8": [(smi("CC", "CO") + b"\n\xff", "a.smi", "line 3: is not UTF-8")],
    "a damaged .gz or .xz file": [
        (gzip.compress(smi(*MOLECULES))[:-9], "a.smi.gz"),
        (smi(*MOLECULES), "a.smi.gz"),
        (lzma.compress(smi(*MOLECULES))[:-9], "a.smi.xz"),
    ],
    "a molecule that the grammar does not have": [
        (smi("CC", "C%10C", "CO", "[Na]"), "a.smi", "line 2: 'C%10C' does not parse: character 2"),
        (smi("CC", "C%10C", "CO", "[Na]"), "a.smi", "So it is with 1 more."),
    ],
    "a molecule of more than 277 productions, or 120 characters": [
        (smi("CC", "CO", "C" * 100), "a.smi", "line 3: 'CCC.*' has 401 productions; "),
        (smi("CC", "CO", "C" * 121), "a.smi", "line 3: 'CCC.*' has 121 characters; "),
    ],
    "a molecule that rdkit rejects, in `aebench data` or where a run scores strings": [
        (
            smi("CC", "C1CC", "CO", "CC(C)(C)(C)C"),
            "a.smi",
            "line 2: rdkit rejects 'C1CC' and 1 more",
        )
    ],
}
CASES = [(line, at) for line, files in FILES.items() for at in range(len(files))]


def test_every_line_on_files_of_smiles_is_tried():
    assert set(FILES) == set(lines("Files of SMILES"))


@pytest.mark.parametrize(("line", "at"), CASES)
def test_a_file_of_smiles_is_read_or_refused_as_the_page_says(tmp_path, line, at):
    content, name, *said = FILES[line][at]
    happens, reason = lines("Files of SMILES")[line]
    path = tmp_path / name
    path.write_bytes(content)
    way = "smiles-characters" if "has 121 characters" in str(said) else "smiles"
    source = DATASETS.get(f"{way}:PATH").at(str(path))
    load: Callable[[], object] = source.check if "rdkit" in line else source.load
    if happens != "refused":
        data = source.load()
        expected = MOLECULES * 2 if "repeats" in line else MOLECULES
        assert sorted(t for part in PARTS for t in texts_of(data, part)) == sorted(expected)
        return
    with pytest.raises(UserError, match=f".*{reason}") as raised:
        load()
    assert raised.match(said[0] if said else str(path))
    assert "\n" not in str(raised.value)


def test_reading_molecules_does_not_ask_rdkit(tmp_path):
    (tmp_path / "a.smi").write_bytes(smi("CC", "C1CC", "CO", "CN"))
    assert len(load_dataset(f"smiles:{tmp_path / 'a.smi'}").train) == 2


@pytest.mark.parametrize("scheme", ["smiles", "smiles-characters"])
def test_a_scheme_without_a_path_or_a_file_is_one_line(scheme, tmp_path):
    with pytest.raises(UserError, match=f"'{scheme}:PATH' needs a path, such as {scheme}:mol"):
        DATASETS.get(f"{scheme}:PATH").read()
    with pytest.raises(UserError, match=r"none\.smi is not there; expected a file of texts"):
        load_dataset(f"{scheme}:{tmp_path / 'none.smi'}")

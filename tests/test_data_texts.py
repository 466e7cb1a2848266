"""Texts as data sets: what they hold, and that neither order nor writing decides the parts."""

from __future__ import annotations

import collections
import hashlib
import itertools
import lzma
import math
import sys

import pytest
from aebench.bench.data.dataset import DATASETS, load_dataset
from aebench.bench.data.expressions import DIGEST, make_expressions
from aebench.bench.data.moses import MINI, MosesMini
from aebench.bench.data.smiles import SmilesFile
from aebench.bench.data.texts import texts
from aebench.bench.errors import UserError
from aebench.bench.pages.strings import WITHOUT_CODE
from aebench.bench.suites.suite import load_suite
from aebench.models.sequences.forms import form

PARTS = ("train", "validation", "test")
PINNED = {
    "expressions": "8a9cb7ed1c042b13",
    "expressions-characters": "22891cd23d6eff53",
    "moses-mini": "b503a2b5a3cd54fc",
    "moses-mini-characters": "c32788fecf49a506",
}
MOLECULES = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "Cl", "=O", "c1ccccc1")]


def texts_of(data, part):
    return texts(form(data.form), getattr(data, part))


@pytest.fixture(scope="module")
def expressions():
    return load_dataset("expressions")


@pytest.fixture(scope="module")
def moses():
    return load_dataset("moses-mini")


@pytest.fixture(scope="module")
def written(expressions, moses):
    """Returns the texts of each part, by data set."""
    return {d.name: {part: texts_of(d, part) for part in PARTS} for d in (expressions, moses)}


def symbols_used(data):
    """Returns how many symbols each row has before its padding, by part."""
    padding = form(data.form).padding
    return {part: (getattr(data, part) != padding).sum((1, 2, 3)).tolist() for part in PARTS}


def test_the_expressions_are_the_published_list():
    found = make_expressions()
    assert hashlib.sha256("\n".join(found).encode()).hexdigest() == DIGEST
    assert (found[0], found[-1]) == ("x+x+(x)+(x+x)", "1/3+(x)+3")
    assert found[99_908] == "1/3+(x)+sin(x*x)"
    assert (len(set(found)), min(map(len, found)), max(map(len, found))) == (100_000, 7, 19)


def test_the_parts_of_the_expressions_hold_each_of_them_once(written):
    found = written["expressions"]
    assert [len(found[part]) for part in PARTS] == [90_000, 5_000, 5_000]
    assert sorted(itertools.chain(*found.values())) == sorted(make_expressions())


def test_the_expressions_have_the_stated_counts_of_productions(expressions):
    used = collections.Counter(itertools.chain(*symbols_used(expressions).values()))
    assert used == {8: 624, 10: 3_748, 12: 28_092, 14: 67_536}


def test_the_parts_of_the_expressions_are_no_pieces_of_the_ordered_list(written):
    first = [text.partition("+(")[0][:3] for text in make_expressions()]
    for part in ("validation", "test"):
        found = collections.Counter(text[:3] for text in written["expressions"][part])
        # Each of the 39 whole beginnings has 128 of 5,000 on average; a piece would have two.
        assert set(found) == set(first)
        assert max(found.values()) < 200


def test_the_target_is_a_training_string_but_not_at_the_small_scale(written):
    place = written["expressions"]["train"].index("1/3+(x)+sin(x*x)")
    asked = {"settings": {"scale": "small"}, "only": {"objective": "rae"}}
    [config] = load_suite("structured-expressions", **asked).configs
    assert place >= config.training.train_images > 0


def test_productions_by_their_shares_at_each_step_reach_the_stated_nats(expressions):
    # Productions 0 to 3 are of S, 4 to 10 of T, and the padding is alone.
    left = [0] * 4 + [1] * 7 + [2]
    train, test = (part[:, 0, 0].tolist() for part in (expressions.train, expressions.test))
    counts = [collections.Counter(step) for step in zip(*train, strict=True)]
    nats = [
        math.log(sum(n for r, n in counts[at].items() if left[r] == left[rule]) / counts[at][rule])
        for row in test
        for at, rule in enumerate(row)
    ]
    assert sum(nats) / len(test) == pytest.approx(WITHOUT_CODE, abs=5e-4)


@pytest.mark.parametrize("name", ["expressions", "moses-mini"])
def test_both_ways_of_writing_hold_the_same_texts_in_the_same_order(written, name):
    by_character = load_dataset(f"{name}-characters")
    assert {part: texts_of(by_character, part) for part in PARTS} == written[name]


def test_what_texts_are_trained_on_is_as_it_was():
    assert {name: load_dataset(name).digest[:16] for name in PINNED} == PINNED


def test_texts_have_no_bits_per_dimension_and_name_their_form(moses):
    assert (moses.native, moses.form, moses.default_space) == (False, "smiles-grammar", "sequence")
    assert load_dataset("digits").form == ""


@pytest.mark.parametrize("name", [n for n, s in DATASETS.items() if s.form])
def test_the_shape_of_a_data_set_of_texts_fits_its_form(name):
    source = DATASETS.get(name)
    written = form(source.form)
    channels, length, symbols = source.image_shape
    assert (channels, symbols) == (1, written.symbols)
    assert length <= written.length
    assert name.partition(":")[0].endswith("-characters") == source.form.endswith("-characters")


def test_moses_mini_gives_its_file_back_to_the_letter(written):
    found = written["moses-mini"]
    stored = lzma.decompress(MINI.read_bytes()).decode().splitlines()
    assert [len(found[part]) for part in PARTS] == [9_000, 1_000, 1_000]
    trained = {*found["train"], *found["validation"]}
    assert (trained, set(found["test"])) == (set(stored[:10_000]), set(stored[10_000:]))
    assert len(trained) + 1_000 == len(set(stored)) == 11_000
    assert MINI.stat().st_size < 300_000
    assert "Insilico Medicine" in (MINI.parent / "LICENSE-moses").read_text()


def test_moses_mini_fits_the_stated_lengths(moses, written):
    assert max(itertools.chain(*symbols_used(moses).values())) <= 157
    assert max(map(len, itertools.chain(*written["moses-mini"].values()))) <= 57


def test_a_changed_file_of_moses_mini_is_refused(tmp_path):
    path = tmp_path / "moses-mini.txt.xz"
    path.write_bytes(lzma.compress(lzma.decompress(MINI.read_bytes())[:-3]))
    with pytest.raises(UserError, match=r"sha256 .* expected 8207cf19"):
        MosesMini(path=path).read()
    assert MosesMini(path=path).state().condition == "broken"


@pytest.mark.parametrize("split", ["default", "aef"])
@pytest.mark.parametrize("scheme", ["smiles", "smiles-characters"])
def test_lines_in_any_order_give_the_same_data(tmp_path, scheme, split):
    repeated = [*MOLECULES, *MOLECULES[:7]]
    (tmp_path / "a.smi").write_text("\n".join(repeated))
    (tmp_path / "b.csv").write_bytes(
        b"\xef\xbb\xbfSMILES\r\n" + "\r\n".join(repeated[::-1]).encode()
    )
    first, second = (load_dataset(f"{scheme}:{tmp_path / n}", split) for n in ("a.smi", "b.csv"))
    assert first.digest == second.digest
    assert first.split == f"{split}, shuffled"
    assert sorted(t for part in PARTS for t in texts_of(first, part)) == sorted(repeated)


def test_a_file_of_molecules_is_split_in_tenths(tmp_path):
    (tmp_path / "a.smi").write_text("\n".join(MOLECULES))
    data = load_dataset(f"smiles:{tmp_path / 'a.smi'}")
    assert [len(getattr(data, part)) for part in PARTS] == [32, 4, 4]


def test_the_state_of_a_file_tells_of_repeated_lines_and_of_rdkit(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("\n".join([*MOLECULES, *MOLECULES[:7]]))
    state = DATASETS.get("smiles:PATH").at(str(path)).state()
    assert state.place == f"{path}; 47 lines, of which 7 repeat another; rdkit reads all"


def test_without_rdkit_the_state_of_a_file_says_that_it_saw_none(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    path = tmp_path / "a.smi"
    path.write_text("\n".join([*MOLECULES, "CC(C)(C)(C)C"]))
    assert SmilesFile(path=path).state().place.endswith("rdkit is not installed and saw none")

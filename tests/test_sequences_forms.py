"""The four ways of writing texts as symbols."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import aebench.models
import numpy as np
import pytest
from aebench.models.sequences.forms import FORMS
from aebench.models.sequences.parsing import SequenceError
from hypothesis import given, settings
from hypothesis import strategies as st

OTHER = runpy.run_path(str(Path(__file__).with_name("sequence_grammars.py")))
# T, K, S: symbols in a sequence, symbols there are, states.
SIZES = {
    "expressions-grammar": (15, 12, 3),
    "expressions-characters": (19, 15, 1),
    "smiles-grammar": (277, 76, 23),
    "smiles-characters": (120, 35, 1),
}
TARGET = "1/3+(x)+sin(x*x)"
LONGEST = "1/2+exp(x)+exp(3+3)"


@pytest.mark.parametrize("name", SIZES)
def test_a_form_has_its_published_sizes_and_the_padding_last(name):
    form = aebench.models.form(name)
    length, symbols, states = SIZES[name]
    assert (form.name, form.length, form.symbols) == (name, length, symbols)
    assert form.padding == symbols - 1 and name.startswith(f"{form.task}-")
    assert form.masks.shape == (states, symbols) and form.masks.dtype == bool
    assert form.state_of.shape == (symbols,) and form.state_of.dtype == np.int64
    assert form.masks[form.state_of[form.padding], form.padding]
    assert symbols <= 256  # They are stored as bytes.


def test_characters_are_numbered_as_published():
    for task, alphabet in {
        "expressions": "x + ( ) 1 2 3 * / s i n e p",
        "smiles": r"C ( ) c 1 2 o = O N 3 F [ @ H ] n - # S l + s B r / 4 \ 5 6 7 I P 8",
    }.items():
        characters = alphabet.split()
        form = aebench.models.form(f"{task}-characters")
        assert form.symbols == len(characters) + 1
        assert form.encode("".join(characters)) == list(range(len(characters)))
        assert form.masks.all()


@pytest.mark.parametrize("name", FORMS)
@given(st.data())
@settings(deadline=None, max_examples=50)
def test_what_is_written_with_padding_is_read_back(name, data):
    form = aebench.models.form(name)
    _, text = data.draw(OTHER["derivation"](form.task, most=20))
    symbols = form.encode(text)
    padded = form.padded(text, length=len(symbols) + 7)
    assert padded == symbols + 7 * [form.padding]
    assert form.padded(text, length=len(symbols)) == symbols
    assert form.text(padded) == form.text(np.array(padded, dtype=np.uint8)) == text
    assert form.text(7 * [form.padding]) == form.text([]) == ""
    states = form.state_of[symbols]
    assert form.masks[states, symbols].all()


def test_the_target_is_written_as_published():
    symbols = aebench.models.form("expressions-grammar").padded(TARGET)
    assert symbols == [0, 0, 2, 3, 8, 10, 4, 3, 7, 5, 1, 3, 7, 7, 11]
    characters = aebench.models.form("expressions-characters").padded(TARGET)
    assert characters == [4, 8, 6, 1, 2, 0, 3, 1, 9, 10, 11, 2, 0, 7, 0, 3, 14, 14, 14]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "expressions-grammar",
            f"{LONGEST}+1",
            r"has 16 productions; 'expressions-grammar' takes at most 15\.",
        ),
        (
            "expressions-characters",
            f"{LONGEST}+1",
            r"has 21 characters; 'expressions-characters' takes at most 19\.",
        ),
        ("smiles-characters", "C" * 121, r"'CC.*\.\.\.' has 121 characters; .* at most 120\."),
        ("smiles-grammar", "C" * 70, r"has 281 productions; .* at most 277\."),
    ],
)
def test_a_text_that_is_too_long_is_refused_by_padding_alone(name, text, message):
    form = aebench.models.form(name)
    assert form.text(form.encode(text)) == text
    with pytest.raises(SequenceError, match=message):
        form.padded(text)


def test_a_text_of_the_most_symbols_is_written():
    assert len(LONGEST) == 19
    characters = aebench.models.form("expressions-characters")
    assert characters.padding not in characters.padded(LONGEST)
    molecule = "C" * 69
    grammar = aebench.models.form("smiles-grammar")
    assert grammar.padded(molecule) == grammar.padded(molecule, length=278)[:277]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x+y", r"'x\+y' cannot be written in 'expressions-characters': character 3 is 'y'"),
        ("x +1", "character 2 is ' '; expected one of 'x.*p'"),
        ("x\n", r"'x\\n' cannot be written .* character 2 is '\\n'"),
    ],
)
def test_a_character_that_a_form_has_not_is_refused_with_its_place(text, message):
    with pytest.raises(SequenceError, match=message):
        aebench.models.form("expressions-characters").encode(text)


def test_padding_between_characters_is_a_space_and_around_them_nothing():
    form = aebench.models.form("expressions-characters")
    assert form.text([14, 0, 14, 4, 14, 14]) == "x 1"


@pytest.mark.parametrize("name", FORMS)
def test_a_symbol_that_there_is_not_is_refused(name):
    form = aebench.models.form(name)
    for symbol in (-1, form.symbols):
        with pytest.raises(SequenceError, match=rf"1 .* is {symbol}; expected"):
            form.text([symbol])


def test_an_unknown_form_gets_the_near_match():
    with pytest.raises(
        ValueError, match=r"Unknown form 'smiles-gramar'\. Did you mean 'smiles-gr"
    ):
        aebench.models.form("smiles-gramar")


def test_forms_are_used_without_torch():
    code = (
        "import sys, aebench.models as m; m.form('smiles-grammar').encode('C');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

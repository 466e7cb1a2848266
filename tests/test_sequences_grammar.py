"""Parsing and writing by grammar, against known counts and other people's parsers."""

from __future__ import annotations

import hashlib
import itertools
import re
import runpy
from collections import Counter
from pathlib import Path

import aebench.models
import numpy as np
import pytest
from aebench.models.sequences.parsing import SequenceError
from aebench.models.sequences.reader import read_grammar
from hypothesis import given, settings
from hypothesis import strategies as st

OTHER = runpy.run_path(str(Path(__file__).with_name("sequence_grammars.py")))
GRAMMARS, MOLECULES = OTHER["GRAMMARS"], OTHER["MOLECULES"]
cfg, choices, first_wrong = OTHER["cfg"], OTHER["choices"], OTHER["first_wrong"]
derivation, derivations = OTHER["derivation"], OTHER["derivations"]
each_grammar = pytest.mark.parametrize("name", sorted(GRAMMARS))

SHA_256 = "8810485b2641860a4b2e30bcb941ab47a1df7aad4cc5b6fe0c07fdfa7cb95a1b"
LEFT_SIDES = {
    "expressions": {"S": 4, "T": 7, "Nothing": 1},
    "smiles": {
        **{"smiles": 1, "atom": 3, "aliphatic_organic": 10, "aromatic_organic": 4},
        **{"bracket_atom": 1, "BAI": 4, "BAC": 3, "BAH": 3, "BACH": 3, "symbol": 2},
        **{"isotope": 3, "DIGIT": 8, "chiral": 2, "hcount": 2, "charge": 6, "bond": 5},
        **{"ringbond": 2, "branched_atom": 4, "RB": 2, "BB": 2, "branch": 2, "chain": 3},
        "Nothing": 1,
    },
}


def expressions():
    """Yields the 100,000 expressions of the data set, in its order."""
    leaves = "x123"
    first = [f"{a}{op}{b}" for op in "+*/" for a in leaves for b in leaves]
    middle = [form.format(a) for form in ("({})", "sin({})", "exp({})", "{}") for a in leaves]
    last = [
        form.format(inner)
        for form, inners in (
            *(
                (form, inners)
                for form in ("({})", "sin({})", "exp({})")
                for inners in (first, leaves)
            ),
            ("{}", leaves),
        )
        for inner in inners
    ]
    made = ("+".join(three) for three in itertools.product(first, middle, last))
    return itertools.islice(made, 100_000)


def wrong_at(name, text):
    """Returns the place that the error of a text names; None where there is no error."""
    try:
        aebench.models.grammar(name).parse(text)
    except SequenceError as error:
        told = str(error)
        assert "\n" not in told
        if "it ends before character 1" in told:
            return 1
        ends = re.search(r"ends after character (\d+), unfinished", told)
        if ends:
            return int(ends[1]) + 1
        place, found = re.search(r"character (\d+) is (.*), not expected", told).groups()
        assert text[int(place) - 1 :].startswith(eval(found))
        return int(place)
    return None


@each_grammar
def test_productions_are_numbered_as_published(name):
    ours = aebench.models.grammar(name).productions
    theirs = [(str(p.lhs()), tuple(map(str, p.rhs()))) for p in cfg(name).productions()]
    assert [(p.left, tuple(s.strip("'") for s in p.right)) for p in ours[:-1]] == theirs
    assert ours[-1] == ("Nothing", ())
    assert len(ours) == {"expressions": 12, "smiles": 76}[name]


@each_grammar
def test_each_left_side_has_its_published_number_of_productions(name):
    grammar = aebench.models.grammar(name)
    counts = np.bincount(grammar.state_of)
    assert dict(zip(grammar.lefts, counts.tolist(), strict=True)) == LEFT_SIDES[name]


@each_grammar
def test_a_mask_allows_the_productions_of_its_left_side_that_can_complete(name):
    grammar = aebench.models.grammar(name)
    closed = {"expressions": [], "smiles": [29, 31]}[name]
    assert np.flatnonzero(~grammar.masks.any(0)).tolist() == closed
    for production, state in enumerate(grammar.state_of):
        states = np.flatnonzero(grammar.masks[:, production]).tolist()
        assert states == ([] if production in closed else [state])
    allowed = {str(left): sorted(rules) for left, rules in choices(name).items()}
    for left, row in zip(grammar.lefts[:-1], grammar.masks, strict=False):
        assert np.flatnonzero(row).tolist() == allowed[left]


def test_all_expressions_are_written_and_read_back_with_the_published_counts():
    grammar = aebench.models.grammar("expressions")
    texts = list(expressions())
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest() == SHA_256
    rules = [grammar.parse(text) for text in texts]
    assert Counter(map(len, rules)) == {8: 624, 10: 3_748, 12: 28_092, 14: 67_536}
    assert list(map(grammar.text, rules)) == texts


def test_expressions_have_the_one_derivation_that_a_chart_parser_finds():
    for text in itertools.islice(expressions(), 0, None, 997):
        assert derivations("expressions", text) == [
            aebench.models.grammar("expressions").parse(text)
        ], text


@pytest.mark.parametrize("molecule", MOLECULES)
def test_drugs_have_the_one_derivation_that_a_chart_parser_finds(molecule):
    text = MOLECULES[molecule]
    grammar = aebench.models.grammar("smiles")
    rules = grammar.parse(text)
    assert derivations("smiles", text) == [rules]
    assert grammar.text(rules) == text


def test_known_numbers_of_productions_of_drugs():
    parse = aebench.models.grammar("smiles").parse
    counts = {molecule: len(parse(text)) for molecule, text in MOLECULES.items()}
    assert counts["aspirin"] == 65 and counts["caffeine"] == 77


@each_grammar
@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_derivation_is_what_its_text_is_parsed_to(name, data):
    rules, text = data.draw(derivation(name))
    grammar = aebench.models.grammar(name)
    assert grammar.parse(text) == rules
    assert grammar.text(rules) == text
    assert grammar.text([*rules, grammar.padding, grammar.padding]) == text
    assert grammar.text(rules[:-1]) == ""


@each_grammar
@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_text_is_refused_where_another_parser_first_refuses_it(name, data):
    _, text = data.draw(derivation(name, most=25))
    symbols = [s for p in cfg(name).productions() for s in p.rhs() if isinstance(s, str)]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(text)))
        new = data.draw(st.sampled_from([*dict.fromkeys(symbols), "", " ", "?", "i", "@@@"]))
        text = text[:place] + new + text[place + data.draw(st.integers(0, 2)) :]
    assert wrong_at(name, text) == first_wrong(name, text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("expressions", "", "The empty text does not parse: it ends before character 1."),
        ("expressions", "x+", "'x+' does not parse: it ends after character 2, unfinished."),
        (
            "expressions",
            "x+)",
            "'x+)' does not parse: character 3 is ')', not expected after '+'.",
        ),
        ("expressions", "si(x)", "character 1 is 's', not expected at the beginning."),
        ("smiles", "C[Na]", "character 4 is 'a', not expected after 'N'."),
        ("smiles", "CC(Cl)@@", "character 7 is '@@', not expected after ')'."),
        ("smiles", "C\nC", r"'C\nC' does not parse: character 2 is '\n', not expected after 'C'."),
        ("smiles", "C" * 99 + "]", "'" + "C" * 57 + "...' does not parse: character 100 is ']'"),
    ],
)
def test_the_error_of_a_text_names_place_and_character(name, text, message):
    with pytest.raises(SequenceError, match=re.escape(message)) as caught:
        aebench.models.grammar(name).parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("expressions", "(" * 5000 + "x" + ")" * 5000), ("smiles", "C(" * 5000 + "C" + ")" * 5000)],
)
def test_no_text_is_too_long_or_too_deep(name, text):
    grammar = aebench.models.grammar(name)
    assert grammar.text(grammar.parse(text)) == text


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([0, 3, 12], "Production 3 of a derivation in 'expressions' is 12; expected one of 'T'."),
        ([-1], "Production 1 of a derivation in 'expressions' is -1; expected one of 'S'."),
        ([3, 0], r"Production 2 .* is 0 \(S -> S '\+' T\); expected one of 'T'."),
        ([3, 7, 7], r"Production 3 .* is 7 \(T -> 'x'\); expected one of 'Nothing'."),
        ([3, 11, 7], r"Production 2 .* is 11 \(Nothing ->\); expected one of 'T'."),
        ([3, 7, 11, 7], r"Production 4 .* is 7 \(T -> 'x'\); expected one of 'Nothing'."),
    ],
)
def test_productions_that_are_no_derivation_are_refused(rules, message):
    with pytest.raises(SequenceError, match=message):
        aebench.models.grammar("expressions").text(rules)


def test_a_derivation_that_can_never_end_has_no_text():
    grammar = aebench.models.grammar("smiles")
    rules = grammar.parse("[C+]")
    last = rules.index(30)
    assert grammar.text([*rules[:last], 31]) == ""
    with pytest.raises(SequenceError, match=r"expected one of 'class'"):
        grammar.text([*rules[:last], 31, 70])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Nothing.\n", " has no rules."),
        ("S -> 'x'\nS = 'y'", "line 2: \"S = 'y'\" is not a rule"),
        ("S -> 'x' |", "line 1: .* is not a rule"),
        ("\n# Comment.\nS -> | 'x'", "line 3: .* is not a rule"),
        ("S ->", "line 1: 'S ->' is not a rule"),
        ("S -> 'x", "line 1: .* is not a rule"),
        ("'S' -> 'x'", "line 1: .* is not a rule"),
        ("S -> 'x'\nnever", "line 2: 'never' is not a rule"),
        ("S -> 'x'\nS -> 'y'", "line 2: 'S' has a line already"),
        ("S -> 'x' | 'x'", "line 1: 'S -> 'x'' is written twice"),
        ("S -> 'x'\nNothing -> 'y'", "line 2: 'Nothing' is the padding"),
        ("S -> 'x' | T", r"'T' has no rules; expected a line \"T -> ...\" or \"never T\"."),
        ("S -> 'x' | Nothing", "'Nothing' has no rules"),
        ("S -> 'x'\nT -> 'y'", "'T' is unreachable from 'S'."),
        ("S -> 'x' | U T\nT -> 'y'\nnever U", "'T' is unreachable from 'S'."),
        ("S -> 'x' | T\nT -> 'y' T", "'T' is unproductive"),
        ("S -> 'x' | T\nT -> U\nnever U", "'T' is unproductive"),
        ("S -> 'x'\nnever S", "'S' has rules; expected none"),
        ("S -> 'x'\nnever T", "'T' is unreachable: no rule has it"),
        ("S -> 'x' | T\nT -> S", "'S' can become 'S' alone"),
    ],
)
def test_a_damaged_grammar_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=f"^Grammar 'g'.*{message}") as caught:
        read_grammar(text, "g")
    assert "\n" not in str(caught.value)


def test_a_grammar_is_read_as_it_is_written():
    grammar = read_grammar("# Sums.\n\n S  ->  S '|' T  |  T \nT -> '#' | U '->'\nnever U", "g")
    assert [str(p) for p in grammar.productions] == [
        *("S -> S '|' T", "S -> T", "T -> '#'", "T -> U '->'", "Nothing ->"),
    ]
    assert grammar.masks.astype(int).tolist() == [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ]
    assert grammar.parse("#|#") == [0, 1, 2, 2]


def test_an_ambiguous_text_is_refused():
    grammar = read_grammar("S -> S '+' S | 'x'", "g")
    assert grammar.parse("x+x") == [0, 1, 1]
    with pytest.raises(SequenceError, match=r"'x\+x\+x' can be read in 2 ways; expected one\."):
        grammar.parse("x+x+x")


def test_an_unknown_grammar_gets_the_near_match():
    with pytest.raises(ValueError, match=r"Unknown grammar 'smile'\. Did you mean 'smiles'\?"):
        aebench.models.grammar("smile")

"""Decoding along a stack, against one string at a time and against another parser."""

from __future__ import annotations

import runpy
from pathlib import Path

import aebench.models
import pytest
import torch
from aebench.models.sequences import decoding
from aebench.models.sequences.decoding import decode
from aebench.models.sequences.forms import FORMS

OTHER = runpy.run_path(str(Path(__file__).with_name("sequence_grammars.py")))
TEXTS = {
    "expressions": ["x", "1/3+(x)+sin(x*x)", "exp(exp((1)))*2"],
    "smiles": ["C", *OTHER["MOLECULES"].values()],
}


def generator(seed):
    return torch.Generator().manual_seed(seed)


def random_logits(form, count, length, seed=0):
    """Returns logits (count, length, K) with which some strings end and some do not."""
    return 2 * torch.randn(count, length, form.symbols, generator=generator(seed))


def one_by_one(form, scores):
    """Returns the symbols of one string after the other, by the productions of another library."""
    if form.name.endswith("characters"):
        return scores.argmax(2).tolist()
    productions = OTHER["cfg"](form.task).productions()
    choices = OTHER["choices"](form.task)
    decoded = []
    for string in scores.tolist():
        stack = [OTHER["cfg"](form.task).start()]
        symbols = []
        for step in string:
            options = choices[stack.pop()] if stack else [form.padding]
            best = max(options, key=lambda option, step=step: step[option])
            right = productions[best].rhs() if best != form.padding else ()
            stack += [symbol for symbol in reversed(right) if not isinstance(symbol, str)]
            symbols.append(best)
        decoded.append([form.padding] * len(symbols) if stack else symbols)
    return decoded


@pytest.mark.parametrize("name", FORMS)
def test_the_most_likely_symbols_are_those_of_one_string_at_a_time(name):
    form = aebench.models.form(name)
    logits = random_logits(form, 60, 40)
    symbols = decode(form, logits)
    assert symbols.dtype == torch.uint8
    assert symbols.tolist() == one_by_one(form, logits)


@pytest.mark.parametrize("name", FORMS)
def test_drawn_symbols_are_those_of_one_string_at_a_time_under_the_same_noise(name):
    form = aebench.models.form(name)
    logits = random_logits(form, 60, 40)
    noise = -(-torch.rand(logits.shape, generator=generator(3)).log()).log()
    assert noise.isfinite().all()
    symbols = decode(form, logits, generator(3))
    assert symbols.tolist() == one_by_one(form, logits + noise)
    assert not torch.equal(symbols, decode(form, logits))


@pytest.mark.parametrize("task", TEXTS)
def test_what_is_decoded_by_grammar_is_accepted_by_another_parser(task):
    form = aebench.models.form(f"{task}-grammar")
    symbols = decode(form, random_logits(form, 300, 60), generator(1)).tolist()
    texts = [form.text(row) for row in symbols]
    assert 20 < texts.count("") < 280
    for row, text in zip(symbols, texts, strict=True):
        if text:
            assert OTHER["first_wrong"](task, text) is None
            assert form.padded(text, length=60) == row
        else:
            assert row == 60 * [form.padding]


@pytest.mark.parametrize("name", FORMS)
def test_logits_that_say_a_text_are_decoded_to_it_where_it_fits(name):
    form = aebench.models.form(name)
    for text in TEXTS[form.task]:
        length = len(form.encode(text))
        written = torch.tensor([form.padded(text, length=length + 2)])
        logits = 5.0 * torch.nn.functional.one_hot(written, form.symbols)
        assert form.text(decode(form, logits)[0].tolist()) == text
        assert form.text(decode(form, logits[:, :length])[0].tolist()) == text
        cut = text[:-1] if name.endswith("characters") else ""
        assert form.text(decode(form, logits[:, : length - 1])[0].tolist()) == cut


def test_symbols_are_drawn_with_the_probabilities_of_those_allowed():
    form = aebench.models.form("expressions-grammar")
    logits = torch.linspace(-1, 1, 12).expand(20_000, 15, 12)
    symbols = decode(form, logits, generator(0))
    ended = symbols[:, 0] != form.padding
    third = symbols[ended & (symbols[:, 0] == 3), 1].long()  # S -> T leaves T alone.
    allowed = torch.softmax(logits[0, 0, 4:11].double(), 0)
    # A leaf is always whole; a bracket or function need not end.
    leaves = third[third >= 7]
    expected = allowed[3:] / allowed[3:].sum()
    counts = torch.bincount(leaves - 7, minlength=4)
    deviation = (counts - len(leaves) * expected) / (len(leaves) * expected).sqrt()
    assert len(leaves) > 3000 and deviation.abs().max() < 4


def test_strings_in_pieces_are_decoded_as_together(monkeypatch):
    form = aebench.models.form("smiles-grammar")
    logits = random_logits(form, 23, 30)
    together = decode(form, logits, generator(5))
    source = generator(5)
    pieces = [decode(form, piece, source) for piece in logits.split(7)]
    assert torch.equal(torch.cat(pieces), together)
    monkeypatch.setattr(decoding, "ROWS", 4)
    assert torch.equal(decode(form, logits, generator(5)), together)
    assert decode(form, logits[:0]).shape == (0, 30)


def test_a_uniform_number_of_zero_never_chooses_what_is_not_allowed(monkeypatch):
    form = aebench.models.form("expressions-grammar")
    logits = random_logits(form, 50, 15)
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    assert torch.equal(decode(form, logits, generator(0)), decode(form, logits))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_refused_by_string(value, monkeypatch):
    form = aebench.models.form("expressions-grammar")
    monkeypatch.setattr(decoding, "ROWS", 2)
    logits = torch.zeros(6, 15, 12)
    logits[3, 2, 1] = value
    with pytest.raises(ValueError, match=r"The logits of string 3 are not all finite\."):
        decode(form, logits)


@pytest.mark.parametrize("shape", [(4, 15, 11), (15, 12)])
def test_logits_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"have shape \(.*\); expected \(N, T, 12\)\."):
        decode(aebench.models.form("expressions-grammar"), torch.zeros(shape))

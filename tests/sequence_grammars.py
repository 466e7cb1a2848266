"""The two grammars once more, for other people's parsers, and texts made from them."""

from __future__ import annotations

import functools
import itertools
import json
import re

import nltk
from hypothesis import strategies as st
from lark import Lark, UnexpectedCharacters, UnexpectedEOF

EXPRESSIONS = """
S -> S '+' T | S '*' T | S '/' T | T
T -> '(' S ')' | 'sin(' S ')' | 'exp(' S ')' | 'x' | '1' | '2' | '3'
"""
SMILES = r"""
smiles -> chain
atom -> bracket_atom | aliphatic_organic | aromatic_organic
aliphatic_organic -> 'B' | 'C' | 'N' | 'O' | 'S' | 'P' | 'F' | 'I' | 'Cl' | 'Br'
aromatic_organic -> 'c' | 'n' | 'o' | 's'
bracket_atom -> '[' BAI ']'
BAI -> isotope symbol BAC | symbol BAC | isotope symbol | symbol
BAC -> chiral BAH | BAH | chiral
BAH -> hcount BACH | BACH | hcount
BACH -> charge class | charge | class
symbol -> aliphatic_organic | aromatic_organic
isotope -> DIGIT | DIGIT DIGIT | DIGIT DIGIT DIGIT
DIGIT -> '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8'
chiral -> '@' | '@@'
hcount -> 'H' | 'H' DIGIT
charge -> '-' | '-' DIGIT | '-' DIGIT DIGIT | '+' | '+' DIGIT | '+' DIGIT DIGIT
bond -> '-' | '=' | '#' | '/' | '\'
ringbond -> DIGIT | bond DIGIT
branched_atom -> atom | atom RB | atom BB | atom RB BB
RB -> RB ringbond | ringbond
BB -> BB branch | branch
branch -> '(' chain ')' | '(' bond chain ')'
chain -> branched_atom | chain branched_atom | chain bond branched_atom
"""
GRAMMARS = {"expressions": EXPRESSIONS, "smiles": SMILES}
TOKENS = {"expressions": r"sin\(|exp\(|.", "smiles": r"Cl|Br|@@|."}
MOLECULES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "betaine": "C[N+](C)(C)CC(=O)[O-]",
    "levodopa": "N[C@@H](Cc1ccc(O)c(O)c1)C(=O)O",
    "chloramphenicol": "O=C(N[C@H](CO)[C@H](O)c1ccc([N+](=O)[O-])cc1)C(Cl)Cl",
    "tamoxifen": r"CC/C(=C(\c1ccccc1)c1ccc(OCCN(C)C)cc1)c1ccccc1",
}


@functools.cache
def cfg(name):
    return nltk.CFG.fromstring(GRAMMARS[name])


@functools.cache
def chart(name):
    return nltk.ChartParser(cfg(name))


def derivations(name, text):
    """Returns the productions, by number, of every tree that a chart parser finds."""
    numbers = {production: i for i, production in enumerate(cfg(name).productions())}
    trees = chart(name).parse(re.findall(TOKENS[name], text))
    return [[numbers[p] for p in tree.productions()] for tree in trees]


@functools.cache
def earley(name):
    """Returns lark's parser of single characters, without the rules that need 'class'."""
    lines = ["start: r_" + cfg(name).start().symbol().lower()]
    for production in cfg(name).productions():
        right = [
            json.dumps(s) if isinstance(s, str) else f"r_{s.symbol().lower()}"
            for s in production.rhs()
        ]
        if "r_class" not in right:
            lines.append(f"r_{production.lhs().symbol().lower()}: {' '.join(right)}")
    merged = {}
    for line in lines:
        left, _, right = line.partition(": ")
        merged.setdefault(left, []).append(right)
    text = "\n".join(f"{left}: {' | '.join(rights)}" for left, rights in merged.items())
    return Lark(text, parser="earley", lexer="dynamic")


def first_wrong(name, text):
    """Returns the place, from 1, of the first wrong character; that after the last; or None."""
    try:
        earley(name).parse(text)
    except UnexpectedCharacters as error:
        return error.pos_in_stream + 1
    except UnexpectedEOF:
        return len(text) + 1
    return None


@functools.cache
def choices(name):
    """Returns for each left side the productions that can end, those that end soonest first."""
    productions = cfg(name).productions()
    height = {}
    for rounds in itertools.count():
        known = len(height)
        for i, p in enumerate(productions):
            needs = [s for s in p.rhs() if not isinstance(s, str)]
            if i not in height and all(
                any(
                    height.get(j, rounds) < rounds
                    for j, q in enumerate(productions)
                    if q.lhs() == s
                )
                for s in needs
            ):
                height[i] = rounds
        if rounds and len(height) == known:
            break
    chosen = {}
    for i in sorted(height, key=lambda i: (height[i], i)):
        chosen.setdefault(productions[i].lhs(), []).append(i)
    return chosen


@st.composite
def derivation(draw, name, most=40):
    """Draws a leftmost derivation; returns its productions and its text."""
    productions = cfg(name).productions()
    rules, tokens, stack = [], [], [cfg(name).start()]
    while stack:
        symbol = stack.pop()
        if isinstance(symbol, str):
            tokens.append(symbol)
            continue
        options = choices(name)[symbol]
        enough = len(rules) + len(stack) > most
        rules.append(options[0] if enough else draw(st.sampled_from(options)))
        stack += reversed(productions[rules[-1]].rhs())
    return rules, "".join(tokens)

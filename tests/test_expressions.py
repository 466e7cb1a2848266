"""Expressions: their scores against printed ones and Python's own, their language against lark."""

from __future__ import annotations

import ast
import hashlib
import math
import random
import warnings

import numpy as np
import pytest
from aebench.metrics import expression_score, string_scores
from aebench.metrics.expressions import is_expression
from aebench.models import grammar
from lark import Lark
from lark.exceptions import LarkError

WORST = math.log(1001)
POINTS = np.linspace(-10, 10, 1000)
TARGET = 1 / 3 + POINTS + np.sin(POINTS**2)
# Score under true division and, where it differs, with quotients of integers rounded down.
SIX_DIGITS = {
    "1/3+(x)+sin(x*x)": (0, 0.105361),
    "1/2+(x)+sin(x*x)": (0.027399, 0.105361),
    "x/1+sin(3)+sin(x*x)": (0.036280, None),
    "x/x+x+sin(x*x)": (0.367725, None),
    "x": (0.487561, None),
    "1": (3.562353, None),
    "x+1": (0.612996, None),
    "exp(x)": (5.887857, None),
}
FOUR_DIGITS = {
    "x/1+sin(x)+sin(x*x)": (0.4625, None),
    "x/2+sin(1)+(x/2)": (0.5176, None),
    "sin(3)+x": (0.4304, None),
    "x+1/exp(1)": (0.3892, None),
    "x+1+2*sin(3+1+2)": (0.3906, None),
    "x*1+sin(x)+sin(3+x)": (0.4887, None),
    "x/1+sin(1)+sin(2*2)": (0.4506, None),
    "1/1+(x)+sin(1/2)": (0.9782, 0.6130),
}
NO_EXPRESSIONS = [
    "",
    " ",
    "x ",
    "x + 1",
    "12",
    "4",
    "-x",
    "+x",
    "x-1",
    "x**2",
    "x//2",
    "x^2",
    "xx",
]
NO_EXPRESSIONS += ["x(1)", "sin", "sin x", "sinx", "sin()", "()", "(x", "x)", "cos(x)", "Sin(x)"]
NO_EXPRESSIONS += [
    "exp(x",
    "x+",
    "*x",
    "1.5",
    "x\n",
    "x;1",
    "__import__('os')",
    "x,1",
    "lambda: x",
]
NO_EXPRESSIONS += ["²", "sin (x)", "x\0"]
GRAMMAR = r"""
    s: s "+" t | s "*" t | s "/" t | t
    t: "(" s ")" | "sin(" s ")" | "exp(" s ")" | "x" | "1" | "2" | "3"
"""


@pytest.mark.parametrize("text", SIX_DIGITS)
def test_scores_are_those_computed_elsewhere_to_six_digits(text):
    true, legacy = SIX_DIGITS[text]
    assert expression_score(text) == pytest.approx(true, abs=1e-6)
    expected = true if legacy is None else legacy
    assert expression_score(text, division="legacy") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", FOUR_DIGITS)
def test_the_published_best_expressions_score_what_was_computed_elsewhere(text):
    true, legacy = FOUR_DIGITS[text]
    assert expression_score(text) == pytest.approx(true, abs=5.1e-5)
    expected = true if legacy is None else legacy
    assert expression_score(text, division="legacy") == pytest.approx(expected, abs=5.1e-5)


def test_the_hundred_thousand_published_expressions_have_the_known_distribution_of_scores():
    texts = published_expressions()
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    assert digest == "8810485b2641860a4b2e30bcb941ab47a1df7aad4cc5b6fe0c07fdfa7cb95a1b"
    scores, valid = string_scores(texts, "expressions")
    assert valid.all()
    found = np.quantile(scores, [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9])
    known = [0.404, 0.791, 2.793, 3.772, 4.646, 6.080, 6.507]
    np.testing.assert_allclose(found, known, atol=5.1e-4)
    assert scores.mean() == pytest.approx(4.719, abs=5.1e-4)
    assert texts[int(scores.argmin())] == "1/3+(x)+sin(x*x)"


@pytest.mark.parametrize("division", ["true", "legacy"])
def test_random_expressions_score_as_pythons_own_evaluation(division):
    texts = [random_expression(random.Random(seed), 4) for seed in range(1500)]
    assert max(map(len, texts)) > 60
    for text in texts:
        expected = evaluated_by_python(text, division)
        assert expression_score(text, division=division) == pytest.approx(expected, abs=1e-9), text


def test_many_expressions_score_as_each_of_them():
    texts = [random_expression(random.Random(seed), 3) for seed in range(50)] * 2 + ["", "x+", "x"]
    scores, valid = string_scores(texts, "expressions")
    assert scores.tolist() == [expression_score(text) for text in texts]
    assert valid.tolist() == [True] * 100 + [False, False, True]


def test_the_language_is_that_of_an_independent_parser_and_of_the_models_grammar():
    parser = Lark(GRAMMAR, start="s", parser="lalr")
    verdicts = []
    for seed in range(3000):
        text = damaged_expression(random.Random(seed))
        try:
            parser.parse(text)
            expected = True
        except LarkError:
            expected = False
        assert is_expression(text) == expected, text
        assert in_grammar(text) == expected, text
        assert expected or expression_score(text) == WORST
        verdicts.append(expected)
    assert 300 < sum(verdicts) < 2700


@pytest.mark.parametrize(
    "text",
    NO_EXPRESSIONS,
)
@pytest.mark.parametrize("division", ["true", "legacy"])
def test_what_is_no_expression_has_the_worst_score(text, division):
    assert not is_expression(text)
    assert expression_score(text, division=division) == WORST


@pytest.mark.parametrize(
    ("text", "division"),
    [
        ("exp(exp(x))/exp(exp(x))", "true"),  # inf / inf at 10
        ("sin(exp(exp(x)))", "true"),  # the sine of inf
        ("1/(1/2)", "legacy"),  # a whole number by 0
        ("x/" + "*".join(["3"] * 700), "true"),  # a whole number beyond all floats
    ],
)
def test_an_undefined_expression_has_the_worst_score_and_is_valid_still(text, division):
    assert expression_score(text, division=division) == WORST
    assert is_expression(text)


def test_a_value_beyond_all_floats_counts_as_the_largest_square():
    with np.errstate(over="ignore"):
        values = np.exp(np.exp(POINTS))
    inside = np.isfinite(values)
    assert 0 < (~inside).sum() < 500
    squares = np.full(1000, 1000.0)
    with np.errstate(over="ignore"):
        squares[inside] = np.minimum((values[inside] - TARGET[inside]) ** 2, 1000)
    expected = math.log(1 + squares.mean())
    assert expression_score("exp(exp(x))") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    ["(" * 50_000 + "x" + ")" * 50_000, "x" + "*1" * 100_000, "x/(1" + "*1" * 20_000 + ")"],
    ids=["nested", "long", "of whole numbers"],
)
def test_no_expression_is_too_long(text):
    assert expression_score(text) == pytest.approx(0.487561, abs=1e-6)


def test_an_unknown_division_and_an_unknown_task_are_refused():
    with pytest.raises(ValueError, match="'division' is 'floor'; expected true or legacy"):
        expression_score("x", division="floor")
    with pytest.raises(ValueError, match="'task' is 'words'; expected expressions or smiles"):
        string_scores(["x"], "words")


def in_grammar(text):
    try:
        return bool(grammar("expressions").parse(text))
    except ValueError:
        return False


def published_expressions():
    letters = "x123"
    pairs = [f"{a}{op}{b}" for op in "+*/" for a in letters for b in letters]
    middles = [form.format(a) for form in ("({})", "sin({})", "exp({})", "{}") for a in letters]
    ends = [f"{f}({a})" for f in ("", "sin", "exp") for a in [*pairs, *letters]] + [*letters]
    return [f"{p}+{m}+{e}" for p in pairs for m in middles for e in ends][:100_000]


def random_expression(generator, depth):
    """Returns an expression by chance, sines of huge numbers left out: they are all rounding."""
    atoms = ["x", "1", "2", "3"]
    if depth:
        inner = [random_expression(generator, depth - 1) for _ in range(2)]
        atoms += [f"({inner[0]})", f"exp({inner[1]})"] * 2
        atoms.append(f"sin({generator.choice('x123')}{generator.choice('+*/')}x)")
    parts = [generator.choice(atoms) for _ in range(generator.randint(1, 4))]
    return "".join(p + generator.choice("+*/") for p in parts)[:-1]


def damaged_expression(generator):
    """Returns an expression in which up to three characters were changed, put in or left out."""
    characters = list(random_expression(generator, 2))
    for _ in range(generator.randint(0, 3)):
        place = generator.randrange(len(characters) + 1)
        characters[place : place + generator.randint(0, 1)] = generator.choice("x+()123*/sinep ")
    return "".join(characters)


def evaluated_by_python(text, division):
    """Evaluates a trusted text as Python does, each `/` as its operands' types ask."""
    tree = ast.parse(text, mode="eval")

    class Divisions(ast.NodeTransformer):
        def visit_BinOp(self, node):
            self.generic_visit(node)
            if not isinstance(node.op, ast.Div):
                return node
            return ast.Call(ast.Name("divide", ast.Load()), [node.left, node.right], [])

    def divide(a, b):
        whole = type(a) is int and type(b) is int and division == "legacy"
        return a // b if whole else a / b

    tree = ast.fix_missing_locations(Divisions().visit(tree))
    names = {"x": POINTS, "sin": np.sin, "exp": np.exp, "divide": divide}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        try:
            values = eval(compile(tree, "text", "eval"), {"__builtins__": {}}, names)
        except ZeroDivisionError:
            return WORST
        score = math.log(1 + np.minimum((values - TARGET) ** 2, 1000).mean())
    return score if math.isfinite(score) else WORST

"""Arithmetic expressions in x, made by rule."""

from __future__ import annotations

import hashlib
from functools import cached_property
from itertools import islice, product

from ..errors import UserError
from .order import text_order
from .sequences import TextSource, register_texts
from .source import Content, Part
from .text_files import Lines

SHAPES = {"grammar": (1, 15, 12), "characters": (1, 19, 15)}
COUNT, HELD_OUT, TEST = 100_000, 5_000, 5_000
DIGEST = "8810485b2641860a4b2e30bcb941ab47a1df7aad4cc5b6fe0c07fdfa7cb95a1b"
LEAVES = ("x", "1", "2", "3")
WRAPPED = ("({})", "sin({})", "exp({})")


def make_expressions() -> list[str]:
    """Returns the expressions in the order of the published file.

    Each is a sum P + U + V: P joins two leaves, U holds one leaf, V a leaf or another P.

    References: the data of Grammar Variational Autoencoder (Kusner et al., 2017),
        arXiv 1703.01925.
    """
    pairs = [f"{a}{op}{b}" for op in "+*/" for a in LEAVES for b in LEAVES]
    middle = [wrap.format(leaf) for wrap in (*WRAPPED, "{}") for leaf in LEAVES]
    last = [wrap.format(inner) for wrap in WRAPPED for inner in (*pairs, *LEAVES)] + [*LEAVES]
    return ["+".join(parts) for parts in islice(product(pairs, middle, last), COUNT)]


@register_texts
class Expressions(TextSource):
    """90,000 / 5,000 / 5,000 arithmetic expressions in x of at most 19 characters.

    The published list is ordered, so it is shuffled by a fixed seed before it is split. The
    expression that the search for the best one aims at, ``1/3+x+sin(x*x)``, is among the
    data, written ``1/3+(x)+sin(x*x)``.

    References: Grammar Variational Autoencoder (Kusner et al., 2017), arXiv 1703.01925
    """

    name = "expressions"
    task = "expressions"
    shapes = SHAPES

    def read(self) -> Content:
        """Returns all expressions, shuffled; the last ones are the test."""
        everything = self._listed.take(text_order(make_expressions()))
        train, test = (everything.take(part) for part in (slice(-TEST), slice(-TEST, None)))
        return Content(train, test, held_out=HELD_OUT)

    @cached_property
    def _listed(self) -> Part:
        return self.written(Lines(make_expressions(), self.name))

    def check(self) -> None:
        """Makes the expressions without writing them as symbols."""
        found = hashlib.sha256("\n".join(make_expressions()).encode()).hexdigest()
        if found != DIGEST:
            raise UserError(f"The expressions have sha256 {found}; expected {DIGEST}.")

    def where(self) -> str:
        """Returns where they come from."""
        return "made by rule"

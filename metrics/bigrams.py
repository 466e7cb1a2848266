"""How far texts are from others in the characters that follow each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from .arrays import Floats
from .frechet import frechet
from .registry import Estimate
from .strings import check_texts

Pair = tuple[str, str]
BEFORE, AFTER = "\2", "\3"  # Start and end of a text, which no text has.


def bigram_distance(*, real_texts: Sequence[str], generated_texts: Sequence[str]) -> Estimate:
    """Scores the Fréchet distance between two sets of texts by their bigrams.

    A text is the counts of its bigrams: pairs of neighbouring characters, where its start and its
    end are characters, too. Valid or not, each text counts, and two ways of writing one molecule
    are two texts. Distance and standard error are those of the metric ``frechet``.

    Args:
        real_texts: Texts, at least 2.
        generated_texts: Texts, at least 2.

    Raises:
        BadInput: One of the sets has too few texts.

    Example:
        >>> score = bigram_distance(real_texts=["x", "x"], generated_texts=["xx", "xx"])
        >>> score.value  # All have one bigram more, x after x.
        1.0
    """
    check_texts(real_texts=real_texts, generated_texts=generated_texts)
    real, generated = ([*map(_bigrams, texts)] for texts in (real_texts, generated_texts))
    pairs = sorted({pair for text in (*real, *generated) for pair in text})
    place = {pair: at for at, pair in enumerate(pairs)}
    score = frechet(real=_table(real, place), generated=_table(generated, place))["fd"]
    return score if isinstance(score, Estimate) else Estimate(score)


def _bigrams(text: str) -> Counter[Pair]:
    return Counter(pairwise((BEFORE, *text, AFTER)))


def _table(texts: Sequence[Counter[Pair]], place: Mapping[Pair, int]) -> Floats:
    """Returns counts of bigrams, float64 (N, number of bigrams)."""
    table = np.zeros((len(texts), len(place)))
    for at, row in enumerate(texts):
        for pair, count in row.items():
            table[at, place[pair]] = count
    return table

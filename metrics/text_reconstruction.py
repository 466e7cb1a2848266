"""How well texts are reconstructed: whole, and symbol by symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import BadInput, Features, to_numpy
from .registry import Estimate, register
from .strings import check_texts


@register("exact-strings", unit="share of texts", better="higher")
def exact_strings(
    *, real_texts: Sequence[str], reconstructed_texts: Sequence[str]
) -> dict[str, Estimate]:
    """Scores the share of texts that are reconstructed without a fault.

    Raises:
        BadInput: There are no texts, or not as many of both.

    Example:
        >>> score = exact_strings(real_texts=["x", "1"], reconstructed_texts=["x", "2"])
        >>> score["exact_strings"].value
        0.5
    """
    check_texts(real_texts=real_texts)
    count = len(real_texts)
    if count != len(reconstructed_texts):
        raise BadInput(
            f"'real_texts' has {count} texts and 'reconstructed_texts' "
            f"{len(reconstructed_texts)}; expected as many."
        )
    pairs = zip(real_texts, reconstructed_texts, strict=True)
    return {"exact_strings": Estimate.of_share(sum(a == b for a, b in pairs) / count, count)}


@register("symbols-right", unit="share of symbols", better="higher")
def symbols_right(
    *, real_symbols: Features, reconstructed_symbols: Features, padding: int
) -> dict[str, Estimate]:
    """Averages over texts the share of places at which both have the same symbol.

    Places count as far as the longer of the two texts reaches, so that it is 1 for equal texts
    alone. Symbols are productions of a grammar, or characters.

    Args:
        real_symbols: Symbols, integers (N, T).
        reconstructed_symbols: Those of the reconstructions, same shape.
        padding: The symbol after a text's end.

    Raises:
        BadInput: Other shapes or types.

    Example:
        >>> real, reconstructed = np.array([[3, 1, 9, 9]]), np.array([[3, 2, 1, 9]])
        >>> score = symbols_right(
        ...     real_symbols=real, reconstructed_symbols=reconstructed, padding=9
        ... )
        >>> round(score["symbols_right"].value, 3)
        0.333
    """
    real, reconstructed = _check_symbols(real_symbols, reconstructed_symbols)
    places = (real != padding) | (reconstructed != padding)
    right = ((real == reconstructed) & places).sum(axis=1)
    # Two empty texts are equal.
    shares = np.where(places.any(axis=1), right / places.sum(axis=1).clip(min=1), 1.0)
    return {"symbols_right": Estimate.of_mean(shares)}


def _check_symbols(real: Features, reconstructed: Features) -> tuple[Any, Any]:
    left, right = to_numpy(real), to_numpy(reconstructed)
    if left.shape != right.shape or left.ndim != 2 or left.size == 0:
        raise BadInput(
            f"'real_symbols' has shape {left.shape} and 'reconstructed_symbols' {right.shape}; "
            "expected the same, (texts, symbols)."
        )
    for name, array in (("real_symbols", left), ("reconstructed_symbols", right)):
        if array.dtype.kind not in "iu":
            raise BadInput(f"'{name}' has type {array.dtype}; expected integers.")
    return left, right

"""Partition of an image into core and shell positions."""

from __future__ import annotations

import itertools
import operator
import reprlib
from collections.abc import Iterator, Sequence
from typing import SupportsIndex

import torch
from torch import Tensor


def center_order(image_shape: tuple[int, int, int]) -> list[int]:
    """Returns all flat positions in the order of a square spiral out of the image's middle.

    The spiral starts at row H/2 - 1, column W/2 - 1 and runs down, right, up, left; at each
    pixel all channels are taken.

    Args:
        image_shape: (C, H, W), square and of even size.

    Raises:
        ValueError: The image is not square or of odd size, where the rule breaks.

    Example:
        >>> center_order((1, 4, 4))[:5]
        [5, 9, 10, 6, 2]
    """
    channels, size = check_even_square("center", image_shape)
    # Out of this middle the spiral fills an even square exactly before it leaves it.
    return [
        (c * size + row) * size + column
        for row, column in itertools.islice(_spiral(size), size * size)
        for c in range(channels)
    ]


def corner_order(image_shape: tuple[int, int, int]) -> list[int]:
    """Returns all flat positions in the order of squares growing out of the four corners.

    Args:
        image_shape: (C, H, W), square and of even size.

    Raises:
        ValueError: The image is not square or of odd size, where the rule breaks.

    Example:
        >>> corner_order((1, 4, 4))[:6]
        [0, 3, 12, 15, 4, 7]
    """
    channels, size = check_even_square("corner", image_shape)
    last = size - 1
    return [
        (c * size + row) * size + column
        for i, j in _nested_squares(size // 2)
        for c in range(channels)
        for row, column in ((i, j), (i, last - j), (last - i, j), (last - i, last - j))
    ]


def given_order(positions: Sequence[int], values: int, latent_dim: int) -> list[int]:
    """Returns positions that a user chose, checked.

    Args:
        positions: Flat indices into the image.
        values: Number of values in an image.
        latent_dim: How many positions are needed.

    Raises:
        ValueError: It is no list of whole numbers, a position is outside the image or given
            twice, or their number is wrong.
    """
    try:
        chosen = [_whole(p) for p in positions]
    except TypeError:
        raise ValueError(
            f"'mask' is {reprlib.repr(positions)}; expected a list of whole numbers. A suite's "
            "file writes it within another list, mask = [[0, 1]]: each value of a list is a run."
        ) from None
    if len(set(chosen)) != latent_dim or len(chosen) != latent_dim:
        raise ValueError(
            f"'mask' has {len(chosen)} positions, {len(set(chosen))} of them different; "
            f"expected as many different ones as the latent size, {latent_dim}."
        )
    outside = [p for p in chosen if not 0 <= p < values]
    if outside:
        raise ValueError(f"'mask' has position {outside[0]}; expected 0 to {values - 1}.")
    return chosen


def split(order: Sequence[int], latent_dim: int, values: int) -> tuple[Tensor, Tensor]:
    """Returns core (L,) and shell (D - L,) positions, each in increasing order."""
    is_core = torch.zeros(values, dtype=torch.bool)
    is_core[list(order[:latent_dim])] = True
    return is_core.nonzero()[:, 0], (~is_core).nonzero()[:, 0]


def check_even_square(rule: str, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns channels and size.

    Raises:
        ValueError: The image is not square or its size is odd.
    """
    channels, height, width = image_shape
    if height != width or height % 2:
        raise ValueError(
            f"The {rule} mask got images of {height}x{width}; "
            "expected square images of even size, or an own 'mask' of flat positions."
        )
    return channels, height


def _whole(position: SupportsIndex) -> int:
    """Returns a position as a number; raises TypeError for what is no whole number."""
    if isinstance(position, bool):
        raise TypeError
    return operator.index(position)


def _spiral(size: int) -> Iterator[tuple[int, int]]:
    row = column = size // 2 - 1
    yield row, column
    # Two sides of each length: 1, 1, 2, 2, ... down, right, up, left in turn.
    directions = ((1, 0), (0, 1), (-1, 0), (0, -1))
    for turn in range(4 * size):
        down, right = directions[turn % 4]
        for _ in range(turn // 2 + 1):
            row, column = row + down, column + right
            yield row, column


def _nested_squares(half: int) -> Iterator[tuple[int, int]]:
    for b in range(half):
        yield b, b
        for k in range(b + 1, half):
            yield k, b
            yield b, k

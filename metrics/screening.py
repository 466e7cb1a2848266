"""Squared distances between many points: screened by matrix products, exact by differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from .arrays import Features

BLOCK_ELEMENTS = 2**23
PAIRS = 2**19  # elements of float64 differences held at once: few enough to stay in cache
ROWS = 256  # converted at once
LARGEST = 1e15  # above it float32 squares may overflow


@dataclass(frozen=True)
class Points:
    """A feature set, prepared for screening.

    Attributes:
        exact: The features as given, shape (N, F).
        screen: Shifted features, float32 on a CPU and float64 elsewhere, shape (N, F).
        norms: Squared lengths of the shifted features, shape (N,).
        error: Bound of the screen's rounding in a squared distance, per unit of squared length.
    """

    exact: torch.Tensor
    screen: torch.Tensor
    norms: torch.Tensor
    error: float


def prepare(*sets: Features) -> list[Points]:
    """Returns feature sets ready for screening, shifted together to the first one's mean."""
    import torch

    tensors: list[torch.Tensor] = [
        s if isinstance(s, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(s))
        for s in sets
    ]
    mean = _mean(tensors[0])
    # TF32 would spoil float32 products on an accelerator, so the screen is float64 there, and
    # where squares overflow float32.
    wide = any(t.device.type != "cpu" or float(t.abs().max()) > LARGEST for t in tensors)
    dtype = torch.float64 if wide else torch.float32
    return [_points(tensor, mean, dtype) for tensor in tensors]


def pair_distances(
    left: Points, right: Points, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Computes squared distances of pairs of points from their differences, in float64."""
    import torch

    chunk = max(1, PAIRS // left.exact.shape[1])
    parts = []
    for i, j in zip(rows.split(chunk), columns.split(chunk), strict=True):
        difference = left.exact[i].double()
        parts.append(difference.sub_(right.exact[j]).square_().sum(1))
    return torch.cat(parts)


def _mean(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    sums = [block.double().sum(0) for block in tensor.split(ROWS)]
    return torch.stack(sums).sum(0) / len(tensor)


def _points(tensor: torch.Tensor, mean: torch.Tensor, dtype: torch.dtype) -> Points:
    import torch

    error = 64 * torch.finfo(dtype).eps
    screen = torch.cat([(block.double() - mean).to(dtype) for block in tensor.split(ROWS)])
    return Points(tensor, screen, screen.square().sum(1), error)


def screened_blocks(rows: Points, columns: Points) -> Iterator[tuple[int, torch.Tensor]]:
    """Yields the start of a block of rows and its screened squared distances to all columns."""
    size = max(1, BLOCK_ELEMENTS // len(columns.screen))
    for start in range(0, len(rows.screen), size):
        yield start, screen(rows, columns, start, 0, size, len(columns.screen))


def screen(
    rows: Points, columns: Points, start: int, other: int, size: int, width: int | None = None
) -> torch.Tensor:
    """Screens rows from ``start`` against columns from ``other``, shape (size, width)."""
    import torch

    left, right = slice(start, start + size), slice(other, other + (width or size))
    bias = columns.norms[None, right]
    screened = torch.addmm(bias, rows.screen[left], columns.screen[right].T, alpha=-2.0)
    return screened.add_(rows.norms[left, None])


def rounding(rows: Points, columns: Points, start: int, count: int) -> torch.Tensor:
    """Bounds the rounding of a block of screened squared distances, shape (count, 1)."""
    largest = columns.norms.max()
    return rows.error * (rows.norms[start : start + count, None] + largest)

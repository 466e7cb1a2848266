"""Squared distances between many points: screened by matrix products, exact by differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .arrays import Features

BLOCK_ELEMENTS = 2**23
PAIRS = 2**17  # elements of float64 differences held at once: few enough to stay in cache
ROWS = 256  # converted at once
LARGEST = 1e15  # above it float32 squares may overflow
BAND = 2.1e-3  # of a squared distance: 1e-3 of a distance, with room
ROUNDING = 64  # machine epsilons; those of a product of F terms grow with about the root of F


@dataclass(frozen=True)
class Points:
    """A feature set, prepared for screening.

    Attributes:
        exact: The features as given, shape (N, F).
        screen: Shifted features, float32 on a CPU and float64 elsewhere, shape (N, F).
        norms: Squared lengths of the shifted features, shape (N,).
    """

    exact: torch.Tensor
    screen: torch.Tensor
    norms: torch.Tensor

    def __getitem__(self, rows: slice | torch.Tensor) -> Points:
        """Returns some of the points."""
        return Points(self.exact[rows], self.screen[rows], self.norms[rows])

    def reach(self, others: Points) -> torch.Tensor:
        """Bounds the screen's rounding in squared distances from each point, shape (N,).

        A screened distance is a small difference of squared lengths and a product: its rounding
        goes with these lengths, not with the distance.

        Args:
            others: To where the distances go.
        """
        unit = ROUNDING * torch.finfo(self.screen.dtype).eps
        return unit * (self.norms + others.norms.max())


def prepare(*sets: Features) -> list[Points]:
    """Returns feature sets, shape (N, F) each, shifted together to the first one's mean.

    A common shift changes no distance, and shorter vectors lose less to rounding.
    """
    tensors: list[torch.Tensor] = [
        s if isinstance(s, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(s))
        for s in sets
    ]
    sums = [block.double().sum(0) for block in tensors[0].split(ROWS)]
    mean = torch.stack(sums).sum(0) / len(tensors[0])
    # TF32 would spoil float32 products on an accelerator, so the screen is float64 there, and
    # where squares overflow float32.
    wide = any(t.device.type != "cpu" or float(t.abs().max()) > LARGEST for t in tensors)
    dtype = torch.float64 if wide else torch.float32
    points = []
    for tensor in tensors:
        screen = torch.cat([(block.double() - mean).to(dtype) for block in tensor.split(ROWS)])
        points.append(Points(tensor, screen, screen.square().sum(1)))
    return points


def pair_distances(
    left: Points, right: Points, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Computes squared distances of pairs of points from their differences, in float64."""
    chunk = max(1, PAIRS // left.exact.shape[1])
    result = torch.empty(len(rows), dtype=torch.float64, device=left.exact.device)
    parts = (tensor.split(chunk) for tensor in (rows, columns, result))
    for i, j, part in zip(*parts, strict=True):
        difference = left.exact.index_select(0, i).double()
        # Into one tensor: small ones between the large would tear the free memory to pieces.
        torch.sum(difference.sub_(right.exact.index_select(0, j)).square_(), 1, out=part)
    return result


def screened_blocks(rows: Points, columns: Points) -> Iterator[tuple[int, torch.Tensor]]:
    """Yields the start of a block of rows and its screened squared distances to all columns."""
    size = max(1, BLOCK_ELEMENTS // len(columns.screen))
    for start in range(0, len(rows.screen), size):
        yield start, screen(rows[start : start + size], columns)


def screen(rows: Points, columns: Points) -> torch.Tensor:
    """Screens all pairs of two sets by ``|x|^2 - 2 x.y + |y|^2``, shape (N, M)."""
    bias = columns.norms[None, :]
    screened = torch.addmm(bias, rows.screen, columns.screen.T, alpha=-2.0)
    return screened.add_(rows.norms[:, None])

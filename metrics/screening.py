"""Squared distances between many points: screened by matrix products, exact by differences."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from .arrays import Features

BLOCK_ELEMENTS = 2**23
PAIRS = 2**17  # elements of float64 differences held at once: few enough to stay in cache
ROWS = 256  # converted at once
LARGEST = 1e15  # above it float32 squares may overflow
SMALLEST = 1e-20  # squared lengths below it are not screened in bfloat16
BAND = 2.1e-3  # of a squared distance: 1e-3 of a distance, with room
MARGIN = 1.1  # for what the bounds of rounding neglect: products of two roundings
HALF_UNIT = 2.0**-8  # relative rounding of bfloat16
HALF_WORK = 2**34  # products of pairs and features below which bfloat16 gains nothing
HALF_CROWD = 64  # pairs within the rounding of a radius above which it costs more than it gains


@dataclass(frozen=True)
class Points:
    """A feature set, prepared for screening.

    Attributes:
        exact: The features as given, shape (N, F).
        screen: Shifted features, float32 on a CPU and float64 elsewhere, shape (N, F).
        norms: Squared lengths of the shifted features, shape (N,).
        error: Bound of the screen's rounding in a squared distance, per unit of squared length.
        half: Shifted features in bfloat16 where these are screened first, shape (N, F).
        residuals: Lengths of what bfloat16 takes from the shifted features, shape (N,).
    """

    exact: torch.Tensor
    screen: torch.Tensor
    norms: torch.Tensor
    error: float
    half: torch.Tensor | None = None
    residuals: torch.Tensor | None = None

    def __getitem__(self, rows: slice | torch.Tensor) -> Points:
        """Returns some of the points."""
        half, residuals = (None if t is None else t[rows] for t in (self.half, self.residuals))
        return Points(
            self.exact[rows], self.screen[rows], self.norms[rows], self.error, half, residuals
        )


def prepare(*sets: Features, half: bool | None = None) -> list[Points]:
    """Returns feature sets ready for screening, shifted together to the first one's mean.

    Args:
        sets: Features, shape (N, F) each.
        half: Whether bfloat16 screens first; ``None``: where the processor multiplies it, the
            sets are large and few pairs of the first one are too near to a radius for it.
    """
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
    points = [_points(tensor, mean, dtype) for tensor in tensors]
    promising = half is None and not wide and _half_is_fast(points)
    if not (half or promising):
        return points
    halved = [_with_half(p) for p in points]
    return halved if half or _half_separates(points[0], halved[0]) else points


def reach(balls: Points, others: Points, squared: torch.Tensor) -> torch.Tensor:
    """Bounds the screen's rounding for pairs near a squared distance from each point, shape (N,).

    Rounding takes at most its length times the other point's from a product (Cauchy and
    Schwarz), and bfloat16 rounds the product itself once more. A pair whose distance differs
    from ``squared`` may exceed the bound by 1/256 of the difference, which decides nothing.

    Args:
        balls: Points, N of them.
        others: To where their distances go.
        squared: A squared distance for each point, shape (N,).
    """
    import torch

    norms = balls.norms
    furthest, nearest = others.norms.max(), others.norms.min()
    bound = balls.error * (norms + furthest)
    if balls.residuals is None or others.residuals is None:
        return bound
    lost = balls.residuals * furthest.sqrt() + norms.sqrt() * others.residuals.max()
    doubled = torch.maximum((norms + furthest - squared).abs(), (norms + nearest - squared).abs())
    return (bound + 2.0 * lost + HALF_UNIT * doubled) * MARGIN


def pair_distances(
    left: Points, right: Points, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Computes squared distances of pairs of points from their differences, in float64."""
    import torch

    chunk = max(1, PAIRS // left.exact.shape[1])
    result = torch.empty(len(rows), dtype=torch.float64, device=left.exact.device)
    parts = (tensor.split(chunk) for tensor in (rows, columns, result))
    for i, j, part in zip(*parts, strict=True):
        difference = left.exact.index_select(0, i).double()
        # Into one tensor: small ones between the large would tear the free memory to pieces.
        torch.sum(difference.sub_(right.exact.index_select(0, j)).square_(), 1, out=part)
    return result


def screen_pairs(
    left: Points, right: Points, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Screens pairs of points without bfloat16, given by rows in order."""
    import torch

    starts = torch.zeros(len(left.screen) + 1, dtype=torch.long)
    torch.cumsum(torch.bincount(rows, minlength=len(left.screen)), 0, out=starts[1:])
    size = len(left.screen), len(right.screen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "in beta state"
        pairs = torch.sparse_csr_tensor(starts, columns, left.screen.new_zeros(len(rows)), size)
    products = torch.sparse.sampled_addmm(pairs, left.screen, right.screen.T, beta=0.0).values()
    return products.mul_(-2.0).add_(left.norms[rows]).add_(right.norms[columns])


def screened_blocks(rows: Points, columns: Points) -> Iterator[tuple[int, torch.Tensor]]:
    """Yields the start of a block of rows and its screened squared distances to all columns."""
    size = max(1, BLOCK_ELEMENTS // len(columns.screen))
    for start in range(0, len(rows.screen), size):
        yield start, screen(rows[start : start + size], columns)


def screen(rows: Points, columns: Points) -> torch.Tensor:
    """Screens all pairs of two sets, shape (N, M)."""
    import torch

    if rows.half is None or columns.half is None:
        bias = columns.norms[None, :]
        screened = torch.addmm(bias, rows.screen, columns.screen.T, alpha=-2.0)
    else:
        screened = torch.add(columns.norms, rows.half @ columns.half.T, alpha=-2.0)
    return screened.add_(rows.norms[:, None])


def _mean(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    sums = [block.double().sum(0) for block in tensor.split(ROWS)]
    return torch.stack(sums).sum(0) / len(tensor)


def _points(tensor: torch.Tensor, mean: torch.Tensor, dtype: torch.dtype) -> Points:
    import torch

    error = 64 * torch.finfo(dtype).eps
    screen = torch.cat([(block.double() - mean).to(dtype) for block in tensor.split(ROWS)])
    return Points(tensor, screen, screen.square().sum(1), error)


def _with_half(points: Points) -> Points:
    import torch

    half = points.screen.bfloat16()
    parts = zip(points.screen.split(ROWS), half.split(ROWS), strict=True)
    lengths = [(exact - rounded.to(exact)).square().sum(1).sqrt() for exact, rounded in parts]
    return replace(points, half=half, residuals=torch.cat(lengths))


def _half_is_fast(points: list[Points]) -> bool:
    import torch

    known: dict[str, Any] = dict(getattr(torch.cpu, "get_capabilities", dict)())
    able = known.get("avx512_bf16") or known.get("amx_bf16")
    work = min(len(p.screen) for p in points) ** 2 * points[0].screen.shape[1]
    return bool(able) and work >= HALF_WORK and float(points[0].norms.max()) > SMALLEST


def _half_separates(points: Points, halved: Points, k: int = 5, rows: int = 64) -> bool:
    """Says whether bfloat16 tells most neighbours of a few points from the k-th."""
    import torch

    chosen = torch.linspace(0, len(points.screen) - 1, rows).long()
    screened = screen(points[chosen], points)
    kth = screened.topk(k + 1, dim=1, largest=False).values[:, -1]
    slack = BAND * kth + 2 * reach(halved[chosen], halved, kth)
    crowd = ((screened - kth[:, None]).abs() <= slack[:, None]).sum(1)
    return float(crowd.double().mean()) <= HALF_CROWD

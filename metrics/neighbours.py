"""Nearest neighbours in blocks: screened by matrix products, decided in float64.

A screened distance decides only where it is far enough from the radius. Every pair within 1e-3
relative of a radius, or within the rounding of the screen, is computed again in float64 from the
differences. So ties stay ties, at the speed of a matrix product and in bounded memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .arrays import Features, Floats, check_features
from .memory import remembered
from .screening import (
    BAND,
    BLOCK_ELEMENTS,
    Points,
    pair_distances,
    prepare,
    screen,
    screened_blocks,
)

TIE = 1e-12  # squared distances closer than this, relatively, are equal
SPARE = 11  # screened neighbours kept beyond the k-th


class Hits(NamedTuple):
    """Which balls hold which points.

    Attributes:
        per_point: For each point, how many balls hold it, shape (M,).
        per_ball: For each ball, how many points it holds, shape (N,).
    """

    per_point: np.ndarray[Any, Any]
    per_ball: np.ndarray[Any, Any]


class Balls(NamedTuple):
    """Two sets, prepared for search, and the balls around the rows of the first.

    Attributes:
        real: N real rows.
        generated: M generated rows.
        radii: Squared distance of each real row to its k-th neighbour among them, shape (N,).
    """

    real: Points
    generated: Points
    radii: Floats


def real_balls(*, real: Features, generated: Features, k: int) -> Balls:
    """Prepares two sets and finds the balls around real rows.

    Args:
        real: Features of real images, shape (N, F), N above k.
        generated: Features of generated images, shape (M, F), M above k.
        k: Which neighbour in the real set gives the radius.

    Raises:
        BadInput: Wrong shapes, fewer than k + 1 rows, equal real rows or rows that are not
            finite.
    """
    check_features(real=real, minimum=k + 1, vary=True)
    sets = check_features(real=real, generated=generated, minimum=k + 1)
    left, right = prepare(*sets)
    return Balls(left, right, remembered(lambda: squared_radii(left, k), "radii", sets[0], k=k))


def ball_hits(
    *, real: Features, generated: Features, k: int, strict: bool, both: bool = True
) -> tuple[Hits, Hits]:
    """Counts hits in the balls that reach from each row to the k-th neighbour in its own set.

    Args:
        real: Features of real images, shape (N, F), N above k.
        generated: Features of generated images, shape (M, F), M above k.
        k: Which neighbour gives the radius.
        strict: Whether a point on the border of a ball is outside.
        both: Whether there are balls around generated rows as well.

    Returns:
        Generated rows in balls around real rows, and real rows in balls around generated rows.

    Raises:
        BadInput: Wrong shapes, fewer than k + 1 rows, equal real rows or rows that are not
            finite.

    Example:
        >>> real = np.array([[0.0], [1.0], [2.0]])
        >>> hits, _ = ball_hits(real=real, generated=real[:2] + 0.1, k=1, strict=True)
        >>> hits.per_point.tolist(), hits.per_ball.tolist()
        ([2, 2], [1, 2, 1])
    """
    left, right, radii = real_balls(real=real, generated=generated, k=k)
    others = squared_radii(right, k) if both else None
    return count_hits(left, right, real_radii=radii, generated_radii=others, strict=strict)


def squared_radii(points: Points, k: int) -> Floats:
    """Computes the squared distance of each point to its k-th neighbour, itself not counted.

    Each pair of blocks is screened once and serves the rows of both. A row whose kept neighbours
    might leave out a candidate (many near-ties) is searched again in full.

    Returns:
        Squared distances in float64, shape (N,).
    """
    count = len(points.exact)
    keep = min(k + SPARE, count - 1)
    size = max(keep + 1, int(BLOCK_ELEMENTS**0.5))
    device = points.screen.device
    values = torch.full((count, keep), float("inf"), dtype=points.screen.dtype, device=device)
    indices = torch.zeros((count, keep), dtype=torch.long, device=device)
    for start in range(0, count, size):
        for other in range(start, count, size):
            screened = screen(points[start : start + size], points[other : other + size])
            if start == other:
                screened.fill_diagonal_(float("inf"))
            else:
                _merge(values, indices, screened.T.contiguous(), other, start)
            _merge(values, indices, screened, start, other)
    kth = values[:, k - 1 : k]
    slack = _slack(points, points, kth)
    # Two halves of one comparison: rounding must not put a value into both, or into neither.
    nearer = values < kth - slack
    candidates = ~nearer & (values <= kth + slack)
    pairs = candidates.nonzero()
    exact = pair_distances(points, points, pairs[:, 0], indices[candidates])
    chosen = _select(pairs[:, 0], exact, k - nearer.sum(1))
    result: Floats = exact.cpu().numpy()[chosen]
    if keep < count - 1:
        # Where the last one kept is a candidate, the first one dropped may be one, too; but none
        # is nearer than a copy, of which collapsed samples have many.
        positive = torch.from_numpy(result > 0.0).to(device)
        again = (candidates[:, -1] & positive).nonzero()[:, 0]
        if len(again):
            result[again.cpu().numpy()] = squared_kth(points, points, k, itself=again)[0]
    return result


def squared_kth(
    queries: Points, points: Points, k: int, *, itself: torch.Tensor | None = None
) -> tuple[Floats, np.ndarray[Any, Any]]:
    """Finds the k-th nearest point of each query: squared distances and indices, shape (Q,).

    Args:
        queries: From where.
        points: To where, at least k (k + 1 where the query is one of them).
        k: Which neighbour, from 1.
        itself: Where given, only these rows are searched, each being that point as well, which
            does not count.
    """
    if itself is not None:
        queries = queries[itself]
    distances, indices = [], []
    for start, screened in screened_blocks(queries, points):
        rows = torch.arange(len(screened), device=screened.device)
        if itself is not None:
            screened[rows, itself[start : start + len(screened)]] = float("inf")
        kth = torch.topk(screened, k, dim=1, largest=False).values[:, -1:]
        slack = _slack(queries[start : start + len(screened)], points, kth)
        pairs = (screened <= kth + slack).nonzero()
        near = screened[pairs[:, 0], pairs[:, 1]] >= (kth - slack)[pairs[:, 0], 0]
        total = torch.bincount(pairs[:, 0], minlength=len(screened))
        pairs = pairs[near]
        # What is nearer for certain needs no exact distance: it only lowers the rank looked for.
        inside = total - torch.bincount(pairs[:, 0], minlength=len(screened))
        exact = pair_distances(queries, points, pairs[:, 0] + start, pairs[:, 1])
        chosen = _select(pairs[:, 0], exact, k - inside)
        distances.append(exact.cpu().numpy()[chosen])
        indices.append(pairs[:, 1].cpu().numpy()[chosen])
    return np.concatenate(distances), np.concatenate(indices)


def count_hits(
    real: Points,
    generated: Points,
    *,
    real_radii: Floats | None = None,
    generated_radii: Floats | None = None,
    strict: bool,
) -> tuple[Hits, Hits]:
    """Counts which points lie in which balls around points of the other set, in one pass.

    Args:
        real: Real points.
        generated: Generated points.
        real_radii: Squared radii of the balls around real points, shape (N,); ``None``: no ball.
        generated_radii: Squared radii of the balls around generated points, shape (M,).
        strict: Whether a point on the border is outside (``<``) or inside (``<=``).

    Returns:
        Generated points in real balls, and real points in generated balls.
    """
    device = real.exact.device
    sizes = len(real.exact), len(generated.exact)
    # For both kinds of ball: hits per real and per generated row.
    hits = [[torch.zeros(n, dtype=torch.long, device=device) for n in sizes] for _ in range(2)]
    radii = [
        None if r is None else torch.as_tensor(r, device=device)
        for r in (real_radii, generated_radii)
    ]
    for start, screened in screened_blocks(real, generated):
        rows = slice(start, start + len(screened))
        part = real[rows]
        for axis, bounds in enumerate(radii):
            if bounds is None:
                continue
            if axis == 0:
                bound, slack = bounds[rows, None], part.reach(generated)[:, None]
            else:
                bound, slack = bounds[None, :], generated.reach(part)[None, :]
            pairs = _inside(part, generated, screened, bound, slack, strict=strict)
            hits[axis][0][rows] += torch.bincount(pairs[:, 0], minlength=len(screened))
            hits[axis][1] += torch.bincount(pairs[:, 1], minlength=sizes[1])
    counts = [[h.cpu().numpy() for h in pair] for pair in hits]
    return Hits(counts[0][1], counts[0][0]), Hits(counts[1][0], counts[1][1])


def _merge(
    values: torch.Tensor, indices: torch.Tensor, screened: torch.Tensor, start: int, other: int
) -> None:
    """Keeps the smallest screened distances of rows from ``start`` to columns from ``other``."""
    rows = slice(start, start + len(screened))
    keep = values.shape[1]
    new = torch.topk(screened, min(keep, screened.shape[1]), dim=1, largest=False)
    merged = torch.cat([values[rows], new.values], dim=1)
    labels = torch.cat([indices[rows], new.indices + other], dim=1)
    best = torch.topk(merged, keep, dim=1, largest=False)
    values[rows], indices[rows] = best.values, labels.gather(1, best.indices)


def _slack(queries: Points, points: Points, kth: torch.Tensor) -> torch.Tensor:
    """Says how near to the k-th screened distance, shape (Q, 1), a pair must be to be the k-th.

    Both, the k-th and the pair, may be off by the screen's rounding.
    """
    return BAND * kth.clamp(min=0) + 2 * queries.reach(points)[:, None]


def _inside(
    rows: Points,
    columns: Points,
    screened: torch.Tensor,
    bound: torch.Tensor,
    slack: torch.Tensor,
    *,
    strict: bool,
) -> torch.Tensor:
    """Returns the pairs (row, column) nearer than ``bound``, shape (P, 2).

    Args:
        rows: The block's rows.
        columns: All columns.
        screened: Screened squared distances, shape (N, M).
        bound: Squared radii of rows or columns, shape (N, 1) or (1, M).
        slack: Rounding of the screen near these, of the same shape.
        strict: Whether a pair at the bound is outside.
    """
    width = BAND * bound + slack
    pairs = (screened <= (bound + width).to(screened.dtype)).nonzero()
    i, j = pairs[:, 0], pairs[:, 1]
    limit = bound.expand(screened.shape)[i, j]
    inside = screened[i, j] < limit - width.expand(screened.shape)[i, j]
    near = (~inside).nonzero()[:, 0]
    exact = pair_distances(rows, columns, i[near], j[near])
    border = limit[near] * (1.0 - TIE if strict else 1.0 + TIE)
    inside[near] = exact < border if strict else exact <= border
    return pairs[inside]


def _select(rows: torch.Tensor, values: torch.Tensor, ranks: torch.Tensor) -> Any:  # noqa: ANN401
    """Returns for each row the position of its ``ranks[row]``-th smallest value, from 1."""
    rows_, values_, ranks_ = (t.cpu().numpy() for t in (rows, values, ranks))
    order = np.lexsort((values_, rows_))
    starts = np.searchsorted(rows_[order], np.arange(len(ranks_)))
    return order[starts + ranks_ - 1]

"""Kernel distance (KID): squared maximum mean discrepancy with a cubic kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from .arrays import BadInput, Features, Floats, check_features, float64, like, take, to_floats
from .memory import remembered
from .registry import Estimate, register

Subsets: TypeAlias = "tuple[Any, Any] | int | Literal['full'] | None"

GROUPS = 20  # of the jackknife: an interval takes Student's t with 19 degrees of freedom
BLOCK_ELEMENTS = 2**23


@register("kernel", unit="squared discrepancy", better="lower")
def kernel(
    *,
    real: Features,
    generated: Features,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Scores the kernel distance KID over all rows (``kid_full``) and over subsets (``kid``).

    Standard errors are the delete-group jackknife's; that of ``kid`` adds the spread of the
    subsets, if there is more than one. Where a set has fewer rows than a subset, ``kid`` is left
    out.
    """
    number = subsets if min(len(real), len(generated)) >= subset_size else 0
    if len(real) == len(generated) == subset_size:
        number = 1  # All rows: another draw gives the same.
    drawn = Drawn(number, subset_size, seed)
    full, error, values = _jackknife(real, generated, GROUPS, 0, drawn)
    scores = {"kid_full": Estimate.of_distance(full, error)}
    if len(values):
        error = None if error is None else float(np.hypot(error, np.std(values) / subsets**0.5))
        scores["kid"] = Estimate.of_distance(float(np.mean(values)), error)
    return scores


class Drawn(NamedTuple):
    """Random subsets of two sets: how many, of how many rows, and from which seed."""

    number: int
    size: int
    seed: int

    def members(self, n: int, m: int) -> tuple[Floats, Floats]:
        """Returns which rows of each set are in which subset, 0 or 1, (N, S) and (M, S)."""
        found = np.zeros((n, self.number)), np.zeros((m, self.number))
        if self.number:
            for column, pair in enumerate(_draw_subsets(n, m, self.number, self.size, self.seed)):
                for members, rows in zip(found, pair, strict=True):
                    members[rows, column] = 1.0
        return found


def kernel_distance(
    *,
    real: Features,
    generated: Features,
    subsets: Subsets = None,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Computes the kernel distance with ``k(x, y) = (x.y / F + 1)^3``, unbiased, in float64.

    Where the sets agree, values slightly below 0 are right. The second value is the spread of
    single subsets, not the standard error of their mean.

    References:
        Demystifying MMD GANs (Bińkowski et al., 2018), arXiv:1801.01401.

    Args:
        real: Features of real images, shape (N, F).
        generated: Features of generated images, shape (M, F).
        subsets: The number of random subsets (``None``: 100), or a pair (real, generated) of
            row indices, shape (S, m) each, or ``"full"`` for all rows at once.
        subset_size: Rows in a random subset, drawn without replacement.
        seed: Seed of the random subsets.

    Returns:
        The mean over the subsets and their standard deviation with divisor S; 0 for ``"full"``
        and where both sets have no more rows than a subset, for then there is but one.

    Raises:
        BadInput: Wrong shapes, fewer rows than a subset or rows that are not finite.

    Example:
        >>> import numpy as np
        >>> real, generated = np.zeros((2, 1)), np.ones((2, 1))
        >>> kernel_distance(real=real, generated=generated, subsets="full")
        (7.0, 0.0)
    """
    if isinstance(subsets, str) and subsets != "full":
        raise BadInput(f"'subsets' is '{subsets}'; expected 'full', a number or index arrays.")
    explicit = isinstance(subsets, tuple)
    minimum = 2 if explicit or subsets == "full" else subset_size
    real, generated = check_features(real=real, generated=generated, minimum=minimum)
    if isinstance(subsets, str):
        return kernel_distance_jackknife(real=real, generated=generated, groups=1)[0], 0.0
    if isinstance(subsets, tuple):
        pairs = _check_indices(subsets, len(real), len(generated))
    elif len(real) == len(generated) == subset_size:
        pairs = _draw_subsets(subset_size, subset_size, 1, subset_size, seed)
    else:
        count = 100 if subsets is None else subsets
        pairs = _draw_subsets(len(real), len(generated), count, subset_size, seed)
    values = [_estimate(take(real, r), take(generated, g)) for r, g in pairs]
    return float(np.mean(values)), float(np.std(values))


def kernel_distance_jackknife(
    *, real: Features, generated: Features, groups: int = GROUPS, seed: int = 0
) -> tuple[float, float | None]:
    """Computes the full-sample kernel distance and its delete-group jackknife standard error.

    The kernel is summed over pairs of groups once; every delete-group value follows from those
    sums. Groups are drawn at random, so rows in any order may be given.

    Args:
        real: Features of real images, shape (N, F).
        generated: Features of generated images, shape (M, F).
        groups: Number of groups in each set, or 1 for no standard error.
        seed: Seed of the groups.

    Returns:
        The unbiased value and its standard error.

    Raises:
        BadInput: Fewer rows than twice the number of groups.
    """
    return _jackknife(real, generated, groups, seed, Drawn(0, 0, 0))[:2]


def _jackknife(
    real: Features, generated: Features, groups: int, seed: int, drawn: Drawn
) -> tuple[float, float | None, Floats]:
    """Returns the value of all rows, its standard error, and the value of each drawn subset.

    The kernel of two rows is computed once, whatever the number of subsets that hold them.
    """
    groups = min(groups, max(1, min(len(real), len(generated)) // 2))
    real, generated = check_features(real=real, generated=generated, minimum=2 * groups)
    n, m = len(real), len(generated)
    members = drawn.members(n, m)
    generator = np.random.default_rng(seed)
    orders = generator.permutation(n), generator.permutation(m)
    left, right = (take(s, order) for s, order in zip((real, generated), orders, strict=True))
    held = [each[order] for each, order in zip(members, orders, strict=True)]
    edges = _edges(n, groups), _edges(m, groups)
    within, within_subsets = remembered(
        lambda: _within(left, edges[0], held[0]),
        "kernel",
        real,
        groups=groups,
        seed=seed,
        drawn=drawn,
        other=m,
    )
    others, others_subsets = _within(right, edges[1], held[1])
    between, between_subsets = _between(left, right, edges, held)
    sums = within, others, between
    pairs = max(drawn.size * (drawn.size - 1), 1)
    values = (within_subsets + others_subsets) / pairs
    values -= 2.0 * between_subsets / max(drawn.size, 1) ** 2
    sizes = np.diff(edges[0]), np.diff(edges[1])
    keep = np.ones(groups)
    value = _combine(sums, sizes, keep, keep)
    if groups == 1:
        return value, None, values
    drops = 1.0 - np.eye(groups)  # each line leaves one group out
    without_real = [_combine(sums, sizes, drop, keep) for drop in drops]
    without_generated = [_combine(sums, sizes, keep, drop) for drop in drops]
    variance = (groups - 1) * (np.var(without_real) + np.var(without_generated))
    return value, float(variance**0.5), values


def _combine(
    sums: tuple[Floats, Floats, Floats], sizes: tuple[Any, Any], left: Floats, right: Floats
) -> float:
    """Computes the unbiased value from group sums and the 0/1 weights of the groups."""
    n, m = float(left @ sizes[0]), float(right @ sizes[1])
    # A U-statistic: pairs of a row with itself are left out, and n (n - 1) pairs remain. With
    # them the value would be biased upward.
    within = left @ sums[0] @ left / (n * (n - 1)) + right @ sums[1] @ right / (m * (m - 1))
    return float(within - 2.0 * left @ sums[2] @ right / (n * m))


def _edges(count: int, groups: int) -> Any:  # noqa: ANN401
    """Returns where groups of nearly equal size begin, and the end, shape (G + 1,)."""
    return np.linspace(0, count, groups + 1).astype(np.int64)


def _within(features: Any, edges: Any, members: Floats) -> tuple[Floats, Floats]:  # noqa: ANN401
    """Sums the kernel over pairs of different rows, per pair of groups and in each subset.

    Args:
        features: Rows in the order of their groups, (N, F).
        edges: Where groups begin and end, (G + 1,).
        members: Which rows are in which subset, (N, S).

    Returns:
        Sums of shapes (G, G) and (S,).
    """
    groups = len(edges) - 1
    sums, subsets = np.zeros((groups, groups)), np.zeros(members.shape[1])
    for i in range(groups):
        group, own = features[edges[i] : edges[i + 1]], members[edges[i] : edges[i + 1]]
        # A pair of two groups is met once and counts twice.
        twice = np.where(np.arange(edges[i + 1]) < edges[i], 2.0, 1.0)[:, None]
        before = twice * members[: edges[i + 1]]
        columns, inside = _kernel_sums(group, features[: edges[i + 1]], own, before)
        sums[i, : i + 1] = np.add.reduceat(columns, edges[: i + 1])
        sums[: i + 1, i] = sums[i, : i + 1]
        diagonal = _diagonal(group)
        sums[i, i] -= diagonal.sum()
        subsets += inside - diagonal @ own
    return sums, subsets


def _between(
    left: Any,  # noqa: ANN401
    right: Any,  # noqa: ANN401
    edges: tuple[Any, Any],
    members: Sequence[Floats],
) -> tuple[Floats, Floats]:
    """Sums the kernel over pairs of rows of two sets, as `_within` does."""
    bounds = zip(edges[0], edges[0][1:], strict=False)
    found = [
        _kernel_sums(left[start:stop], right, members[0][start:stop], members[1])
        for start, stop in bounds
    ]
    sums = np.array([np.add.reduceat(columns, edges[1][:-1]) for columns, _ in found])
    return sums, np.sum([inside for _, inside in found], axis=0)


def _kernel_sums(
    first: Any,  # noqa: ANN401
    second: Any,  # noqa: ANN401
    first_members: Floats,
    second_members: Floats,
) -> tuple[Floats, Floats]:
    """Sums the kernel over the rows of ``first``, for each row of ``second``; and in subsets."""
    first = float64(first)
    block = max(1, BLOCK_ELEMENTS // len(first))
    sums, subsets = [], np.zeros(first_members.shape[1])
    chosen = like(first_members, first)
    for start in range(0, len(second), block):
        rows = float64(second[start : start + block])
        product = rows @ first.T
        # In place, and a product for the cube: a power of floats takes ten times as long.
        product /= first.shape[1]
        product += 1.0
        cubes = product * product * product
        sums.append(to_floats(cubes.sum(1)))
        if len(subsets):
            inside = to_floats(cubes @ chosen)
            subsets += (inside * second_members[start : start + block]).sum(0)
    return np.concatenate(sums), subsets


def _diagonal(features: Any) -> Floats:  # noqa: ANN401
    values = float64(features)
    return to_floats(((values * values).sum(1) / values.shape[1] + 1.0) ** 3)


def _estimate(real: Any, generated: Any) -> float:  # noqa: ANN401
    one = np.ones(1)
    edges = _edges(len(real), 1), _edges(len(generated), 1)
    none = np.zeros((len(real), 0)), np.zeros((len(generated), 0))
    within = _within(real, edges[0], none[0])[0], _within(generated, edges[1], none[1])[0]
    sums = *within, _between(real, generated, edges, none)[0]
    return _combine(sums, (edges[0][1:], edges[1][1:]), one, one)


def _draw_subsets(n: int, m: int, count: int, size: int, seed: int) -> list[tuple[Any, Any]]:
    if count < 1 or size < 2:
        raise BadInput(f"'subsets' is {count} of {size} rows; expected at least 1 of 2 rows.")
    generator = np.random.default_rng(seed)
    return [
        (generator.choice(n, size, replace=False), generator.choice(m, size, replace=False))
        for _ in range(count)
    ]


def _check_indices(subsets: tuple[Any, Any], n: int, m: int) -> list[tuple[Any, Any]]:
    if len(subsets) != 2 or len(subsets[0]) != len(subsets[1]) or len(subsets[0]) == 0:
        raise BadInput("'subsets' is not a pair of equally many index arrays.")
    for name, indices, count in (("real", subsets[0], n), ("generated", subsets[1], m)):
        array = np.asarray(indices)
        if array.ndim != 2 or array.shape[1] < 2 or array.min() < 0 or array.max() >= count:
            raise BadInput(
                f"'subsets' for '{name}' has shape {array.shape}; "
                f"expected (S, m) indices below {count}, with m at least 2."
            )
    real, generated = (np.asarray(indices).astype(np.int64) for indices in subsets)
    return list(zip(real, generated, strict=True))

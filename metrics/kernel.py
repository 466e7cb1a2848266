"""Kernel distance (KID): squared maximum mean discrepancy with a cubic kernel."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from .arrays import BadInput, Features, Floats, check_features, float64, take, to_floats
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
    """Scores KID over random subsets (``kid``) and over all rows (``kid_full``).

    Standard errors are the delete-group jackknife's; that of ``kid`` adds the spread of the
    subsets, if there is more than one. Where a set has fewer rows than a subset, ``kid`` is left
    out.
    """
    full, error = kernel_distance_jackknife(real=real, generated=generated)
    scores = {"kid_full": Estimate.of_distance(full, error)}
    if min(len(real), len(generated)) >= subset_size:
        value, spread = kernel_distance(
            real=real, generated=generated, subsets=subsets, subset_size=subset_size, seed=seed
        )
        error = None if error is None else float(np.hypot(error, spread / subsets**0.5))
        scores["kid"] = Estimate.of_distance(value, error)
    return scores


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
    groups = min(groups, max(1, min(len(real), len(generated)) // 2))
    real, generated = check_features(real=real, generated=generated, minimum=2 * groups)
    generator = np.random.default_rng(seed)
    left, right = (take(s, generator.permutation(len(s))) for s in (real, generated))
    edges = _edges(len(real), groups), _edges(len(generated), groups)
    within = remembered(lambda: _within(left, edges[0]), "kernel", real, groups=groups, seed=seed)
    sums = within, _within(right, edges[1]), _between(left, right, edges)
    sizes = np.diff(edges[0]), np.diff(edges[1])
    keep = np.ones(groups)
    value = _combine(sums, sizes, keep, keep)
    if groups == 1:
        return value, None
    drops = 1.0 - np.eye(groups)  # each line leaves one group out
    without_real = [_combine(sums, sizes, drop, keep) for drop in drops]
    without_generated = [_combine(sums, sizes, keep, drop) for drop in drops]
    variance = (groups - 1) * (np.var(without_real) + np.var(without_generated))
    return value, float(variance**0.5)


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


def _within(features: Any, edges: Any) -> Floats:  # noqa: ANN401
    """Sums the kernel over pairs of different rows, per pair of groups, shape (G, G)."""
    groups = len(edges) - 1
    sums = np.zeros((groups, groups))
    for i in range(groups):
        group = features[edges[i] : edges[i + 1]]
        columns = _kernel_sums(group, features[: edges[i + 1]])
        sums[i, : i + 1] = np.add.reduceat(columns, edges[: i + 1])
        sums[: i + 1, i] = sums[i, : i + 1]
        sums[i, i] -= _diagonal_sum(group)
    return sums


def _between(left: Any, right: Any, edges: tuple[Any, Any]) -> Floats:  # noqa: ANN401
    """Sums the kernel over pairs of rows of two sets, per pair of groups, shape (G, G)."""
    bounds = zip(edges[0], edges[0][1:], strict=False)
    sums = [_kernel_sums(left[start:stop], right) for start, stop in bounds]
    return np.array([np.add.reduceat(row, edges[1][:-1]) for row in sums])


def _kernel_sums(first: Any, second: Any) -> Floats:  # noqa: ANN401
    """Sums the kernel over the rows of ``first``, for each row of ``second``."""
    first = float64(first)
    block = max(1, BLOCK_ELEMENTS // len(first))
    sums = []
    for start in range(0, len(second), block):
        rows = float64(second[start : start + block])
        product = rows @ first.T
        # In place, and a product for the cube: a power of floats takes ten times as long.
        product /= first.shape[1]
        product += 1.0
        sums.append(to_floats((product * product * product).sum(1)))
    return np.concatenate(sums)


def _diagonal_sum(features: Any) -> float:  # noqa: ANN401
    values = float64(features)
    return float((((values * values).sum(1) / values.shape[1] + 1.0) ** 3).sum())


def _estimate(real: Any, generated: Any) -> float:  # noqa: ANN401
    one = np.ones(1)
    edges = _edges(len(real), 1), _edges(len(generated), 1)
    sums = _within(real, edges[0]), _within(generated, edges[1]), _between(real, generated, edges)
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

"""Diagnostics of latent codes: how far they are from the prior, and how many are used."""

from __future__ import annotations

import numpy as np

from .arrays import Features, Floats, blocks, check_features, to_floats
from .registry import Estimate, register

ACTIVE_VARIANCE = 0.01


@register(
    "latent-prior", unit="squared discrepancy in mmd, distance in [0, 1] in ks", better="lower"
)
def latent_prior(*, codes: Features) -> dict[str, Estimate]:
    """Scores how far the codes are from N(0, I): MMD and per-dimension KS distances.

    Args:
        codes: Deterministic codes, shape (N, L).

    Returns:
        ``mmd``: the unbiased squared discrepancy; ``ks_mean`` and ``ks_max``: mean and largest
        Kolmogorov-Smirnov distance over the dimensions, each in [0, 1].
    """
    (checked,) = check_features(codes=codes)
    values = to_floats(checked)
    distances = ks_distances(codes=values)
    value, error = prior_discrepancy(codes=values)
    return {
        "mmd": Estimate(value, error),
        "ks_mean": Estimate(float(distances.mean())),
        "ks_max": Estimate(float(distances.max())),
    }


@register("latent-use", unit="dimensions", better="none")
def latent_use(*, codes: Features) -> dict[str, Estimate]:
    """Counts active units and the effective rank of the codes, shape (N, L).

    An active unit has a variance over images above 0.01; the effective rank is the exponential
    of the entropy of the normalised singular values of the centred codes.

    References:
        Importance Weighted Autoencoders (Burda et al., 2016), Section 5.1, arXiv:1509.00519;
        The Effective Rank (Roy and Vetterli, 2007), Definition 1.

    Example:
        >>> codes = np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 1.0, 0.0]
        >>> latent_use(codes=codes)["active_units"].value
        2.0
    """
    (checked,) = check_features(codes=codes)
    values = to_floats(checked)
    active = float((values.var(axis=0, ddof=1) > ACTIVE_VARIANCE).sum())
    singular = np.linalg.svdvals(values - values.mean(axis=0))
    rank = 0.0
    if singular.sum() > 0:
        shares = singular[singular > 0] / singular.sum()
        rank = float(np.exp(-(shares * np.log(shares)).sum()))
    return {"active_units": Estimate(active), "effective_rank": Estimate(rank)}


def ks_distances(*, codes: Features) -> Floats:
    """Computes the Kolmogorov-Smirnov distance of each dimension to N(0, 1), shape (L,).

    Example:
        >>> ks_distances(codes=np.zeros((10, 1))).tolist()
        [0.5]
    """
    from scipy.special import ndtr

    heights = ndtr(np.sort(to_floats(codes), axis=0))
    count = len(heights)
    steps = np.arange(1, count + 1)[:, None] / count
    return np.asarray(np.maximum(steps - heights, heights - steps + 1.0 / count).max(axis=0))


def prior_discrepancy(*, codes: Features) -> tuple[float, float]:
    """Computes the squared MMD between codes and N(0, I), without sampling the prior.

    Gaussian kernel of variance L, whose means under N(0, I) are closed forms; unbiased, so
    slightly negative values are right.

    References:
        A Kernel Two-Sample Test (Gretton et al., 2012), Equation 3.

    Args:
        codes: Codes, shape (N, L), N at least 2.

    Returns:
        The value and its first-order standard error.

    Example:
        >>> codes = np.random.default_rng(0).normal(size=(500, 4))
        >>> abs(prior_discrepancy(codes=codes)[0]) < 0.01
        True
    """
    values = to_floats(codes)
    count, dims = values.shape
    norms = (values**2).sum(axis=1)
    sums = np.empty(count)
    for start, block in blocks(values):
        rows = slice(start, start + len(block))
        squared = norms[rows, None] + norms - 2.0 * block @ values.T
        # A code's distance to itself is 0 and its kernel 1: no pair, so it is taken off.
        sums[rows] = np.exp(-squared.clip(min=0.0) / (2.0 * dims)).sum(axis=1) - 1.0
    cross = (dims / (dims + 1.0)) ** (dims / 2.0) * np.exp(-norms / (2.0 * (dims + 1.0)))
    prior = (dims / (dims + 2.0)) ** (dims / 2.0)
    value = sums.mean() / (count - 1) + prior - 2.0 * cross.mean()
    # Half of what one code adds: it is either member of its pairs, and counts twice in the cross
    # term. Hence the factor 2 of the standard error.
    influence = sums / (count - 1) - cross
    return float(value), float(2.0 * influence.std(ddof=1) / count**0.5)

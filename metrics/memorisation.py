"""Memorisation: do generated images lie closer to training images than held-out ones do?"""

from __future__ import annotations

import numpy as np

from .arrays import Features, Floats, check_features
from .memory import remembered
from .registry import Estimate, register


@register("memorisation", unit="share or ratio", better="higher")
def memorisation(
    *, train: Features, heldout: Features, generated: Features
) -> dict[str, Estimate]:
    """Scores two distances to the nearest training image; copies of training images lower both.

    References:
        How Faithful is your Synthetic Data? (Alaa et al., 2022), arXiv:2102.08921.

    Args:
        train: Features of training images, shape (N, F).
        heldout: Features of images that were not trained on, shape (H, F).
        generated: Features of generated images, shape (M, F).

    Returns:
        ``nn_ratio``: the median distance of a generated image to its nearest training image,
        over the same of held-out images; 1 for fresh images of the same distribution, 0 for
        copies. None where most held-out images are copies themselves. ``authpct``: the share of
        generated images that are farther from their nearest training image than this one is
        from its own nearest training image.

    Raises:
        BadInput: Wrong shapes, too few or equal training rows, or rows that are not finite.

    Example:
        >>> train, heldout, fresh = np.random.default_rng(0).normal(size=(3, 200, 2))
        >>> scores = memorisation(train=train, heldout=heldout, generated=train[:100])
        >>> scores["nn_ratio"].value, scores["authpct"].value
        (0.0, 0.0)
    """
    import torch

    from .neighbours import squared_kth, squared_radii
    from .screening import prepare

    sets = check_features(train=train, heldout=heldout, generated=generated)
    check_features(train=sets[0], vary=True)
    points, other, new = prepare(*sets)
    radii = remembered(lambda: squared_radii(points, 1), "radii", sets[0], k=1)
    # The first of several nearest ones is found: the one farthest from its own, in any order.
    order = np.argsort(-radii, kind="stable")
    points = points[torch.as_tensor(order, device=points.exact.device)]
    to_train, nearest = squared_kth(new, points, 1)
    baseline, _ = remembered(lambda: squared_kth(other, points, 1), "nearest", *sets[:2])
    # The factor keeps a tie, which rounding may break, from counting as farther.
    authentic = float((to_train > radii[order][nearest] * (1.0 + 1e-12)).mean())
    distances, expected = np.sqrt(to_train), np.sqrt(baseline)
    return {
        "nn_ratio": _ratio(distances, expected),
        "authpct": Estimate.of_share(authentic, len(to_train)),
    }


def _ratio(first: Floats, second: Floats, resamples: int = 200) -> Estimate:
    """Returns the ratio of medians with its bootstrap standard error."""
    if not np.median(second) > 0.0:
        return Estimate(float("nan"), None, "most held-out images are training images")
    generator = np.random.default_rng(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [
            np.median(generator.choice(first, len(first)))
            / np.median(generator.choice(second, len(second)))
            for _ in range(resamples)
        ]
        error = float(np.std(ratios, ddof=1))
    return Estimate(float(np.median(first) / np.median(second)), error)

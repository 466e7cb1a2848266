"""Clipped density: how many generated rows lie among real ones, not moved by outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Features
from .registry import Estimate, register

if TYPE_CHECKING:
    from .arrays import Floats

CUT = "above that of real rows among themselves, so cut to 1"


@register("clipped-density", unit="share", better="higher")
def score_clipped_density(
    *, real: Features, generated: Features, k: int = 5
) -> dict[str, Estimate]:
    """Scores clipped density: how near generated images are to real ones, 1 at best.

    The standard error takes the balls around real rows as given.
    """
    own, among = _filled(real, generated, k)
    ratio = own.mean() / among.mean()
    # Of a ratio of two means, to first order.
    errors = own.std() / len(own) ** 0.5, ratio * among.std() / len(among) ** 0.5
    stderr = float(np.hypot(*errors) / among.mean())
    return {"clipped_density": Estimate(min(1.0, float(ratio)), stderr, CUT if ratio > 1 else "")}


def clipped_density(*, real: Features, generated: Features, k: int = 5) -> float:
    """Computes clipped density.

    The balls around real rows reach to their k-th neighbour, but no further than the median of
    these radii, so that an outlier has no large ball. A generated row counts as the share of k
    balls that hold it, at most 1. Their mean is divided by that of the real rows among
    themselves, and cut at 1. It falls linearly with the share of bad rows.

    References:
        Enhanced Generative Model Evaluation with Clipped Density and Coverage (Salvy, Talbot and
        Thirion, 2025), arXiv:2507.01761.

    Args:
        real: Features of real images, shape (N, F), N above k.
        generated: Features of generated images, shape (M, F), M above k.
        k: Which neighbour in the real set gives the radius.

    Returns:
        The share, in [0, 1]; 1 for a perfect model.

    Raises:
        BadInput: Wrong shapes, fewer than k + 1 rows, equal real rows or rows that are not
            finite.

    Example:
        >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> clipped_density(real=real, generated=np.array([[0.5], [99.0]]), k=1)
        0.5
    """
    own, among = _filled(real, generated, k)
    return min(1.0, float(own.mean() / among.mean()))


def _filled(real: Features, generated: Features, k: int) -> tuple[Floats, Floats]:
    """Returns for each generated, and for each real row, the share of k balls that hold it."""
    from .neighbours import count_hits, real_balls

    left, right, radii = real_balls(real=real, generated=generated, k=k)
    clipped = np.minimum(radii, np.median(radii**0.5) ** 2)

    def share(hits: Any) -> Floats:  # noqa: ANN401
        filled: Floats = np.minimum(hits / k, 1.0)
        return filled

    own, _ = count_hits(left, right, real_radii=clipped, strict=False)
    # A real row lies in its own ball, which does not count.
    among, _ = count_hits(left, left, real_radii=clipped, strict=False)
    return share(own.per_point), share(among.per_point - 1)

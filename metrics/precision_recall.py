"""Improved precision and recall over nearest-neighbour balls."""

from __future__ import annotations

from .arrays import Features
from .registry import Estimate, register


@register("precision-recall", unit="share", better="higher")
def score_precision_recall(
    *, real: Features, generated: Features, k: int = 3, strict: bool = False
) -> dict[str, Estimate]:
    """Scores how many generated images are near real ones (precision), and vice versa (recall).

    A share over n points has the standard error ``sqrt(p (1 - p) / n)`` for fixed balls; that
    the balls come from a sample as well is not in it.
    """
    precision, recall = precision_recall(real=real, generated=generated, k=k, strict=strict)
    return {
        "precision": Estimate.of_share(precision, len(generated)),
        "recall": Estimate.of_share(recall, len(real)),
    }


def precision_recall(
    *, real: Features, generated: Features, k: int = 3, strict: bool = False
) -> tuple[float, float]:
    """Computes improved precision and recall.

    Precision is the share of generated rows inside a ball around a real row, recall the share of
    real rows inside a ball around a generated row; a ball reaches to the k-th neighbour in its
    own set. Exchanging the sets exchanges the two.

    References:
        Improved Precision and Recall Metric for Assessing Generative Models
        (Kynkäänniemi et al., 2019), arXiv:1904.06991.

    Args:
        real: Features of real images, shape (N, F), N above k.
        generated: Features of generated images, shape (M, F), M above k.
        k: Which neighbour gives the radius.
        strict: Whether a point on the border is outside (as in prdc) or inside (as in the
            published code and torch-fidelity).

    Returns:
        Precision and recall, both in [0, 1].

    Raises:
        BadInput: Wrong shapes, fewer than k + 1 rows, equal real rows or rows that are not
            finite.

    Example:
        >>> import numpy as np
        >>> real = np.array([[0.0], [1.0], [9.0], [10.0]])
        >>> precision_recall(real=real, generated=real[:2] + 0.5, k=1)
        (1.0, 0.5)
    """
    from .neighbours import ball_hits

    of_real, of_generated = ball_hits(real=real, generated=generated, k=k, strict=strict)
    return float((of_real.per_point > 0).mean()), float((of_generated.per_point > 0).mean())

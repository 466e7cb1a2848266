"""Points between each latent code and the nearest other one, whose Fréchet distance is iFID.

It is low where the space between neighbouring codes decodes to images like real ones, which a
density fitted to the codes needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..interruption import check_stop

NAME = "nearest"
MIDDLE = 0.5
BLOCK = 500


def set_name(weight: float) -> str:
    """Returns what the points are called in rows; those in the middle have no number."""
    return NAME if weight == MIDDLE else f"{NAME}-{weight:g}"


def towards_nearest(codes: Tensor, weight: float) -> Tensor:
    """Returns (1 - w) z + w z', (N, L), where z' is the nearest other code by Euclidean distance.

    References:
        iFID (Xu et al., 2026), arXiv:2603.05630. The abstract gives no weight.

    Args:
        codes: Codes z of the evaluated images, (N, L), N at least 2.
        weight: w, the share of the way to z', between 0 and 1.

    Raises:
        ValueError: There is no other code.

    Example:
        >>> towards_nearest(torch.tensor([[0.0], [1.0], [4.0]]), 0.5)[:, 0]
        tensor([0.5000, 0.5000, 2.5000])
    """
    if len(codes) < 2:
        raise ValueError(
            f"There is {len(codes)} code; expected at least 2 to have a nearest other."
        )
    return codes + weight * (codes[nearest_other(codes)] - codes)


def nearest_other(codes: Tensor) -> Tensor:
    """Returns the index of each code's nearest other one, (N,); the first of several."""
    exact = codes.double()
    found = []
    for start in range(0, len(exact), BLOCK):
        check_stop()
        block = exact[start : start + BLOCK]
        # Not by products, whose rounding would make a near pair's distance another's.
        distances = torch.cdist(block, exact, compute_mode="donot_use_mm_for_euclid_dist")
        rows = torch.arange(len(block))
        distances[rows, start + rows] = torch.inf
        found.append(distances.argmin(1))
    return torch.cat(found)

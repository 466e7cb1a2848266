"""Points between pairs of latent codes."""

from __future__ import annotations

import torch
from torch import Tensor

KINDS = ("spherical", "linear", "rescaled")
PARALLEL = 1e-6


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Returns (1 - t) a + t b, (N, T, L), for ends (N, L) and positions (T,)."""
    return a[:, None] + t[:, None].to(a) * (b - a)[:, None]


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Returns the spherical interpolation of un-normalised ends, (N, T, L).

    The angle is that between the ends; parallel ends are interpolated linearly.
    """
    t = t.to(a)[None, :, None]
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None, None]
    sine = angle.sin()
    safe = torch.where(sine < PARALLEL, torch.ones_like(sine), sine)
    curved = (((1 - t) * angle).sin() * a[:, None] + (t * angle).sin() * b[:, None]) / safe
    return torch.where(sine < PARALLEL, linear(a, b, t[0, :, 0]), curved)


def rescaled_midpoint(a: Tensor, b: Tensor) -> Tensor:
    """Returns the midpoint (N, L), rescaled to the mean norm of the ends."""
    middle = (a + b) / 2
    norm = (a.norm(dim=1) + b.norm(dim=1)) / 2
    return middle * (norm / middle.norm(dim=1).clamp_min(1e-12))[:, None]


def midpoints(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """Returns one midpoint for each pair, (N, L).

    Raises:
        ValueError: The kind is unknown.
    """
    if kind == "rescaled":
        return rescaled_midpoint(a, b)
    if kind not in KINDS:
        raise ValueError(f"'interpolation' is '{kind}'; expected one of: {', '.join(KINDS)}.")
    between = spherical if kind == "spherical" else linear
    return between(a, b, torch.tensor([0.5]))[:, 0]

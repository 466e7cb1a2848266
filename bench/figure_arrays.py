"""What a run saves for figures beside its picture sheet: denoising, 2-D codes, neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..metrics.quantisation import quantise

if TYPE_CHECKING:
    from .outputs import Outputs

CODES = 2000
GRID = 100
LIMIT = 3.5
NEIGHBOURS = 3
BLOCK = 4096


def figure_arrays(outputs: Outputs) -> dict[str, Tensor]:
    """Returns all arrays that this run's figures can show, by the names that they look for."""
    arrays: dict[str, Tensor] = {}
    if outputs.noise_sigma > 0:
        arrays[f"denoising_{outputs.noise_sigma:g}"] = denoising_strip(outputs)
    if outputs.objective.code_dim == 2:
        arrays |= flat_codes(outputs)
    if outputs.data.default_space != "real":
        arrays |= {f"neighbours_{d}": neighbours(outputs, d) for d in outputs.densities}
    return arrays


def denoising_strip(outputs: Outputs) -> Tensor:
    """Returns noisy, denoised and clean test images, uint8 (N, 3, C, H, W)."""
    count = outputs.settings.sheet_images
    parts = (quantise(outputs.noisy[:count]), outputs.denoised[:count], outputs.real[:count])
    return torch.stack(parts, dim=1)


def flat_codes(outputs: Outputs) -> dict[str, Tensor]:
    """Returns ``codes2d`` (N, 2), ``labels`` (N,) and the mixtures' densities on a grid.

    ``density2d_<name>`` is (G, G), rows along the second code and columns along the first, over
    ``extent2d``: left, right, bottom, top. N(0, I) and the Gaussian follow from the codes.
    """
    codes = outputs.test_codes[:CODES]
    reach = max(LIMIT, 1.1 * float(codes.abs().quantile(0.995)))
    arrays = {"codes2d": codes, "extent2d": torch.tensor([-reach, reach] * 2)}
    labels = outputs.data.test_labels
    if labels is not None:
        arrays["labels"] = labels[: len(codes)]
    line = torch.linspace(-reach, reach, GRID, dtype=torch.float64)
    points = torch.cartesian_prod(line, line).flip(1)
    for name in outputs.densities:
        density = outputs.density(name)
        if density.has_log_prob and name not in ("prior", "gaussian"):
            grid = density.log_prob(points).exp().view(GRID, GRID)
            arrays[f"density2d_{name}"] = grid.float()
    return arrays


def neighbours(outputs: Outputs, density: str) -> Tensor:
    """Returns samples and their nearest training images, uint8 (N, 1 + 3, C, H, W).

    The distance is Euclidean in pixels; the sample stands first, then the nearest image.
    """
    samples = outputs.sample(density, outputs.settings.sheet_images)
    flat = samples.flatten(1).float()
    parts = [_distances(flat, part) for part in outputs.data.train.split(BLOCK)]
    count = min(NEIGHBOURS, len(outputs.data.train))
    nearest = torch.cat(parts, dim=1).topk(count, largest=False).indices
    return torch.cat([samples[:, None], outputs.data.train[nearest]], dim=1)


def _distances(samples: Tensor, stored: Tensor) -> Tensor:
    return torch.cdist(samples, stored.flatten(1).float())

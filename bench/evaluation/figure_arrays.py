"""What a run saves for figures beside its picture sheet: denoising, 2-D codes, neighbours."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...metrics.features.quantisation import quantise
from ...models.densities.gaussian import FullGaussian
from .outputs import made

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outputs import Outputs

CODES = 2000
GRID = 100
SIDE = 20
QUANTILES = (0.1, 0.9)
LIMIT = 3.5
NEIGHBOURS = 3
BLOCK = 4096


def figure_arrays(outputs: Outputs) -> dict[str, Tensor]:
    """Returns all arrays that this run's figures can show, by the names that they look for."""
    flat = outputs.objective.code_dim == 2
    arrays = flat_codes(outputs) if flat else {}
    if outputs.are_vectors:
        return arrays | flat_vectors(outputs)
    if not outputs.are_pictures:
        return arrays
    parts: dict[str, Callable[[], Tensor]] = {}
    if outputs.noise_sigma > 0:
        parts[f"denoising_{outputs.noise_sigma:g}"] = partial(denoising_strip, outputs)
    if flat:
        simple = [d for d in ("prior", "gaussian") if d in outputs.densities]
        parts |= {f"grid2d_{d}": partial(decoded_grid, outputs, d) for d in simple}
    parts |= {f"neighbours_{d}": partial(neighbours, outputs, d) for d in outputs.densities}
    return arrays | made(parts)


def flat_vectors(outputs: Outputs) -> dict[str, Tensor]:
    """Returns real and generated vectors of two numbers, (N, 2); none of other lengths."""
    if len(outputs.real[0].flatten()) != 2:
        return {}
    sets: dict[str, Callable[[], Tensor]] = {
        "real": lambda: outputs.real,
        "reconstruction": partial(outputs.images, "reconstruction"),
        **{f"sample_{d}": partial(outputs.images, "sample", d) for d in outputs.densities},
    }
    return {f"vectors_{name}": values[:CODES].flatten(1) for name, values in made(sets).items()}


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
    fitted = made({name: partial(outputs.density, name) for name in outputs.densities})
    for name, density in fitted.items():
        if density.has_log_prob and name not in ("prior", "gaussian"):
            grid = density.log_prob(points).exp().view(GRID, GRID)
            arrays[f"density2d_{name}"] = grid.float()
    return arrays


def decoded_grid(outputs: Outputs, density: str) -> Tensor:
    """Returns decoded quantiles of a 2-D density, uint8 (20 * 20, C, H, W), line by line.

    Each code has the density's quantiles of 20 evenly spaced probabilities from 0.1 to 0.9; the
    first grows to the right, the second falls from line to line.
    """
    probabilities = torch.linspace(*QUANTILES, SIDE, dtype=torch.float64)
    line = torch.special.ndtri(probabilities)
    points = torch.cartesian_prod(line.flip(0), line).flip(1)
    fitted = outputs.density(density)
    if isinstance(fitted, FullGaussian):
        points = fitted.mean + fitted.covariance.diagonal().sqrt() * points
    return outputs.decode(points.float())


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

"""What the data sets of known density share: draws and the split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .source import Content, Part

if TYPE_CHECKING:
    import torch

TRAIN, VALIDATION, TEST = 5_000, 1_000, 1_000


def split_draws(
    sample: Callable[[int, torch.Generator], torch.Tensor],
    seed: int,
    image_shape: tuple[int, int, int],
) -> Content:
    """Returns 5,000 / 1,000 / 1,000 draws from ``sample`` as float32 images."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    draws = sample(TRAIN + VALIDATION + TEST, generator)
    images = draws.float().reshape(-1, *image_shape).numpy()
    pool = TRAIN + VALIDATION
    return Content(Part(images[:pool]), Part(images[pool:]), held_out=VALIDATION)

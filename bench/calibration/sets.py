"""The image sets of the calibration study: real images, damaged by degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...metrics.damage import PrincipalComponents, add_noise, blur
from ...models.streams import stream, stream_seed
from ..errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.dataset import Dataset

UNDAMAGED = "none"
SPARE = 1.25  # clean images over the largest set, so that a class can be left out
PIXELWISE = ("blur", "noise", "pca")  # images are changed; elsewhere others are chosen
LEVELS: dict[str, tuple[float, ...]] = {
    "blur": (0.4, 0.6, 1.0),
    "noise": (2, 5, 20),
    "pca": (256, 64, 16),
    "dropped": (1, 3, 5),
    "memorised": (0.1, 0.5, 1.0),
    "repeated": (2, 5, 20),
}
DAMAGE_MEANING = {
    "blur": "Gaussian blur, standard deviation in pixels",
    "noise": "Gaussian noise, standard deviation in grey levels",
    "pca": "reconstruction from so many principal components",
    "dropped": "so many of the ten classes left out",
    "memorised": "share of images that are copies of training images",
    "repeated": "every image so many times, so fewer different ones",
}


@dataclass(frozen=True)
class Damage:
    """One kind of damage at one severity.

    Attributes:
        kind: A key of `LEVELS`, or ``none`` for the floor.
        severity: 0 for the floor, then 1, 2, 3.
    """

    kind: str = UNDAMAGED
    severity: int = 0

    @property
    def level(self) -> float:
        """The setting of the damage, 0 for the floor."""
        return LEVELS[self.kind][self.severity - 1] if self.severity else 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.level:g}" if self.severity else "floor"


def all_damages() -> list[Damage]:
    """Returns the floor, then every kind at every severity."""
    graded = [Damage(kind, at + 1) for kind, levels in LEVELS.items() for at in range(len(levels))]
    return [Damage(), *graded]


class Pools:
    """Disjoint pools of real images that every set of the study is taken from.

    Args:
        data: A data set of uint8 images with labels.
        largest: The largest count of a set.
        training: How many training images the memorisation metrics see.
        seed: The study's one seed.

    Attributes:
        images: uint8 (N, C, H, W) of ``real`` (test images), ``train``, ``heldout``
            (validation images) and ``clean`` (training images outside ``train``).
        labels: Classes of ``clean``, shape (N,).
        dropped: Classes in the order in which they are left out.

    Raises:
        UserError: The data set is too small or has no labels.
    """

    def __init__(self, data: Dataset, largest: int, training: int, seed: int) -> None:
        clean = int(SPARE * largest)
        if data.train_labels is None or data.train.dtype != torch.uint8:
            raise UserError(
                f"Data set '{data.name}' has no labelled 8-bit images to calibrate on."
            )
        needs = {"train": training + clean, "validation": training, "test": largest}
        for split, need in needs.items():
            if len(getattr(data, split)) < need:
                raise UserError(f"Split '{split}' of '{data.name}' has fewer than {need} images.")
        # One permutation a split, cut in parts: no image is in two pools.
        order = {s: _shuffled(len(getattr(data, s)), seed, s)[:need] for s, need in needs.items()}
        chosen = order["train"][training:]
        self.images = {
            "real": data.test[order["test"]],
            "train": data.train[order["train"][:training]],
            "heldout": data.validation[order["validation"]],
            "clean": data.train[chosen],
        }
        self.labels = data.train_labels[chosen].numpy()
        self.dropped: list[int] = _shuffled(10, seed, "classes").tolist()
        self.seed = seed

    def damage(self, damage: Damage, count: int) -> Tensor:
        """Returns the first ``count`` clean images, damaged, uint8."""
        clean = self.images["clean"][:count]
        if damage.kind == "blur":
            return blur(clean, damage.level)
        if damage.kind == "noise":
            return add_noise(clean, damage.level, stream(self.seed, f"noise/{damage.level}"))
        if damage.kind == "pca":
            return PrincipalComponents(self.images["real"]).project(clean, int(damage.level))
        return self.images["clean"]

    def select(self, damage: Damage, count: int, repeat: int) -> dict[str, np.ndarray]:
        """Returns which rows of ``clean`` and of ``train`` make a set; together ``count``."""
        rows = np.arange(repeat * count, (repeat + 1) * count)
        none = rows[:0]
        if damage.kind == "dropped":
            left_out = self.dropped[: int(damage.level)]
            kept = np.flatnonzero(~np.isin(self.labels, left_out))
            if len(kept) < rows[-1] + 1:
                raise UserError(f"Only {len(kept)} images are left of {rows[-1] + 1} needed.")
            return {"clean": kept[rows], "train": none}
        if damage.kind == "memorised":
            copies = round(damage.level * count)
            # The same rows of ``train`` are what the memorisation metrics see in this repeat.
            return {"clean": rows[copies:], "train": rows[:copies]}
        if damage.kind == "repeated":
            return {"clean": np.resize(rows[: count // int(damage.level)], count), "train": none}
        return {"clean": rows, "train": none}


def _shuffled(count: int, seed: int, name: str) -> np.ndarray:
    generator = np.random.default_rng(stream_seed(seed, f"calibration/{name}"))
    return generator.permutation(count)

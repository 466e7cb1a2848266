"""What a source of data hands over before it is split into tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Part:
    """Images, shape (N, C, H, W), with their labels, shape (N,), or none."""

    images: np.ndarray
    labels: np.ndarray | None = None

    def take(self, index: slice | np.ndarray) -> Part:
        """Returns the images at ``index`` with their labels."""
        return Part(self.images[index], None if self.labels is None else self.labels[index])


@dataclass(frozen=True)
class Content:
    """What a source reads.

    Args:
        train: The training images; with those to hold out at the end unless ``validation``
            is given.
        test: The test images.
        validation: The validation images, where the split is official.
        held_out: Count of images at the end of ``train`` that the default split holds out.
        aef_fraction: Share of ``train`` that the split ``aef`` holds out at random.
        shuffled: Whether all parts are in the order of their content, as a user's own data are;
            an official set keeps the order in which it was published.
    """

    train: Part
    test: Part
    validation: Part | None = None
    held_out: int = 10_000
    aef_fraction: float = 0.1
    shuffled: bool = False


@dataclass(frozen=True)
class State:
    """Where a data set is and whether it is whole: ``whole``, ``missing`` or ``broken``."""

    condition: str
    place: str
    advice: str

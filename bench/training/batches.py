"""The order in which training data are seen: a function of seed and step alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.streams import stream


class Batches:
    """Shuffled batches, a new order every epoch; the last, smaller batch is left out.

    Args:
        data: Training data (N, ...), on the device to train on.
        size: Items in a batch.
        seed: The run's one seed.

    Raises:
        ValueError: The batch is larger than the training data.
    """

    def __init__(self, data: Tensor, size: int, seed: int) -> None:
        check_batch_size(size, len(data))
        self.data, self.size, self.seed = data, size, seed
        self.per_epoch = len(data) // size
        self._epoch = -1
        self._order = torch.zeros(0, dtype=torch.int64)

    def at(self, step: int, out: Tensor | None = None) -> Tensor:
        """Returns the batch (B, ...) of a step, counted from 0, in ``out`` where it is given."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            # A function of the epoch, not of the batches before: a resumed training needs no
            # replay.
            order = torch.randperm(len(self.data), generator=stream(self.seed, f"data/{epoch}"))
            self._order, self._epoch = order.to(self.data.device), epoch
        chosen = self._order[position * self.size : (position + 1) * self.size]
        return torch.index_select(self.data, 0, chosen, out=out)


def check_batch_size(size: int, images: int) -> None:
    """Raises ValueError where a batch would be larger than the training data."""
    if size > images:
        raise ValueError(
            f"'training.batch_size' is {size}; expected at most the {images} training images."
        )

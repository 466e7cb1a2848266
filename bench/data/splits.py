"""A data set in memory, and the rule by which it is split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .source import Content, Part

if TYPE_CHECKING:
    import torch

SPLITS = ("default", "aef")
SHUFFLED = ", shuffled"
"""What is added to the split's name where the data set came in no order of its own."""
AEF_SPLIT_SEED = 3

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, vectors as images of one row, or texts as rows of symbols, in memory and split.

    Args:
        name: Name with the view, such as ``mnist-32``.
        train: uint8, shape (N, C, H, W); in space ``real`` float32, vectors as (N, 1, 1, D);
            symbols of texts uint8, as (N, 1, 1, T).
        validation: As ``train``.
        test: As ``train``.
        train_labels: int64, shape (N,), or none.
        validation_labels: As ``train_labels``.
        test_labels: As ``train_labels``.
        image_shape: (C, H, W); for texts (1, T, K), as models see T symbols of K kinds.
        native: False for a padded view and for texts, which have no bits per dimension.
        alpha: Bound of the affine map before the logit, AEF's convention.
        preset: Whose released RAE weights apply: ``mnist``, ``cifar10`` or ``celeba``;
            ``sequence`` for texts.
        default_space: ``unit``; ``real`` for vectors and ground truth, ``sequence`` for texts.
        split: ``default`` or ``aef``, as ``default, shuffled`` for a user's own data.
        truth: The distribution itself with its parameters, whose ``log_density(x)`` is the exact
            log p(x) in nats, float64 of shape (B,); only for ground truth.
        form: How texts are written as symbols, such as ``smiles-grammar``; empty for images.
        note: What of the files was passed over, in words.
    """

    name: str
    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor
    train_labels: torch.Tensor | None
    validation_labels: torch.Tensor | None
    test_labels: torch.Tensor | None
    image_shape: Shape
    native: bool
    alpha: float
    preset: str
    default_space: str
    split: str
    truth: Any = None
    form: str = ""
    note: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of type, shape and content of all splits and labels, in hex."""
        digest = hashlib.sha256()
        for tensor in (
            *(self.train, self.validation, self.test),
            *(self.train_labels, self.validation_labels, self.test_labels),
        ):
            if tensor is None:
                digest.update(b"none")
                continue
            array = tensor.numpy()
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()


def check_split(split: str) -> None:
    """Checks the name of a split.

    Raises:
        UserError: There is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"'split' is '{split}'; expected one of: {', '.join(SPLITS)}.")


def divide(content: Content, split: str) -> tuple[Part, Part, Part]:
    """Returns training, validation and test part; an official validation part is kept.

    Raises:
        UserError: There are too few images to hold some out.
    """
    if content.validation is not None:
        return content.train, content.validation, content.test
    count, held_out = len(content.train.images), content.held_out
    if split == "aef":
        held_out = max(1, round(content.aef_fraction * count))
    kept = count - held_out
    if kept < 1:
        raise UserError(f"There are {count} training images; expected over {held_out}.")
    if split == "aef":
        import torch

        generator = torch.Generator().manual_seed(AEF_SPLIT_SEED)
        # As torch's random_split has it: the first part trains, the rest is held out.
        order = torch.randperm(count, generator=generator).numpy()
        train, validation = order[:kept], order[kept:]
        return content.train.take(train), content.train.take(validation), content.test
    train_part, validation_part = (content.train.take(s) for s in (slice(kept), slice(kept, None)))
    return train_part, validation_part, content.test

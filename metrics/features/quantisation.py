"""From float images to 8 bits, and the papers' own evaluation protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Rounding = Literal["nearest", "truncate", "none"]


@dataclass(frozen=True)
class Protocol:
    """How a set of images is prepared before features are extracted.

    Only ``aebench`` is used for our own numbers; the others exist to be compared with what a
    paper has printed.

    Attributes:
        name: The name on the command line.
        rounding: ``nearest``, ``truncate`` (towards 0), or ``none`` (unclamped floats).
        count: Count of real and of generated images; ``None`` where the suite chooses.
        drop_non_finite: Whether generated images with a nan are left out without a word.
        source: Where the protocol is from.
    """

    name: str
    rounding: Rounding
    count: int | None
    drop_non_finite: bool
    source: str


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("aebench", "nearest", None, False, "ours"),
        Protocol("rae", "truncate", 10_000, False, "arXiv:1903.12436, released code"),
        Protocol("aef", "none", 2_048, True, "arXiv:2205.09546, released code"),
    )
}


def quantise(images: Tensor, rounding: Rounding = "nearest") -> Tensor:
    """Clips images to [0, 1] and rounds them to 8 bits.

    Args:
        images: float, in [0, 1], any shape.
        rounding: ``nearest`` (floor of 255·x + 0.5), or ``truncate`` as a released code does.

    Returns:
        uint8, same shape and device.

    Raises:
        ValueError: A value is nan, or the rounding is neither of the two.

    Example:
        >>> quantise(torch.tensor([-0.2, 0.501, 0.9999, 1.7])).tolist()
        [0, 128, 255, 255]
    """
    if rounding not in ("nearest", "truncate"):
        raise ValueError(f"'rounding' is '{rounding}'; expected 'nearest' or 'truncate'.")
    if images.isnan().any():
        raise ValueError("Images have nan values; expected numbers in [0, 1].")
    offset = 0.5 if rounding == "nearest" else 0.0
    return (images.clamp(0, 1) * 255 + offset).floor().to(torch.uint8)


def prepare(images: Tensor, protocol: Protocol) -> Tensor:
    """Returns what a protocol hands to the extractor.

    Args:
        images: float, (N, C, H, W), meant to be in [0, 1].
        protocol: One of ``PROTOCOLS``.

    Returns:
        uint8, or for ``none`` float32 grey levels 255·x for ``Extractor.extract_levels``; the
        first ``count`` images where the protocol has one.
    """
    if protocol.drop_non_finite:
        images = images[images.flatten(1).isfinite().all(dim=1)]
    images = images[: protocol.count]
    if protocol.rounding == "none":
        return images.float() * 255
    return quantise(images, protocol.rounding)

"""Feature extractors: networks that turn 8-bit images into the vectors that metrics compare."""

from __future__ import annotations

import difflib
import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .devices import in_batches, products_in
from .registry import import_plugins, refuse_second

Progress = Callable[[int], object]


class MissingWeights(FileNotFoundError):
    """A weights file is not where it was looked for; the message says where to put it."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnknownExtractor(ValueError):
    """No extractor has this name; the message has the near match and the list."""


class Extractor(ABC):
    """A fixed map from 8-bit images to feature vectors.

    A subclass is one file in ``features``: it sets the class attributes, says where its
    weights lie (``find_weights``) and how a batch is embedded (``embed``). Nothing is loaded
    before the first call, so asking for the identity is cheap.

    Args:
        resolution: Side in pixels that images are resized to, where the extractor has a choice.
        weights: File to take instead of the one in the usual places.
        device: Where the network runs.
        download: Whether missing weights may be fetched from the network.

    Attributes:
        base_name: The registered name, without the resolution.
        dims: Length of a feature vector.
        channels: 3 where grey images are repeated to three channels, ``None`` where not.
        default_resolution: Resolution of the bare name; ``None`` where there is no choice.
        resize: What happens to the images' size, in words.
    """

    base_name: ClassVar[str] = ""
    dims: int = 0
    channels: ClassVar[int | None] = 3
    default_resolution: ClassVar[int | None] = None
    batch_size: ClassVar[int] = 256
    resize: str = "none"

    def __init__(
        self,
        resolution: int | None = None,
        *,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        download: bool = False,
    ) -> None:
        if resolution is not None and self.default_resolution is None:
            raise UnknownExtractor(
                f"Extractor '{self.base_name}' takes no resolution; got '@{resolution}'."
            )
        self.resolution = resolution or self.default_resolution
        self.device = torch.device(device)
        self.download = download
        self.weights = None if weights is None else Path(weights)

    @property
    def name(self) -> str:
        """The name with the resolution, such as ``lite0@64``."""
        return f"{self.base_name}@{self.resolution}" if self.resolution else self.base_name

    @functools.cached_property
    def weights_path(self) -> Path | None:
        """The weights file, or ``None`` for an extractor without weights.

        Raises:
            MissingWeights: The file is in none of the places.
        """
        return self.find_weights()

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the weights file in hex, ``-`` for an extractor without weights."""
        path = self.weights_path
        if path is None:
            return "-"
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def identity(self) -> str:
        """Name and first 12 hex digits of the weights' SHA-256, ``lite0@64:579344248a93``."""
        return f"{self.name}:{self.digest[:12]}"

    @abstractmethod
    def find_weights(self) -> Path | None:
        """Returns the weights file; ``None`` where there are no weights."""

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """Maps a batch of grey levels in [0, 255], float32 (B, C, H, W), to features (B, F)."""

    def __call__(self, images: Tensor, progress: Progress | None = None) -> Tensor:
        """Extracts the features of a set of images.

        Args:
            images: uint8, shape (N, C, H, W), on any device; C is 1 or 3.
            progress: Called after each batch with its count of images.

        Returns:
            float32, shape (N, F), on the extractor's device.

        Raises:
            TypeError: The images are not uint8.
            ValueError: Wrong rank, count of channels, or no image.
        """
        check_images(images)

        def features(start: int, stop: int) -> Tensor:
            levels = images[start:stop].to(self.device, torch.float32)
            if self.channels == 3 and levels.shape[1] == 1:
                levels = levels.expand(-1, 3, -1, -1)
            embedded = self.embed(levels).float()
            if progress is not None:
                progress(stop - start)
            return embedded

        # TF32 would make a GPU's features others than a CPU's.
        with torch.inference_mode(), products_in("ieee"):
            return torch.cat(in_batches(features, len(images), self.batch_size))


class NetworkExtractor(Extractor):
    """An extractor whose features come from a network, built at the first call."""

    @functools.cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode on the extractor's device."""
        network = self.build_network().requires_grad_(False).eval()
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @abstractmethod
    def build_network(self) -> nn.Module:
        """Returns the network with its weights loaded."""


E = TypeVar("E", bound=type[Extractor])
EXTRACTORS: dict[str, type[Extractor]] = {}


def register_extractor(name: str) -> Callable[[E], E]:
    """Returns a decorator that files an extractor class under ``name``.

    Raises:
        ValueError: The name is taken by a class defined elsewhere.
    """

    def file(extractor: E) -> E:
        if name in EXTRACTORS:
            refuse_second("Extractor", name, EXTRACTORS[name], extractor)
        extractor.base_name = name
        EXTRACTORS[name] = extractor
        return extractor

    return file


def scan_extractors() -> None:
    """Imports every module in ``features`` and every entry point ``aebench.extractors``."""
    import_plugins("aebench.metrics.features", "aebench.extractors")


def extractor_names() -> list[str]:
    """Returns all extractors' names, sorted, with the default resolution where there is one."""
    scan_extractors()
    return sorted(
        f"{name}@{cls.default_resolution}" if cls.default_resolution else name
        for name, cls in EXTRACTORS.items()
    )


def build_extractor(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    download: bool = False,
) -> Extractor:
    """Returns the extractor called ``name``; ``lite0@32`` is ``lite0`` at 32 pixels.

    Raises:
        UnknownExtractor: There is none of that name, or it takes no resolution.
        MissingWeights: Later, when identity or features are asked for.

    Example:
        >>> build_extractor("pixels").identity
        'pixels:-'
    """
    scan_extractors()
    base_name, _, side = name.partition("@")
    if base_name not in EXTRACTORS:
        near = difflib.get_close_matches(name, [*extractor_names(), *EXTRACTORS], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        known = ", ".join(extractor_names())
        raise UnknownExtractor(f"Unknown extractor '{name}'.{hint} Known: {known}.")
    if "@" in name and not (side.isdecimal() and 8 <= int(side) <= 1024):
        raise UnknownExtractor(
            f"Resolution of extractor '{name}' is '{side}'; expected pixels from 8 to 1024."
        )
    resolution = int(side) if side else None
    return EXTRACTORS[base_name](resolution, weights=weights, device=device, download=download)


def check_images(images: Tensor) -> None:
    """Checks that images are uint8 of shape (N, C, H, W) with N > 0 and C 1 or 3.

    Raises:
        TypeError: Another type than uint8.
        ValueError: Another shape.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"Images are {images.dtype}; expected torch.uint8 (see 'quantise').")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.numel() == 0:
        raise ValueError(
            f"Images have shape {tuple(images.shape)}; expected (N, C, H, W) with C 1 or 3."
        )


def resize_bilinear(levels: Tensor, side: int) -> Tensor:
    """Resizes to a square, half-pixel centres, with a low-pass filter where it shrinks.

    Args:
        levels: float32, shape (B, C, H, W).
        side: Pixels of the result's side; images of that size are returned as they are.
    """
    height, width = levels.shape[-2:]
    if (height, width) == (side, side):
        return levels
    return functional.interpolate(
        levels,
        size=(side, side),
        mode="bilinear",
        align_corners=False,
        antialias=side < max(height, width),
    )

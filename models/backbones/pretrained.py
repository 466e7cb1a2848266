"""Autoencoders that come with their weights, in the place of the shared networks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..registry import Registry, unknown_name
from ..streams import initialised_from
from ..switches import VALUE_CHECKS
from .backbone import Backbone
from .diffusers import CODES, INPUT_RANGE, read_diffusers

AUTOENCODERS: Registry[Callable[[], nn.Module]] = Registry(
    "autoencoder", folder="aebench.models.backbones", group="aebench.models"
)
FORMS = "diffusers:FOLDER or module:NAME"
# Pixels of a plane that go through a network at once, at least one image: 500 of 64x64.
PLANES = 500 * 64 * 64
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class PretrainedBackbone(Backbone):
    """A given encoder and decoder between pixels in [0, 1] and flat codes.

    Args:
        network: A module with ``encode``, images (B, C, H, W) to codes (B, ...), and ``decode``,
            codes to images. Its weights are taken as float32.
        image_shape: (C, H, W).
        latent_dim: Values L of a code.
        name: What errors call it.
        input_range: What the network takes and gives for pixels of 0 and 1.
        origin: The module whose code made the network; empty for a library's.

    Raises:
        ValueError: The network does not take such images, or its codes have other sizes.
    """

    summary = "a given autoencoder with its own weights"

    def __init__(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        name: str,
        input_range: Sequence[float],
        origin: str = "",
    ) -> None:
        super().__init__(image_shape, latent_dim)
        self.name, self.origin = name, origin
        self.low, self.high = _checked_range(name, input_range)
        self.network = network.float().eval()
        if not any(p.is_floating_point() for p in network.parameters()):
            raise ValueError(f"Backbone '{name}' has no weights; expected a module with some.")
        # Nothing trains them. Marked as trained they count in the size, as others' weights do.
        for parameter in network.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        self.code_shape = self._code_shape()
        self._hash = self._identity()

    @property
    def input_range(self) -> list[float]:
        """What the network takes and gives for pixels of 0 and 1."""
        return [self.low, self.high]

    def encode(self, inputs: Tensor) -> Tensor:
        """Returns codes (B, L) of pixels (B, C, H, W) in [0, 1].

        Raises:
            ValueError: A value is below 0, as where another objective brings pixels to [-1, 1].
        """
        if VALUE_CHECKS and float(inputs.min()) < 0:
            raise ValueError(self._refusal())
        scaled = inputs * (self.high - self.low) + self.low
        return torch.cat([self._network.encode(part).flatten(1) for part in self._parts(scaled)])

    def decode(self, codes: Tensor) -> Tensor:
        """Returns pixels (B, C, H, W), 0 black and 1 white, not clamped, of codes (B, L)."""
        shaped = codes.unflatten(1, self.code_shape)
        images = torch.cat([self._network.decode(part) for part in self._parts(shaped)])
        return (images - self.low) / (self.high - self.low)

    def code_head(self) -> nn.Module:
        """Refuses: a given network has no layers to copy."""
        raise ValueError(self._refusal())

    def output_head(self) -> nn.Module:
        """Refuses: a given network has no layers to copy."""
        raise ValueError(self._refusal())

    def structure_hash(self) -> str:
        """Returns 16 hex digits that change with any layer, setting, weight or the input range."""
        return self._hash

    @property
    def _network(self) -> Any:  # noqa: ANN401
        return self.network

    def _refusal(self) -> str:
        return (
            f"Backbone '{self.name}' comes with its weights; "
            "expected objective 'pretrained', which alone takes it."
        )

    def _parts(self, values: Tensor) -> tuple[Tensor, ...]:
        _, height, width = self.image_shape
        return values.split(max(1, PLANES // (height * width)))

    @torch.no_grad()
    def _code_shape(self) -> torch.Size:
        """Returns the shape of one code, after a grey image has gone both ways.

        Raises:
            ValueError: It cannot.
        """
        shape = "x".join(map(str, self.image_shape))
        channels = getattr(self.network, "channels", self.image_shape[0])
        if channels != self.image_shape[0]:
            raise ValueError(
                f"Backbone '{self.name}' takes images of {channels} channels; "
                f"the data's are {shape}."
            )
        grey = torch.full((1, *self.image_shape), (self.low + self.high) / 2)
        codes = self._tried("encode", grey, f"images of {shape}")
        found = "x".join(map(str, codes.shape[1:]))
        if codes[0].numel() != self.latent_dim:
            raise ValueError(
                f"'latent_dim' is {self.latent_dim}; the codes of '{self.name}' for images of "
                f"{shape} are {found}, expected {codes[0].numel()}."
            )
        images = self._tried("decode", codes, f"codes of {found}")
        if images.shape != grey.shape:
            raise ValueError(
                f"Backbone '{self.name}' decodes images of {shape} to "
                f"{'x'.join(map(str, images.shape[1:]))}; expected the same size, as for a "
                "height and width that its layers divide."
            )
        return codes.shape[1:]

    def _tried(self, method: str, argument: Tensor, what: str) -> Tensor:
        try:
            found = getattr(self.network, method)(argument)
        except Exception as error:
            # The user's own code, which may fail in any way.
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ValueError(
                f"Backbone '{self.name}' does not {method} {what}: {why:.200}"
            ) from error
        if not isinstance(found, Tensor) or found.dim() < 2 or len(found) != 1:
            kind = f"{tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"'{method}' of backbone '{self.name}' gives {kind} for {what}; "
                "expected one tensor with the batch first."
            )
        return found

    def _identity(self) -> str:
        digest = hashlib.sha256()
        # An address in a layer's text would be another in every process.
        settings = [ADDRESS.sub("", repr(self.network)), self.image_shape, self.input_range]
        digest.update(repr(settings).encode())
        tensors = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        for name, value in sorted(tensors.items()):
            digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]


def pretrained_backbone(
    name: str,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    options: dict[str, Any],
) -> PretrainedBackbone:
    """Returns the autoencoder that a name stands for, over images of a shape.

    Args:
        name: ``diffusers:FOLDER``, a folder that the library diffusers saved, or
            ``module:NAME``, what a package registered in `AUTOENCODERS`.
        image_shape: (C, H, W).
        latent_dim: Values of a code.
        options: For ``module:NAME`` its ``input_range``, such as [-1, 1].

    Raises:
        UnknownName: No autoencoder has that name.
        ValueError: The folder, an option or a size cannot be used.
    """
    scheme, _, place = name.partition(":")
    known = {"diffusers": [], "module": ["input_range"]}
    if scheme not in known or not place:
        raise ValueError(f"'backbone' is '{name}'; expected {FORMS}.")
    for option in options:
        if option not in known[scheme]:
            told = unknown_name(f"option of backbone '{name}'", option, known[scheme])
            raise ValueError(told if known[scheme] else told.replace(" Known: .", " It has none."))
    if scheme == "diffusers":
        network: nn.Module = read_diffusers(Path(place))
        return PretrainedBackbone(
            network, image_shape, latent_dim, name=name, input_range=INPUT_RANGE
        )
    maker = AUTOENCODERS.get(place)
    # Whatever it draws is the same each time, and changes no other draw.
    with initialised_from(0, name):
        network = maker()
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"Autoencoder '{place}' is a '{type(network).__name__}'; expected a torch module."
        )
    return PretrainedBackbone(
        network,
        image_shape,
        latent_dim,
        name=name,
        input_range=options.get("input_range", ()),
        origin=maker.__module__,
    )


def given_backbones() -> list[tuple[str, str]]:
    """Returns what can stand for a given autoencoder, each with a line on it."""
    lines = [("diffusers:FOLDER", f"{', '.join(CODES)}, as safetensors")]
    for name, maker in AUTOENCODERS.items():
        summary = (maker.__doc__ or "").strip().partition("\n")[0]
        lines.append((f"module:{name}", summary))
    return lines


def _checked_range(name: str, given: Any) -> tuple[float, float]:  # noqa: ANN401
    numbers = isinstance(given, list | tuple) and [type(v) in (int, float) for v in given]
    if numbers == [True, True] and given[0] < given[1]:
        return float(given[0]), float(given[1])
    told = f"is {given}" if given else "is not given"
    raise ValueError(
        f"'input_range' of backbone '{name}' {told}; expected two numbers such as [-1, 1]: what "
        "its 'encode' takes and its 'decode' gives for black and white."
    )

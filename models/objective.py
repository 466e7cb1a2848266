"""What a training objective is: a module over a backbone that turns a batch into loss terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .backbone import Backbone
from .density import Density
from .registry import Registry
from .space import Space

OBJECTIVES: Registry[type[Objective]] = Registry("objective", package="aebench.models")


class Objective(nn.Module, ABC):
    """Base of all objectives.

    The loss is the sum of the terms and is taken here, so that what is logged cannot disagree
    with what is minimised. Axes: B batch, C H W image, L latent.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: The data set whose published weights are the defaults: ``mnist``, ``cifar10``
            or ``celeba``.

    Attributes:
        likelihood: ``exact`` where `log_prob` is the log-likelihood, ``bound`` where
            `observation` and `proposal` allow a bound, ``none`` where a density must be fitted.
        prior: Name of the density that the objective samples from by itself, empty if none.
        default_space: The space used when a run names none.
        spaces: The spaces that the objective is defined in.
        hyperparameters: The values in force, for the record.
    """

    summary: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    likelihood: ClassVar[Literal["exact", "bound", "none"]] = "none"
    prior: ClassVar[str] = ""
    default_space: ClassVar[str] = "unit"
    spaces: ClassVar[tuple[str, ...]] = ("unit", "logit", "real")

    def __init__(self, backbone: Backbone, space: Space, *, preset: str = "mnist") -> None:
        super().__init__()
        self.backbone = backbone
        self.space = space
        self.preset = preset
        self.hyperparameters: dict[str, Any] = {}

    @classmethod
    def in_space(cls, space: str) -> type[Objective]:
        """Returns the class that implements this objective in ``space``.

        Raises:
            ValueError: The objective is not defined there.
        """
        if space not in cls.spaces:
            known = ", ".join(cls.spaces)
            raise ValueError(
                f"'space' is '{space}', in which '{cls.__name__}' is not defined; "
                f"expected one of: {known}."
            )
        return cls

    @abstractmethod
    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the named terms of the loss, each (B,), in the objective's own scale.

        Args:
            x: Data (B, C, H, W), images in [0, 1].
            generator: Source of all noise.
        """

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the sum of the terms, (B,)."""
        return torch.stack(tuple(self.terms(x, generator).values())).sum(0)

    def encode_raw(self, inputs: Tensor) -> Tensor:
        """Returns the backbone's codes (B, L) of network inputs."""
        return self.backbone.encode(inputs)

    def decode_raw(self, codes: Tensor) -> Tensor:
        """Returns the backbone's linear output (B, C, H, W) for codes."""
        return self.backbone.decode(codes)

    def code(self, y: Tensor) -> Tensor:
        """Returns the code (B, L) of data in the space's coordinates y."""
        return self.encode_raw(self.space.network_input(y))

    def mean(self, z: Tensor) -> Tensor:
        """Returns the decoder's mean of y, (B, C, H, W)."""
        return self.space.activate(self.decode_raw(z))

    def encode(self, x: Tensor) -> Tensor:
        """Returns deterministic codes (B, L), where the prior, if there is one, is N(0, I)."""
        return self.code(self.space(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Returns mean images (B, C, H, W) in [0, 1] for codes (B, L)."""
        return self.space.image(self.mean(z))

    def sample(
        self, count: int, generator: torch.Generator, density: Density | None = None
    ) -> Tensor:
        """Returns ``count`` decoded samples (count, C, H, W).

        Args:
            count: Number of images.
            generator: Source of all noise, on the CPU.
            density: Where codes come from; the objective's N(0, I) if it has one and this is
                not given.

        Raises:
            ValueError: There is neither a density nor a prior.
        """
        device = next(self.parameters()).device
        if density is not None:
            codes = density.sample(count, generator)
        elif self.prior == "prior":
            codes = torch.randn(count, self.backbone.latent_dim, generator=generator)
        else:
            raise ValueError(
                f"Objective '{type(self).__name__}' samples from a fitted density and got none; "
                "expected 'density'."
            )
        return self.decode(codes.to(device))

    def observation(self, z: Tensor) -> Distribution:
        """Returns p(y|z) over (B, C, H, W); only where the objective defines one.

        Raises:
            TypeError: The objective has no observation model.
        """
        raise TypeError(f"Objective '{type(self).__name__}' has no observation model.")

    def proposal(self, x: Tensor) -> Distribution:
        """Returns q(z|x) over (B, L); only where the objective defines one.

        Raises:
            TypeError: The objective has no stochastic encoder.
        """
        raise TypeError(f"Objective '{type(self).__name__}' has no stochastic encoder.")


def squared_error(y: Tensor, mean: Tensor) -> Tensor:
    """Returns the sum over all values of (y - mean)^2, (B,), in float32 or better."""
    return (y - mean).flatten(1).square().sum(1)


def choose(given: float | None, preset: str, published: dict[str, float]) -> float:
    """Returns ``given``, or the published value of the preset when nothing is given.

    Raises:
        ValueError: The preset is unknown.
    """
    if given is not None:
        return given
    if preset not in published:
        raise ValueError(
            f"'preset' is '{preset}'; expected one of: {', '.join(sorted(published))}."
        )
    return published[preset]

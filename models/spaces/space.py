"""The coordinates in which a run models its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from ..registry import Registry
from ..switches import VALUE_CHECKS

SPACES: Registry[type[Space]] = Registry(
    "space", folder="aebench.models.spaces", group="aebench.models"
)


class Space(nn.Module, ABC):
    """A map from data in house units to the coordinates y that a model describes.

    Args:
        image_shape: (C, H, W).
        alpha: Distance that ``logit`` keeps from 0 and 1; other spaces ignore it.
        trainable: Whether the space's own parameters are trained after their initialisation.

    Attributes:
        form: How sequences are written as symbols, such as ``smiles-grammar``; empty for images.
        fits_noise: Whether the scale of p(y|z) is fitted after training where a model has none
            of its own; not where the decoder's output is a distribution by itself.
        no_likelihood: Why no model in this space has a likelihood; empty where it may have one.
    """

    name: ClassVar[str]
    form: str = ""
    fits_noise: ClassVar[bool] = True
    no_likelihood: ClassVar[str] = ""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        alpha: float = 1e-6,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.alpha = alpha

    def prepare(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """Returns x (B, C, H, W) for training and encoding, from stored data (uint8 pixels)."""
        return self.dequantise(data, generator)

    def dequantise(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """Returns (v + u)/256, u uniform in [0, 1): what every image density is evaluated at."""
        noise = torch.rand(data.shape, generator=generator, device=data.device)
        return (data.float() + noise) / 256

    def initialise(self, x: Tensor) -> None:
        """Sets data-dependent parameters from one batch x; most spaces have none."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns y (B, C, H, W) and log |dy/dx| (B,), in nats."""

    def network_input(self, y: Tensor) -> Tensor:
        """Returns what the encoder sees for y; y itself by default."""
        return y

    def activate(self, raw: Tensor) -> Tensor:
        """Returns the decoder's mean of y from its raw linear output, unchanged by default."""
        return raw

    def inverse(self, y: Tensor) -> Tensor:
        """Returns x for y, not clamped; y itself by default."""
        return y

    def clamp(self, x: Tensor) -> Tensor:
        """Returns x within the bounds that the data have, [0, 1] by default."""
        return x.clamp(0, 1)

    def image(self, y: Tensor) -> Tensor:
        """Returns x for y, within the bounds that the data have."""
        return self.clamp(self.inverse(y))

    def observed_mean(self, mean: Tensor) -> Tensor:
        """Returns a decoder mean of y in the coordinates that `dequantise` leads to."""
        return mean

    def distortion(self, y: Tensor, mean: Tensor) -> Tensor:
        """Returns what a decoder's mean of y costs, (B,): the squared error by default."""
        return squared_error(y, mean)

    def averaged(self, latent_dim: int) -> tuple[int, int]:
        """Returns over how many values, and code dimensions, published weights average.

        A weight c that was published beside a mean over D values for a mean over L squared codes
        is c D / L beside the sums that we take. Here these are all the values of an image and
        all its codes.
        """
        return prod(self.image_shape), latent_dim

    def observation(self, mean: Tensor, scale: Tensor | None) -> Distribution:
        """Returns p(y|z) around a decoder mean (B, C, H, W), event (C, H, W).

        Args:
            mean: As `observed_mean` returns it.
            scale: Standard deviation of each value, (C, H, W); not used unless `fits_noise`.

        Raises:
            ValueError: A scale is needed and not given.
        """
        if scale is None:
            raise ValueError(f"'scale' is None; space '{self.name}' expects a tensor.")
        return Independent(Normal(mean, scale.expand_as(mean), validate_args=False), 3)


@SPACES.register("unit")
class UnitSpace(Space):
    """Pixels v/255 in [0, 1]; the encoder sees 2x - 1, the decoder ends in a sigmoid."""

    name = "unit"

    def prepare(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """Returns v/255."""
        return data.float() / 255

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns x and zeros.

        Raises:
            ValueError: A value is outside [0, 1].
        """
        check_unit_range("unit", x)
        return x, x.new_zeros(len(x))

    def network_input(self, y: Tensor) -> Tensor:
        """Returns 2y - 1."""
        return 2 * y - 1

    def activate(self, raw: Tensor) -> Tensor:
        """Returns the sigmoid."""
        return raw.sigmoid()

    def observed_mean(self, mean: Tensor) -> Tensor:
        """Maps v/255 to (v + 1/2)/256, the mean of the dequantised pixel."""
        return (255 * mean + 0.5) / 256


def squared_error(y: Tensor, mean: Tensor) -> Tensor:
    """Returns the sum over all values of (y - mean)^2, (B,), in float32 or better."""
    return (y - mean).flatten(1).square().sum(1)


def check_unit_range(space: str, x: Tensor) -> None:
    """Raises ValueError, with the first such value and its image, for data outside [0, 1].

    Not while `VALUE_CHECKS` is off.
    """
    if not VALUE_CHECKS:
        return
    # One pass over the data. Comparisons with nan are false, so nan is refused as well.
    low, high = x.aminmax()
    if bool((low >= 0) & (high <= 1)):
        return
    inside = (x >= 0) & (x <= 1)
    index = int((~inside).flatten(1).any(1).nonzero()[0])
    value = float(x[index][~inside[index]][0])
    raise ValueError(
        f"Space '{space}' got the value {value:.6g} in image {index} of the batch; "
        "expected values in [0, 1]."
    )

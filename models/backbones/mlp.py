"""Dense network, for vectors and very small images."""

from __future__ import annotations

from math import prod

from torch import nn

from ..checks import check_at_least
from .backbone import BACKBONES, Backbone


@BACKBONES.register("mlp")
class MLP(Backbone):
    """Dense layers with ReLU on both sides; any image shape, such as (1, 1, D) for vectors.

    Args:
        image_shape: (C, H, W).
        latent_dim: Size of the code.
        hidden: Width of the hidden layers.
        layers: Hidden layers on each side.

    Raises:
        ValueError: A size is below 1.
    """

    summary = "dense layers with ReLU, any shape"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        hidden: int = 64,
        layers: int = 2,
    ) -> None:
        super().__init__(image_shape, latent_dim)
        check_at_least(1, hidden=hidden, layers=layers)
        self._hidden = hidden
        self.encoder = nn.Sequential(nn.Flatten(), *_dense(prod(image_shape), hidden, layers))
        self.code = self.code_head()
        self.decoder = nn.Sequential(*_dense(latent_dim, hidden, layers))
        self.output = self.output_head()

    def code_head(self) -> nn.Module:
        """Returns a new dense layer, (B, F) -> (B, L)."""
        return nn.Linear(self._hidden, self.latent_dim)

    def output_head(self) -> nn.Module:
        """Returns a new dense last layer."""
        dense = nn.Linear(self._hidden, prod(self.image_shape))
        return nn.Sequential(dense, nn.Unflatten(1, self.image_shape))


def _dense(inputs: int, hidden: int, layers: int) -> list[nn.Module]:
    widths = [inputs, *[hidden] * layers]
    modules: list[nn.Module] = []
    for index in range(layers):
        modules += [nn.Linear(widths[index], widths[index + 1]), nn.ReLU()]
    return modules

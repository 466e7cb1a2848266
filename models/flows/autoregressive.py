"""Masked affine autoregressive layer, with zuko's masked dense layers."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu, softplus
from zuko.nn import MaskedLinear
from zuko.transforms import AffineTransform, DependentTransform

BLOCKS = 2
SCALE_FLOOR = 1e-3


class ResidualBlock(nn.Module):
    """h + L2(relu(L1(relu(h)))); zuko's own block has no activation before L1.

    Args:
        first: L1, a dense layer (H, H), masked or not.
        second: L2, another one; its initial weights are made small, so that the block starts
            near the identity.
    """

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.first = first
        self.second = second
        nn.init.uniform_(self.second.weight, -1e-3, 1e-3)
        nn.init.uniform_(self.second.bias, -1e-3, 1e-3)

    def forward(self, h: Tensor) -> Tensor:
        """Returns the block's output, (..., H)."""
        return h + self.second(relu(self.first(relu(h))))


class MaskedNetwork(nn.Sequential):
    """MADE: output i is a function of inputs before i.

    References:
        MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015),
        arXiv 1502.03509.

    Args:
        features: Number d of inputs; the outputs are (q_1, t_1, q_2, t_2, ...), 2d of them.
        hidden: Width.
        scale_bound: Most that a scale's logarithm is off 0; 0 for no bound.
    """

    def __init__(self, features: int, hidden: int, scale_bound: float = 0.0) -> None:
        inputs = torch.arange(1, features + 1)
        # Degrees 1 .. d - 1 in turn: a unit of degree k may see inputs up to k.
        units = torch.arange(hidden) % max(1, features - 1) + min(1, features - 1)
        outputs = inputs.repeat_interleave(2)
        hidden_layer = partial(MaskedLinear, adjacency=units[:, None] >= units)
        super().__init__(
            MaskedLinear(adjacency=units[:, None] >= inputs),
            *(ResidualBlock(hidden_layer(), hidden_layer()) for _ in range(BLOCKS)),
            MaskedLinear(adjacency=outputs[:, None] > units),
        )
        self.scale_bound = scale_bound
        # Hidden units by degree, and for each degree from 0 on where its units end.
        self.order = units.argsort(stable=True).tolist()
        self.ends = units.bincount().cumsum(0).tolist()

    def scale(self, q: Tensor) -> Tensor:
        """Returns the scales a for outputs q."""
        scale = softplus(q) + SCALE_FLOOR
        if self.scale_bound == 0:
            return scale
        # The identity near a = 1, and smooth.
        return (self.scale_bound * (scale.log() / self.scale_bound).tanh()).exp()

    def solve(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns v with a_i v_i + t_i = y_i, (N, d), and sum log a_i, computing each unit once.

        Coordinate k needs the hidden units of degrees below k. Units of degree k need the
        coordinates up to k. So both come in turn. Nothing is filled in place, so that gradients
        and the tangents of forward mode pass.
        """
        layers = self._sorted_layers()
        known: list[list[Tensor]] = [[] for _ in layers]
        scales: list[Tensor] = []
        start = 0
        for degree, stop in enumerate(self.ends):
            if degree:
                known[0].append(self._solve_columns(y, degree - 1, degree, known, layers, scales))
            if start < stop:
                self._add_units(slice(start, stop), y, known, layers)
            start = stop
        # All hidden units are known now, so the last coordinates come in one pass.
        last = self._solve_columns(y, degree, y.shape[1], known, layers, scales)
        v = torch.cat([*known[0], last], 1)
        return v, torch.cat(scales, 1).log().sum(1)

    def _sorted_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Returns masked weights and biases, hidden units in the order of their degrees."""
        layers = [layer for layer in self.modules() if isinstance(layer, MaskedLinear)]
        first, *inner, last = [(layer.mask * layer.weight, layer.bias) for layer in layers]
        order = torch.tensor(self.order, device=last[0].device)
        sorted_inner = [(weight[order][:, order], bias[order]) for weight, bias in inner]
        return [(first[0][order], first[1][order]), *sorted_inner, (last[0][:, order], last[1])]

    def _solve_columns(
        self,
        y: Tensor,
        start: int,
        stop: int,
        known: list[list[Tensor]],
        layers: list[tuple[Tensor, Tensor]],
        scales: list[Tensor],
    ) -> Tensor:
        weight, bias = layers[-1]
        hidden, rows = _joined(known[-1], y), slice(2 * start, 2 * stop)
        raw = linear(hidden, weight[rows, : hidden.shape[1]], bias[rows])
        q, t = raw.unflatten(1, (-1, 2)).unbind(-1)  # The output interleaves q and t.
        scales.append(self.scale(q))
        return (y[:, start:stop] - t) / scales[-1]

    @staticmethod
    def _add_units(
        rows: slice, y: Tensor, known: list[list[Tensor]], layers: list[tuple[Tensor, Tensor]]
    ) -> None:
        """Adds some hidden units to the inputs of each layer after the first."""
        stream = y.new_zeros(())
        for index, (weight, bias) in enumerate(layers[:-1]):
            inputs = _joined(known[index], y)
            value = linear(inputs, weight[rows, : inputs.shape[1]], bias[rows])
            # After the first layer, and after the second of each block, comes the sum.
            if index % 2 == 0:
                value = stream = stream + value
            known[index + 1].append(value if index == len(layers) - 2 else relu(value))


def _joined(blocks: list[Tensor], y: Tensor) -> Tensor:
    return torch.cat(blocks, 1) if blocks else y[:, :0]


class AutoregressiveLayer(nn.Module):
    """Reverses the coordinates, then y_i = a_i v_i + t_i with a_i, t_i from v_1 .. v_(i-1).

    a = softplus(q) + 1e-3, which nothing bounds from above; the inverse amplifies by up to 1,000.
    A bound b replaces log a by b tanh(log a / b). With one coordinate the map is affine with
    constant coefficients.

    References:
        Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
        arXiv 1705.07057, in the form of aef's released code.

    Args:
        features: Number of coordinates.
        hidden: Width of the network.
        scale_bound: b; 0 for no bound, as in the released code.
    """

    def __init__(self, features: int, hidden: int = 256, *, scale_bound: float = 0.0) -> None:
        super().__init__()
        self.network = MaskedNetwork(features, hidden, scale_bound)

    def forward(self, v: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Returns outputs and log-determinant of vectors (..., d) in one pass.

        Args:
            v: Vectors (..., d).
            inverse: Whether to apply the inverse instead, unit by unit.
        """
        if not inverse:
            return self._coefficients(v.flip(-1)).call_and_ladj(v.flip(-1))
        value, log_det = self.network.solve(v.flatten(0, -2))
        return value.reshape(v.shape).flip(-1), -log_det.reshape(v.shape[:-1])

    def _coefficients(self, v: Tensor) -> DependentTransform:
        q, t = self.network(v).unflatten(-1, (-1, 2)).unbind(-1)
        return DependentTransform(AffineTransform(t, self.network.scale(q)), 1)

"""Masked affine autoregressive layer, with zuko's masked dense layers and its inversion."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu, softplus
from zuko.nn import MaskedLinear
from zuko.transforms import AffineTransform, AutoregressiveTransform, DependentTransform

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
    """

    def __init__(self, features: int, hidden: int) -> None:
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
        self.degrees = units.tolist()

    @torch.no_grad()
    def solve(self, y: Tensor) -> Tensor:
        """Returns v with a_i v_i + t_i = y_i, (N, d), computing each hidden unit once.

        Coordinate k needs the hidden units of degrees below k. Units of degree k need the
        coordinates up to k. So both are filled in turn. No gradient passes.
        """
        layers = [layer for layer in self.modules() if isinstance(layer, MaskedLinear)]
        dense = [(layer.mask * layer.weight, layer.bias) for layer in layers]
        hidden = [y.new_zeros(len(y), len(self.degrees)) for _ in layers[:-1]]
        v = torch.zeros_like(y)
        degrees = torch.tensor(self.degrees)
        highest = int(degrees.max())
        for degree in range(min(highest, y.shape[1]) + 1):
            if degree:
                column = slice(degree - 1, degree)
                v[:, column] = self._solve_columns(y[:, column], column, hidden[-1], *dense[-1])
            units = (degrees == degree).nonzero()[:, 0].to(y.device)
            if len(units):
                self._fill(hidden, units, v, dense[:-1])
        # All hidden units are known now, so the last coordinates come in one pass.
        rest = slice(highest, y.shape[1])
        v[:, rest] = self._solve_columns(y[:, rest], rest, hidden[-1], *dense[-1])
        return v

    @staticmethod
    def _solve_columns(
        y: Tensor, columns: slice, hidden: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        # The output interleaves q and t.
        rows = slice(2 * columns.start, 2 * columns.stop)
        q, t = linear(hidden, weight[rows], bias[rows]).unflatten(1, (-1, 2)).unbind(-1)
        return (y - t) / (softplus(q) + SCALE_FLOOR)

    @staticmethod
    def _fill(
        hidden: list[Tensor], units: Tensor, v: Tensor, dense: list[tuple[Tensor, Tensor]]
    ) -> None:
        """Fills the columns of some units: input layer, then first and second of each block."""
        for index, (weight, bias) in enumerate(dense):
            inputs = relu(hidden[index - 1]) if index else v
            value = linear(inputs, weight[units], bias[units])
            if index and index % 2 == 0:
                value = value + hidden[index - 2][:, units]
            hidden[index][:, units] = value


class AutoregressiveLayer(nn.Module):
    """Reverses the coordinates, then y_i = a_i v_i + t_i with a_i, t_i from v_1 .. v_(i-1).

    a = softplus(q) + 1e-3. With one coordinate it is an affine map with constant coefficients.

    References:
        Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
        arXiv 1705.07057, in the form of aef's released code.

    Args:
        features: Number of coordinates.
        hidden: Width of the network.
    """

    def __init__(self, features: int, hidden: int = 256) -> None:
        super().__init__()
        self.network = MaskedNetwork(features, hidden)
        # With fewer hidden units than coordinates, the last coordinates need no own pass.
        self.transform = AutoregressiveTransform(self._coefficients, min(features, hidden + 1))

    def forward(self, v: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Returns outputs and log-determinant of vectors (..., d) in one pass.

        Args:
            v: Vectors (..., d).
            inverse: Whether to apply the inverse instead; in d passes where gradients are
                wanted, and otherwise unit by unit.
        """
        if not inverse:
            return self.transform.call_and_ladj(v.flip(-1))
        if torch.is_grad_enabled():
            # Pass by pass, since filling tensors in place would break the graph.
            value = self.transform.inv(v)
        else:
            value = self.network.solve(v.flatten(0, -2)).reshape(v.shape)
        log_det = -self.transform.log_abs_det_jacobian(value, v)
        return value.flip(-1), log_det

    def _coefficients(self, v: Tensor) -> DependentTransform:
        q, t = self.network(v).unflatten(-1, (-1, 2)).unbind(-1)
        return DependentTransform(AffineTransform(t, softplus(q) + SCALE_FLOOR), 1)

"""Convolutional encoder and recurrent decoder for sequences of symbols."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checks import check_choice
from .backbone import BACKBONES, Backbone, scaled

LAYERS = 3
# Keras's: its momentum of 0.99 is what torch calls 0.01.
EPSILON, MOMENTUM = 1e-3, 0.01
# Sequences of at most so many different symbols get the networks of the expressions.
FEW_SYMBOLS = 20


@dataclass(frozen=True)
class Sizes:
    """The published sizes of one task's networks.

    Args:
        filters: Filters of the three convolutions.
        spans: Symbols that each of them sees.
        dense: Units of the encoder's dense layer.
        units: Units of each recurrent layer.
        batch_norm: Whether batch-norm follows each convolution's ReLU, and precedes the decoder.
    """

    filters: tuple[int, int, int]
    spans: tuple[int, int, int]
    dense: int
    units: int
    batch_norm: bool


SIZES = {
    "expressions": Sizes((2, 3, 4), (2, 3, 4), 100, 100, True),
    "smiles": Sizes((9, 9, 10), (9, 9, 11), 435, 501, False),
}


class GRU(nn.Module):
    """One gated recurrent layer, as the released networks have it.

    The gates are hard sigmoids clip(x/5 + 1/2, 0, 1), and the reset gate acts on the state before
    its product, with one bias for each gate. torch's own layer has logistic gates, resets after
    the product and has two biases. This one consists of single operations, so that derivatives
    of any kind and order pass through it; on a CPU it is as fast.

    References:
        Learning Phrase Representations using RNN Encoder-Decoder (Cho et al., 2014),
        arXiv 1406.1078, with the gates of Keras 1.

    Args:
        inputs: Values of a step's input.
        units: Values of the state.
    """

    # For what penalises kernels and not biases.
    kernels = ("input_kernel", "recurrent_kernel")

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.inputs, self.units = inputs, units
        # Rows: update gate, reset gate, candidate. Each is a matrix of its own when it is drawn.
        self.input_kernel = nn.Parameter(torch.empty(3 * units, inputs))
        self.recurrent_kernel = nn.Parameter(torch.empty(3 * units, units))
        self.bias = nn.Parameter(torch.zeros(3 * units))
        with torch.no_grad():
            for kernel in self.input_kernel.split(units):
                nn.init.xavier_uniform_(kernel)
            for kernel in self.recurrent_kernel.split(units):
                nn.init.orthogonal_(kernel)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """Returns the states (T, B, H) for inputs (T, B, I), or (B, I) where all steps share one.

        Args:
            x: The inputs.
            steps: T.
        """
        inputs = F.linear(x, self.input_kernel, self.bias)
        state = x.new_zeros(x.shape[-2], self.units)
        states = []
        for given in [inputs] * steps if x.dim() == 2 else inputs.unbind(0):
            state = self.step(given, state)
            states.append(state)
        return torch.stack(states)

    def step(self, given: Tensor, state: Tensor) -> Tensor:
        """Returns the next state (B, H) from the input's part (B, 3H) and the state (B, H)."""
        parts = [2 * self.units, self.units]
        gating, content = given.split(parts, 1)
        gate_kernel, content_kernel = self.recurrent_kernel.split(parts)
        gates = (0.2 * (gating + F.linear(state, gate_kernel)) + 0.5).clamp(0, 1)
        update, reset = gates.chunk(2, 1)
        candidate = torch.tanh(content + F.linear(reset * state, content_kernel))
        return candidate + update * (state - candidate)

    def extra_repr(self) -> str:
        """Returns the sizes, for the structural hash."""
        return f"inputs={self.inputs}, units={self.units}"


class Unrolled(nn.Module):
    """Recurrent layers one upon another that see the same code at every step.

    Args:
        inputs: Values L of the code.
        units: Values H of each layer's state.
        steps: T.
    """

    def __init__(self, inputs: int, units: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        widths = [inputs, *[units] * LAYERS]
        self.layers = nn.ModuleList(GRU(a, b) for a, b in pairwise(widths))

    def forward(self, code: Tensor) -> Tensor:
        """Returns the last layer's states (B, 1, T, H) for codes (B, L)."""
        states = code
        for layer in self.layers:
            states = layer(states, self.steps)
        return states.transpose(0, 1).unsqueeze(1)

    def extra_repr(self) -> str:
        """Returns the number of steps, for the structural hash."""
        return f"steps={self.steps}"


class _Symbols(nn.Module):
    """Takes (B, 1, T, K) to (B, K, T), the form of a convolution over steps."""

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1).mT


class SequenceBackbone(Backbone):
    """Three convolutions over steps and a dense layer; three recurrent layers to the symbols.

    Kernels are drawn uniformly by Glorot's rule, recurrent ones orthogonal, biases are zero. The
    output is linear: the softmax belongs to the space.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), arXiv 1703.01925, released code.

    Args:
        image_shape: (1, T, K), T steps of one-hot vectors over K symbols.
        latent_dim: Size of the code; the released sizes are 25 and 56.
        task: Whose sizes the networks have: ``expressions`` or ``smiles``; by the number of
            symbols when not given.
        width: Factor on dense and recurrent units. The filters stay: they are so few that they
            cost next to nothing, and fewer would lose the symbols.

    Raises:
        ValueError: The shape is not that of sequences, these are too short for the convolutions,
            or an option does not fit.
    """

    sequences = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        task: str | None = None,
        width: float = 1.0,
    ) -> None:
        super().__init__(image_shape, latent_dim)
        channels, length, symbols = image_shape
        if channels != 1:
            raise ValueError(
                f"'image_shape' is {channels}x{length}x{symbols}; expected 1 channel, that is "
                "sequences of 1 x steps x symbols."
            )
        if task is None:
            task = "expressions" if symbols <= FEW_SYMBOLS else "smiles"
        sizes = SIZES[check_choice("task", task, SIZES)]
        left = length - sum(span - 1 for span in sizes.spans)
        if left < 1:
            raise ValueError(
                f"The sequences have {length} steps; expected at least {length - left + 1} for "
                f"the convolutions of task '{task}'."
            )
        self._dense = scaled(sizes.dense, width)
        self._units = scaled(sizes.units, width)
        self.encoder = self._encoder(sizes, sizes.filters[-1] * left)
        self.code = self.code_head()
        self.decoder = self._decoder(sizes)
        self.output = self.output_head()

    def code_head(self) -> nn.Module:
        """Returns a new dense layer, (B, F) -> (B, L)."""
        return _linear(self._dense, self.latent_dim)

    def output_head(self) -> nn.Module:
        """Returns a new dense layer for each step, (B, 1, T, H) -> (B, 1, T, K)."""
        return _linear(self._units, self.image_shape[2])

    def _encoder(self, sizes: Sizes, flat: int) -> nn.Sequential:
        layers: list[nn.Module] = [_Symbols()]
        channels = [self.image_shape[2], *sizes.filters]
        for (before, after), span in zip(pairwise(channels), sizes.spans, strict=True):
            layers += [_convolution(before, after, span), nn.ReLU()]
            if sizes.batch_norm:
                layers.append(_batch_norm(after))
        return nn.Sequential(*layers, nn.Flatten(), _linear(flat, self._dense), nn.ReLU())

    def _decoder(self, sizes: Sizes) -> nn.Sequential:
        size = self.latent_dim
        start: list[nn.Module] = [_batch_norm(size)] if sizes.batch_norm else []
        recurrent = Unrolled(size, self._units, self.image_shape[1])
        return nn.Sequential(*start, _linear(size, size), nn.ReLU(), recurrent)


@BACKBONES.register("grammar-gru")
class GrammarGRU(SequenceBackbone):
    """The networks of the grammar VAE, over productions."""

    summary = "convolutions and GRUs over the productions of a grammar"


@BACKBONES.register("character-gru")
class CharacterGRU(SequenceBackbone):
    """The networks of the character VAE, over characters: the same but for T and K."""

    summary = "convolutions and GRUs over characters"


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    _initialise(layer.weight, layer.bias)
    return layer


def _convolution(inputs: int, outputs: int, span: int) -> nn.Conv1d:
    layer = nn.Conv1d(inputs, outputs, span)
    _initialise(layer.weight, layer.bias)
    return layer


def _initialise(kernel: Tensor, bias: Tensor | None) -> None:
    nn.init.xavier_uniform_(kernel)
    if bias is not None:
        nn.init.zeros_(bias)


def _batch_norm(features: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(features, eps=EPSILON, momentum=MOMENTUM)

"""Sequences of symbols: one-hot data, and decoders whose outputs are logits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

from ..sequences.decoding import derive
from ..sequences.forms import form as form_named
from ..switches import VALUE_CHECKS
from .space import SPACES, Space

# What the released code clips its probabilities at.
CLIP = 1e-7


@SPACES.register("sequence")
class SequenceSpace(Space):
    """Symbols as one-hot vectors; the distortion is minus a categorical log-likelihood.

    At each step the softmax runs over the symbols that may follow in the state of the true one:
    over the productions of the same left side for a grammar, over all characters for text. The
    states follow from the symbols before, so that the distortion, in nats, is minus the log of a
    probability over all derivations of T steps. y is x, and a decoder's mean is raw logits.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), section 3, arXiv 1703.01925.

    Args:
        image_shape: (1, T, K), T steps over K symbols.
        alpha: Not used.
        trainable: Not used, there is nothing to train.
        form: Name of the form, such as ``smiles-grammar``.

    Raises:
        ValueError: The form is missing or has another number of symbols.
        UnknownName: There is no such form.
    """

    name = "sequence"
    fits_noise = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        alpha: float = 1e-6,
        trainable: bool = False,
        form: str = "",
    ) -> None:
        super().__init__(image_shape, alpha=alpha)
        if not form:
            raise ValueError(
                f"Space '{self.name}' takes sequences and no images; expected the name of a "
                "'form', such as 'expressions-grammar'."
            )
        self.form, self.written = form, form_named(form)
        channels, length, symbols = image_shape
        if channels != 1 or symbols != self.written.symbols:
            raise ValueError(
                f"'image_shape' is {channels}x{length}x{symbols}; form '{form}' expects 1 channel "
                f"and {self.written.symbols} symbols."
            )
        # Row k: what may stand where symbol k does. No part of a checkpoint: the form says it.
        allowed = torch.from_numpy(self.written.masks[self.written.state_of])
        self.register_buffer("allowed", allowed, persistent=False)
        self.allowed: Tensor

    def dequantise(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """Returns one-hot vectors (B, 1, T, K) of stored symbols (B, 1, 1, T).

        Raises:
            ValueError: The sequences have another length.
        """
        _, length, symbols = self.image_shape
        if data.shape[1:] != (1, 1, length):
            raise ValueError(
                f"The sequences have shape {tuple(data.shape[1:])}; expected (1, 1, {length})."
            )
        return (data.unsqueeze(-1) == torch.arange(symbols, device=data.device)).squeeze(2).float()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns x and zeros.

        Raises:
            ValueError: A step is not one of the form's symbols.
        """
        if VALUE_CHECKS:
            self._check(x)
        return x, x.new_zeros(len(x))

    def clamp(self, x: Tensor) -> Tensor:
        """Returns x: logits have no bounds."""
        return x

    def distortion(self, y: Tensor, mean: Tensor) -> Tensor:
        """Returns minus the log-likelihood of sequences y under logits, nats, (B,)."""
        return -(self.log_probabilities(y, mean) * y).flatten(1).sum(1)

    def averaged(self, latent_dim: int) -> tuple[int, int]:
        """Returns 1 and 1: here everything is a sum, the code's weight 1 that of N(0, I)."""
        return 1, 1

    def observation(self, mean: Tensor, scale: Tensor | None) -> Distribution:
        """Returns the distribution of sequences, event (1, T, K)."""
        return Sequences(self, mean)

    def log_probabilities(self, y: Tensor, logits: Tensor) -> Tensor:
        """Returns the log-softmax of logits (B, 1, T, K) at each step of y; 0 where not allowed.

        Zeros take the place of minus infinity, so that products with them stay numbers.
        """
        apart = ~self.allowed_at(y)
        return F.log_softmax(logits.masked_fill(apart, -torch.inf), -1).masked_fill(apart, 0)

    def allowed_at(self, y: Tensor) -> Tensor:
        """Returns which symbols may stand at each step of y, (B, 1, T, K)."""
        return (y @ self.allowed.to(y)) > 0

    def _check(self, x: Tensor) -> None:
        """Raises ValueError unless each step is one symbol that its own state allows."""
        possible = torch.diagonal(self.allowed).to(x)
        whole = ((x == 0) | (x == possible)).all(-1) & (x.sum(-1) == 1)
        if bool(whole.all()):
            return
        index, _, step = (int(i) for i in (~whole).nonzero()[0])
        raise ValueError(
            f"Space '{self.name}' got no symbol of form '{self.form}' at step {step} of sequence "
            f"{index} of the batch; expected one 1 among zeros."
        )


@SPACES.register("sequence-released")
class ReleasedSequenceSpace(SequenceSpace):
    """Sequences with the distortion of the released grammar VAE, which is no likelihood.

    It is the sum over steps and symbols of the binary cross-entropy between the one-hot vector
    and the masked softmax, every symbol counted, with probabilities clipped at 1e-7. The released
    loss takes its mean over symbols, beside the mean of the KL over the code. We take sums, so
    that our loss is K times the loss as written, and a weight there is K/L times as large here.
    """

    name = "sequence-released"
    no_likelihood = (
        "The released loss is a binary cross-entropy for each symbol, which is no distribution "
        "over strings; use space 'sequence'."
    )

    def distortion(self, y: Tensor, mean: Tensor) -> Tensor:
        """Returns the summed binary cross-entropy of sequences y, (B,)."""
        p = self.log_probabilities(y, mean).exp() * self.allowed_at(y)
        p = p.clamp(CLIP, 1 - CLIP)
        return -(y * p.log() + (1 - y) * (1 - p).log()).flatten(1).sum(1)

    def averaged(self, latent_dim: int) -> tuple[int, int]:
        """Returns K and L: the released means are over symbols and over the code."""
        return self.image_shape[2], latent_dim


class Sequences(Distribution):
    """The sequences that logits describe: a categorical at each step, given the steps before.

    Args:
        space: The space of the sequences.
        logits: (B, 1, T, K).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, space: SequenceSpace, logits: Tensor) -> None:
        super().__init__(logits.shape[:1], logits.shape[1:], validate_args=False)
        self.space, self.logits = space, logits

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the log-probability of one-hot sequences (B, 1, T, K), nats, (B,)."""
        return -self.space.distortion(value, self.logits)

    def roots(self, y: Tensor) -> Tensor:
        """Returns 2 sqrt(p) of each symbol at each step of y, (B, 1, T, K).

        The Fisher information of a categorical is the Euclidean metric of these.
        """
        roots = 2 * (self.space.log_probabilities(y, self.logits) / 2).exp()
        return roots * self.space.allowed_at(y)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Returns one sequence for each row of logits, (B, 1, T, K), whether it ends or not."""
        symbols, _ = derive(self.space.written, self.logits.squeeze(1), generator)
        return self.space.dequantise(symbols[:, None, None], None)

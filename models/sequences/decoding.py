"""Symbols chosen from logits, so that they always make a text or nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from .form import Form

ROWS = 500  # Strings decoded together: bounds the memory, and changes no result.


def decode(form: Form, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Returns the symbols that logits stand for, chosen from left to right along a stack.

    At each step the state on top of the stack says which symbols may follow; the most likely
    of them is taken, or with a generator one is drawn with the probabilities of their softmax.
    A sequence that has not ended after T steps becomes all padding, whose text is empty.

    References: Grammar Variational Autoencoder (Kusner et al., 2017), Algorithm 1;
    arXiv:1703.01925.

    Args:
        form: How the texts are written.
        logits: Finite numbers of shape (N, T, K).
        generator: The source of Gumbel noise; string after string, so that a batch may be
            decoded in pieces. Without it the most likely symbol is taken.

    Returns:
        Symbols, uint8 of shape (N, T), on the device of the logits.

    Raises:
        ValueError: The logits have not K symbols, or one is not finite.
    """
    symbols, ended = derive(form, logits, generator)
    return symbols.masked_fill(~ended[:, None], form.padding)


def derive(
    form: Form, logits: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Returns symbols as `decode` does, also of what has not ended, and what has.

    Returns:
        Symbols, uint8 of shape (N, T), and bool of shape (N,), on the device of the logits.

    Raises:
        ValueError: The logits have not K symbols, or one is not finite.
    """
    if logits.dim() != 3 or logits.shape[2] != form.symbols:
        raise ValueError(
            f"The logits of '{form.name}' have shape {tuple(logits.shape)}; "
            f"expected (N, T, {form.symbols})."
        )
    pieces: list[tuple[Tensor, Tensor]] = []
    for piece in logits.split(ROWS):
        finite = piece.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            first = int((~finite).nonzero()[0]) + ROWS * len(pieces)
            raise ValueError(f"The logits of string {first} are not all finite.")
        pieces.append(_follow(form, piece if generator is None else _noisy(piece, generator)))
    return torch.cat([symbols for symbols, _ in pieces]), torch.cat([ended for _, ended in pieces])


def _noisy(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Returns logits with Gumbel noise: their arg max is a draw from their softmax."""
    uniform = torch.rand(logits.shape, generator=generator, device=generator.device)
    # A uniform number may be 0, whose noise is not finite.
    uniform = uniform.clamp(min=torch.finfo(uniform.dtype).tiny)
    return logits - (-uniform.log()).log().to(logits.device)


def _follow(form: Form, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the symbols (N, T) with the best scores (N, T, K) allowed, and what ended (N,)."""
    count, length, _ = scores.shape
    device = scores.device
    allowed = torch.tensor(form.masks, device=device)
    pushes = torch.tensor([len(states) for states in form.pushed], device=device)
    widest = int(pushes.max())
    filled = [[*states, *[0] * (widest - len(states))] for states in form.pushed]
    pushed = torch.tensor(filled, device=device)
    places = torch.arange(widest, device=device)
    begin = torch.tensor(form.begin, device=device)
    # Each step takes one state away and puts at most `widest` there.
    stack = begin.new_zeros(count, len(begin) + (length + 1) * widest)
    stack[:, : len(begin)] = begin
    top = begin.new_full((count, 1), len(begin) - 1)
    symbols = torch.empty(count, length, dtype=torch.uint8, device=device)
    for step in range(length):
        state = stack.gather(1, top).squeeze(1)
        best = scores[:, step].masked_fill(~allowed[state], -torch.inf).argmax(1)
        symbols[:, step] = best
        stack.scatter_(1, top + places, pushed[best])
        top += pushes[best, None] - 1
    return symbols, (top == 0).squeeze(1)  # The lowest state is never used up.

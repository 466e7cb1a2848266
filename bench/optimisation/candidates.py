"""Proposed codes, the strings that they decode to, and what a judge says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import RunFailed, UserError
from ..interruption import check_stop

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

Draw = Callable[["Tensor", "torch.Generator"], Sequence[str]]
Judge = Callable[[Sequence[str]], tuple[Sequence[bool], Sequence[float]]]


@dataclass(frozen=True)
class Problem:
    """What is searched, and how a find is judged.

    Attributes:
        codes: Latent codes of the training strings (N, L), in the precision that `draw` takes.
        scores: Their scores (N,); lower is better.
        draw: Decodes each code (M, L) once, at random, by the generator alone. It is called
            several times with the same tensor, so that logits may be kept from call to call.
        judge: Says of strings whether each is valid, and its score; that of an invalid one is
            not looked at, and the empty string is never valid.
        worst: The score of a proposal that decodes to nothing valid.
        training: The training strings, to tell which candidates are among them.
        identity: What `draw` and `judge` depend on, such as digests of weights and code; saved
            rounds of another identity are not used.
    """

    codes: Tensor
    scores: Tensor
    draw: Draw
    judge: Judge
    worst: float
    training: Collection[str] = frozenset()
    identity: str = ""

    def in_order(self) -> Problem:
        """Returns the problem with its codes in an order that follows from their content alone.

        Raises:
            UserError: A score is not finite, or codes and scores do not fit together.
            RunFailed: A code is not finite.
        """
        import torch

        from ..data.order import content_order

        if self.codes.ndim != 2 or self.scores.shape != self.codes.shape[:1]:
            raise UserError(
                f"Codes have shape {tuple(self.codes.shape)} and scores "
                f"{tuple(self.scores.shape)}; expected (N, L) and (N,)."
            )
        codes, scores = self.codes.detach().cpu() + 0.0, self.scores.detach().cpu().double() + 0.0
        for number in (~torch.isfinite(codes)).any(1).nonzero()[:1, 0].tolist():
            place = int((~torch.isfinite(codes[number])).nonzero()[0, 0])
            value = float(codes[number, place])
            raise RunFailed(
                f"Latent code {number} is {value} in dimension {place}; expected finite codes."
            )
        for number in (~torch.isfinite(scores)).nonzero()[:1, 0].tolist():
            raise UserError(
                f"The score of training string {number} is {float(scores[number])}; "
                "expected finite scores."
            )
        rows: np.ndarray = torch.cat([codes.double(), scores[:, None]], 1).numpy()
        order = torch.from_numpy(content_order(rows))
        return replace(
            self, codes=codes[order], scores=scores[order], training=frozenset(self.training)
        )


@dataclass(frozen=True)
class Candidates:
    """The proposals of one trial, round after round, with what became of them.

    Attributes:
        codes: Shape (n, L).
        texts: The most frequent valid string of each; empty where no decode was valid.
        valid: Whether there was one (n,).
        single_valid: Whether the first decode alone was valid (n,).
        scores: float64 (n,); the worst score where none was valid.
        known: Whether the string is a training string (n,).
        rounds: What is told of each round, such as its surrogate's error on held-out codes.
    """

    codes: Tensor
    texts: tuple[str, ...]
    valid: Tensor
    single_valid: Tensor
    scores: Tensor
    known: Tensor
    rounds: tuple[dict[str, float | None], ...] = ()

    def first(self, rounds: int) -> Candidates:
        """Returns those of the first rounds, all of which have as many."""
        if rounds >= len(self.rounds):
            return self
        count = len(self.texts) // len(self.rounds) * rounds
        tensors = {name: getattr(self, name)[:count] for name in TENSORS}
        return Candidates(texts=self.texts[:count], rounds=self.rounds[:rounds], **tensors)

    def joined(self, later: Candidates) -> Candidates:
        """Returns these candidates and those of a later round."""
        import torch

        tensors = {
            name: torch.cat([getattr(self, name), getattr(later, name)]) for name in TENSORS
        }
        texts, rounds = self.texts + later.texts, self.rounds + later.rounds
        return Candidates(texts=texts, rounds=rounds, **tensors)


TENSORS = ("codes", "valid", "single_valid", "scores", "known")


def no_candidates(codes: Tensor) -> Candidates:
    """Returns none, of codes like those given (N, L)."""
    import torch

    none = torch.zeros(0, dtype=torch.bool)
    return Candidates(codes[:0], (), none, none, torch.zeros(0, dtype=torch.float64), none)


def judged(
    problem: Problem,
    codes: Tensor,
    decodes: int,
    generator: torch.Generator,
    told: dict[str, float | None],
) -> Candidates:
    """Decodes each code several times and keeps its most frequent valid string.

    Of strings that are equally frequent the first in the order of the alphabet is kept.

    Args:
        problem: How codes are decoded and strings judged.
        codes: Shape (n, L).
        decodes: Decodes of each.
        generator: The source of all draws.
        told: What is told of the round.

    Raises:
        RunFailed: The score of a valid string is not finite, or a count is wrong.
    """
    import torch

    drawn: list[Sequence[str]] = []
    for _ in range(decodes):
        check_stop()
        drawn.append(problem.draw(codes, generator))
        if len(drawn[-1]) != len(codes):
            raise RunFailed(f"{len(codes)} codes were decoded to {len(drawn[-1])} strings.")
    scores = _scores_of_valid(problem, sorted({text for texts in drawn for text in texts}))
    texts = tuple(_most_frequent(list(each), scores) for each in zip(*drawn, strict=True))
    return Candidates(
        codes=codes,
        texts=texts,
        valid=torch.tensor([text in scores for text in texts]),
        single_valid=torch.tensor([text in scores for text in drawn[0]]),
        scores=torch.tensor(
            [scores.get(text, problem.worst) for text in texts], dtype=torch.float64
        ),
        known=torch.tensor([text in problem.training for text in texts]),
        rounds=(told,),
    )


def _scores_of_valid(problem: Problem, texts: list[str]) -> dict[str, float]:
    import math

    valid, scores = problem.judge(texts)
    found = {
        text: float(score)
        for text, is_valid, score in zip(texts, valid, scores, strict=True)
        if is_valid and text
    }
    for text, score in found.items():
        if not math.isfinite(score):
            raise RunFailed(f"The score of '{text}', which is valid, is {score}.")
    return found


def _most_frequent(texts: list[str], valid: Collection[str]) -> str:
    counts = Counter(text for text in texts if text in valid)
    return min(counts, key=lambda text: (-counts[text], text), default="")

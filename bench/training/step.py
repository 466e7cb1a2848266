"""One training step, on the device alone, so that it can be recorded and replayed."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor
from torch.optim import Optimizer

from ...models.objectives.denoising import add_noise
from ...models.objectives.objective import Objective
from ...models.switches import VALUE_CHECKS
from ..suites.config import Training
from .state import training_tensors
from .term_sums import TermSums


class TrainingStep:
    """A step on whatever ``pixels`` holds. It knows no trainer, and the engine knows no more.

    Args:
        objective: What is trained.
        training: The settings.
        pixels: Stored data (B, C, H, W); every batch is copied into this one tensor, since a
            recorded step reads the same address each time.
        optimiser: Adam over the objective's parameters.
        noise: The source of all noise.
        sums: Where the terms are added up.
    """

    def __init__(
        self,
        objective: Objective,
        training: Training,
        pixels: Tensor,
        optimiser: Optimizer,
        noise: torch.Generator,
        sums: TermSums,
    ) -> None:
        self.objective, self.training, self.pixels = objective, training, pixels
        self.optimiser, self.noise, self.sums = optimiser, noise, sums
        self.parameters = list(objective.parameters())

    def take(self) -> None:
        """Takes the step."""
        with self.checks():
            terms = self.objective.terms(self.prepare(self.pixels, self.noise), self.noise)
        loss = self.objective.total(terms).mean()
        for parameter in self.parameters:
            # By assignment: the optimiser's own method does the same with bookkeeping for each
            # parameter.
            parameter.grad = None
        loss.backward()
        if self.training.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(
                self.parameters, self.training.gradient_clip, foreach=True
            )
        self.optimiser.step()
        self.sums.add(terms)

    def tensors(self) -> dict[str, Tensor]:
        """Returns all that a step changes, the tensors themselves."""
        return training_tensors(self.objective, self.optimiser) | self.sums.tensors()

    def prepare(self, data: Tensor, generator: torch.Generator) -> Tensor:
        """Returns x (B, C, H, W) for stored data, with the protocol's noise if there is any."""
        x = self.objective.space.prepare(data, generator)
        if self.training.noise_sigma > 0:
            x = add_noise(x, self.training.noise_sigma, generator)
        return x

    def checks(self) -> contextlib.AbstractContextManager[None]:
        """Turns checks of values off inside where each would make the host wait: on a GPU.

        All terms are looked at at each validation.
        """
        if self.pixels.device.type == "cpu":
            return contextlib.nullcontext()
        return VALUE_CHECKS.off()

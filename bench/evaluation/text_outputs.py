"""What a run over sequences produces: texts in the place of images."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from ...metrics.devices import in_batches
from ...models.sequences.decoding import decode
from ...models.sequences.forms import form
from ...models.streams import stream
from ..data.texts import texts
from ..interruption import check_stop
from .outputs import BATCH, SHEET_STEPS, Outputs, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ...models.sequences.form import Form


class TextOutputs(Outputs):
    """Texts that a run gives, as stored symbols, uint8 (N, 1, 1, T).

    A code's own text is made of the most likely symbols; a sample's symbols are drawn.
    """

    @cached_property
    def form(self) -> Form:
        """How the texts are written as symbols."""
        return form(self.data.form)

    def decode(self, codes: Tensor) -> Tensor:
        """Returns the most likely symbols for codes (N, L)."""
        return self._decoded(codes, None)

    def sample(self, density: str, count: int, temperature: float = 1.0) -> Tensor:
        """Returns symbols drawn at draws of codes from a density."""
        codes = self.density(density).sample(count, self._stream(f"sample/{density}"))
        return self._decoded(temperature * codes, self._stream(f"symbols/{density}"))

    @cached_property
    @torch.no_grad()
    def posterior(self) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (N, L) of q(z|x) of the first test texts.

        Raises:
            ValueError: The objective's encoder is not a distribution.
        """
        posterior = getattr(self.objective, "posterior", None)
        if posterior is None:
            raise ValueError("the encoder gives codes, not a distribution")
        prepare, device = self.objective.space.prepare, self.device
        parts = [posterior(prepare(part.to(device), None)) for part in self.real.split(BATCH)]
        mean, log_sigma = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        return mean, log_sigma

    @cached_property
    def test_symbols(self) -> Tensor:
        """The most likely symbols at the codes of the first test texts."""
        return self.decode(self._through(self.test_codes))

    def texts(self, stored: Tensor) -> tuple[str, ...]:
        """Returns stored symbols as texts."""
        return texts(self.form, stored)

    @cached_property
    def training_texts(self) -> tuple[str, ...]:
        """The texts that were trained on."""
        return self.texts(self.data.train)

    def sheet(self) -> dict[str, Tensor]:
        """Returns what figures show, as symbols (N, T), of an interpolation (N, steps, T)."""
        count = self.settings.sheet_images
        parts: dict[str, Callable[[], Tensor]] = {
            "test": lambda: self.real[:count],
            "reconstruction": lambda: self.test_symbols[:count],
            "interpolation": lambda: self._paths(self.test_codes[:count]),
            **{
                f"sample_{d}": lambda d=d: self.images("sample", d)[:count]  # type: ignore[misc]
                for d in self.densities
            },
            "neighbours": self.neighbours,
        }
        return {f"texts_{name}": part.squeeze((-3, -2)) for name, part in made(parts).items()}

    def neighbours(self) -> Tensor:
        """Returns the texts around the first test text, (1 + steps, 1, 1, T).

        It stands first; each other is one deviation of the training codes off in one of the
        directions in which codes differ most.
        """
        codes = self.test_codes
        steps = min(codes.shape[1], 2 * SHEET_STEPS)
        moved = codes[:1].repeat(1 + steps, 1)
        deviations = self.train_codes.std(0)
        order = deviations.argsort(descending=True, stable=True)[:steps]
        moved[torch.arange(1, 1 + steps), order] += deviations[order]
        return self.decode(self._through(moved))

    @torch.no_grad()
    def logits(self, codes: Tensor) -> Tensor:
        """Returns the decoder's logits for codes (N, L), float32 (N, T, K), on the CPU."""
        return self.objective.decode(codes.to(self.device)).float().cpu().flatten(0, 1)

    def drawn(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Returns symbols (N, 1, 1, T) of logits: drawn, or the most likely without generator."""
        return decode(self.form, logits, generator)[:, None, None]

    def _decoded(self, codes: Tensor, generator: torch.Generator | None) -> Tensor:
        def compute(start: int, stop: int) -> Tensor:
            check_stop()
            return self.drawn(self.logits(codes[start:stop]), generator)

        # Logits of many long texts would fill the memory: each batch becomes symbols at once.
        return torch.cat(in_batches(compute, len(codes), BATCH))

    def _stream(self, name: str) -> torch.Generator:
        return stream(self.seed, f"evaluation/{name}")

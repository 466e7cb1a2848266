"""What a trained model produces: codes, reconstructions, samples, interpolations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from ...metrics.devices import in_batches
from ...metrics.features.quantisation import quantise
from ...models.densities.density import Density, build_density
from ...models.densities.second_stage import BETA, Drive, one_by_one
from ...models.flows.flows import FlowStack
from ...models.objectives.denoising import add_noise
from ...models.objectives.objective import Objective
from ...models.streams import stream, stream_seed
from ..data.dataset import Dataset
from ..interruption import check_stop
from ..suites.config import Evaluation
from .interpolation import midpoints, spherical
from .nearest import towards_nearest

T = TypeVar("T")
BATCH = 500
SHEET_STEPS = 6
REDRAWS = 10  # A draw that is lost in half of the cases is found but once in two thousand.
NOISE_SEED = 3  # Of the AEF paper's released code; the same noise for all runs.


class RealImages:
    """The real images that an evaluation compares with.

    Attributes:
        data: The data set.
        settings: Counts.
        copies: Whether reconstructions can be nothing but their images, see `Objective`.
        warning: What is known against all scores.
    """

    data: Dataset
    settings: Evaluation
    copies = False
    warning = ""

    @property
    def are_vectors(self) -> bool:
        """Whether the data are real numbers without a range, and so no pictures."""
        return self.data.default_space == "real"

    @property
    def are_pictures(self) -> bool:
        """Whether the data are pictures: neither vectors nor texts."""
        return self.data.default_space == "unit"

    @property
    def real(self) -> Tensor:
        """The first test images, as stored."""
        return self.data.test[: self.settings.images]

    @property
    def heldout(self) -> Tensor:
        """The first validation images, as stored."""
        return self.data.validation[: self.settings.images]


class Outputs(RealImages):
    """Lazily computed outputs of one run; every draw comes from a stream of the run's seed.

    Reconstructions and interpolations start from held-out validation images; the reference is
    the test set. Codes and reconstructions use posterior means.

    Args:
        objective: Trained, on the device to compute on.
        data: The run's data set.
        settings: Counts and densities.
        seed: The run's one seed.
        fitted: Densities restored from an earlier evaluation, by name.
        noise_sigma: Standard deviation of the noise of the denoising protocol; 0 without it.
        drive: How the steps of a density that is trained are carried out.
    """

    def __init__(
        self,
        objective: Objective,
        data: Dataset,
        settings: Evaluation,
        seed: int,
        fitted: dict[str, Density] | None = None,
        noise_sigma: float = 0.0,
        drive: Drive = one_by_one,
    ) -> None:
        self.objective = objective.eval()
        self.copies, self.warning = objective.copies, objective.warning
        self.drive = drive
        self.noise_sigma = noise_sigma
        self.data, self.settings, self.seed = data, settings, seed
        self.device = next(objective.parameters()).device
        self.fitted = dict(fitted or {})
        self._generated: dict[tuple[str, str], Tensor] = {}
        self._non_finite: dict[str, float] = {}

    @property
    def densities(self) -> list[str]:
        """Names of the wanted densities that this objective can have."""
        native = self.objective.prior
        own = self.objective.code_dim == self.objective.backbone.latent_dim
        return [d for d in self.settings.densities if suits(d, native, fitted_codes=own)]

    @cached_property
    def train_codes(self) -> Tensor:
        """Codes of the training split, (N, L), on the CPU."""
        return self.encode(self.data.train, "train")

    @cached_property
    def validation_codes(self) -> Tensor:
        """Codes of the validation split, (N, L), on the CPU."""
        return self.encode(self.data.validation, "validation")

    @cached_property
    def test_codes(self) -> Tensor:
        """Codes of the first test images, (N, L), on the CPU."""
        return self.encode(self.real, "test")

    def density(self, name: str) -> Density:
        """Returns a density, fitted to the codes of the training split."""
        if name not in self.fitted:
            options: dict[str, Any] = {}
            if name == "second-stage":
                steps = self.settings.second_stage_steps or None
                options = {"beta": BETA[self.data.preset], "max_steps": steps}
                options |= {"device": self.device, "drive": self.drive}
            density = build_density(name, **options)
            # The prior takes nothing from codes but their size.
            codes = self.test_codes if density.needs_prior else self.train_codes
            density.fit(codes, stream_seed(self.seed, f"density/{name}"))
            self.fitted[name] = density
        return self.fitted[name]

    def images(self, kind: str, density: str = "") -> Tensor:
        """Returns a generated set as `decode` does: reconstruction, sample or interpolation."""
        if (kind, density) not in self._generated:
            self._generated[kind, density] = self._generate(kind, density)
        return self._generated[kind, density]

    def _generate(self, kind: str, density: str) -> Tensor:
        if kind == "sample":
            return self.sample(density, self.settings.images)
        if kind == "reconstruction":
            return self.decode(self._through(self.validation_codes[: self.settings.images]))
        if density:
            codes = self._inside(self.validation_codes[: self.settings.images])
            points = towards_nearest(codes, self.settings.nearest_weight)
            return self.decode(self._outside(points))
        return self.decode(self._between())

    @cached_property
    def test_reconstructions(self) -> Tensor:
        """Reconstructions of the first test images, float32, images in [0, 1], (N, C, H, W)."""
        return self._decode_float(self._through(self.test_codes))

    @cached_property
    def noisy(self) -> Tensor:
        """The first test images with the protocol's noise, clamped, float32 (N, C, H, W)."""
        generator = torch.Generator().manual_seed(NOISE_SEED)
        return add_noise(self.real.float() / 255, self.noise_sigma, generator)

    @cached_property
    def denoised(self) -> Tensor:
        """The noisy images through encoder and decoder, uint8 (N, C, H, W)."""
        codes = _batched(lambda part: self.objective.encode(part.to(self.device)), self.noisy)
        return self.decode(self._through(codes))

    @property
    def may_overflow(self) -> bool:
        """Whether a flow leads from codes to images, which may leave the range of numbers."""
        return any(isinstance(module, FlowStack) for module in self.objective.modules())

    def non_finite(self, density: str) -> float:
        """Returns the share of first draws from a density that were not finite.

        Raises:
            ValueError: The density cannot be fitted.
        """
        if density not in self._non_finite:
            self.density(density)
            with suppress(ValueError):  # All may be lost; their share is known all the same.
                self.images("sample", density)
        return self._non_finite[density]

    def sample(self, density: str, count: int, temperature: float = 1.0) -> Tensor:
        """Returns decoded draws from a density, (count, C, H, W) as `decode`.

        Draws that are not finite are replaced by others, as the AEF paper's code does.

        Raises:
            ValueError: Some are not finite after `REDRAWS` further draws.
        """
        generator = stream(self.seed, f"evaluation/sample/{density}")
        # Codes come from the CPU's generator: the same samples on every device.
        codes = self.density(density).sample(count, generator)
        decoded = self._decode_float(temperature * codes)
        lost = _lost(decoded)
        if temperature == 1 and count == self.settings.images:
            self._non_finite[density] = len(lost) / count
        for _ in range(REDRAWS):
            if len(lost) == 0:
                break
            codes = self.density(density).sample(len(lost), generator)
            decoded[lost] = self._decode_float(temperature * codes)
            lost = _lost(decoded)
        if len(lost):
            raise ValueError(
                f"{len(lost)} of {count} samples are not finite after {REDRAWS + 1} draws of each."
            )
        return self._stored(decoded)

    def decode(self, codes: Tensor) -> Tensor:
        """Returns decoded images rounded to uint8, or vectors as float32, (N, C, H, W)."""
        return self._stored(self._decode_float(codes))

    def _stored(self, decoded: Tensor) -> Tensor:
        return decoded if self.are_vectors else quantise(decoded)

    def encode(self, stored: Tensor, name: str) -> Tensor:
        """Returns codes (N, L) of stored data, on the CPU."""
        generator = stream(self.seed, f"evaluation/codes/{name}", self.device)

        def codes(part: Tensor) -> Tensor:
            # Drawn before, so that a smaller batch sees the same noise.
            x = self.objective.space.prepare(part.to(self.device), generator)
            encode = self.objective.encode
            return torch.cat(in_batches(lambda i, j: encode(x[i:j]), len(x), len(x)))

        return _batched(codes, stored)

    def sheet(self) -> dict[str, Tensor]:
        """Returns the images of the picture sheet, uint8, by name; those that can be made."""
        count = self.settings.sheet_images
        parts: dict[str, Callable[[], Tensor]] = {
            "test": lambda: self.real[:count],
            "reconstruction": lambda: quantise(self.test_reconstructions[:count]),
            "interpolation": lambda: self._paths(self.test_codes[:count]),
            **{f"sample_{d}": partial(self.sample, d, count) for d in self.densities},
        }
        for temperature in self.settings.temperatures:
            if "prior" in self.densities:
                name = f"temperature_{temperature:g}"
                parts[name] = partial(self.sample, "prior", count, temperature)
        return made(parts)

    def _paths(self, codes: Tensor) -> Tensor:
        ends = self._inside(codes[: len(codes) // 2 * 2])
        if len(ends) == 0:
            return torch.empty(0, SHEET_STEPS, *self.data.image_shape, dtype=torch.uint8)
        points = spherical(ends[::2], ends[1::2], torch.linspace(0, 1, SHEET_STEPS))
        images = self.decode(self._outside(points.flatten(0, 1)))
        return images.unflatten(0, (-1, SHEET_STEPS))

    def _between(self) -> Tensor:
        codes = self._inside(self.validation_codes)
        generator = stream(self.seed, "evaluation/pairs")
        first, second = _pairs(len(codes), self.settings.images, generator)
        middle = midpoints(codes[first], codes[second], self.settings.interpolation)
        return self._outside(middle)

    def _through(self, codes: Tensor) -> Tensor:
        return self._outside(self._inside(codes))

    def _inside(self, codes: Tensor) -> Tensor:
        native = self.objective.prior
        return codes if native in ("", "prior") else self.density(native).encode(codes)

    def _outside(self, codes: Tensor) -> Tensor:
        native = self.objective.prior
        return codes if native in ("", "prior") else self.density(native).decode(codes)

    def _decode_float(self, codes: Tensor) -> Tensor:
        return _batched(lambda part: self.objective.decode(part.to(self.device)).float(), codes)


def made(parts: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """Returns the parts that can be made; the failed scores of others say why not."""
    found = {}
    for name, make in parts.items():
        with suppress(ValueError):
            found[name] = make()
    return found


def _lost(decoded: Tensor) -> Tensor:
    """Returns the indices of images (N, C, H, W) with a value that is not finite."""
    return (~decoded.flatten(1).isfinite().all(1)).nonzero()[:, 0]


def suits(density: str, native: str, *, fitted_codes: bool = True) -> bool:
    """Returns whether an objective can have a density.

    Args:
        density: Its name.
        native: The density that the objective samples from by itself, empty if none.
        fitted_codes: Whether densities can be fitted to its codes.
    """
    if native == "second-stage" or density == "second-stage":
        return density == native
    return native == "prior" if density == "prior" else fitted_codes


def _pairs(count: int, wanted: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns indices of two different codes for each wanted pair."""
    first = torch.randint(count, (wanted,), generator=generator)
    # A shift of at least 1 makes the two codes different without a second draw.
    shift = torch.randint(1, max(count, 2), (wanted,), generator=generator)
    return first, (first + shift) % count


@torch.no_grad()
def _batched(function: Callable[[Tensor], Tensor], data: Tensor) -> Tensor:
    def compute(start: int, stop: int) -> Tensor:
        check_stop()
        return function(data[start:stop]).cpu()

    return torch.cat(in_batches(compute, len(data), BATCH))

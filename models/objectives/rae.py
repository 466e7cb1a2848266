"""Regularised autoencoders: squared error, a bound on the codes, and decoder regularisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..backbones.backbone import Backbone
from ..checks import check_choice
from ..options import Range
from ..spaces.space import Space
from .gradient_penalty import GradientPenalty
from .objective import OBJECTIVES, SEQUENCE_SPACES, Objective, squared_error
from .spectral_norm import DECODER, SpectralNorm

OPTIONS = {
    "l2": ("l2", "l2_kernels"),
    "gp": ("gp", "penalty"),
    "sn": ("flattening", "normalised"),
}
RANGES = {
    "beta": Range(1e-4, 10.0, log=True),
    "l2": Range(1e-6, 0.1, log=True),
    "gp": Range(1e-6, 1.0, log=True),
}
PRESETS = ("mnist", "cifar10", "celeba", "sequence")
WITH_SEQUENCES = (*Objective.spaces, *SEQUENCE_SPACES)
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d)
GREY = (
    "spectral norm without batch-norm: no layer can enlarge a difference of codes, so that all "
    "images come out nearly alike"
)


class RegularisedAutoencoder(Objective):
    """SSE + beta/2 |z|^2 + l2 |kernels|^2 + gp |dG/dz|^2, each part optional.

    The published weights beta_c and lambda_c stand beside means: of squared errors over pixels
    and of squared codes over dimensions. With D values in an image and L in a code,
    ``beta = 2 beta_c D / L`` and ``l2 = lambda_c D`` have the same minimiser beside sums.

    Over sequences the distortion is that of their space, and no weight was published: beta is
    that of the KL term there. In ``sequence-released`` this is 1/L beside the loss as written,
    so that ``rae`` is the released grammar VAE less its small noise: expect a tie.

    References:
        From Variational to Deterministic Autoencoders (Ghosh et al., 2020), equation 11 and
        section 3.1, arXiv 1903.12436.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Data set whose published weights are the defaults.
        distortion: Where the squared error is taken: in the run's ``space``, or in ``pixels``
            after its inverse, as the AEF paper's denoising autoencoder does.
        beta: Weight of half the squared norm of the code, beside the summed squared error.
        l2: Weight of the sum of squared decoder kernels; used when the class has ``l2``.
        l2_kernels: ``all`` decoder kernels, or those of the ``released`` code, which leaves out
            the first dense layer except on CelebA.
        gp: Weight of the gradient penalty; used when the class has ``gp``.
        penalty: Estimator of the penalty: ``forward``, ``reverse``, ``finite-difference``,
            ``exact`` or ``released`` (another quantity, see `GradientPenalty`).
        flattening: How spectral norm flattens transposed kernels: ``released`` or ``torch``.
        normalised: Which networks spectral norm covers: ``both`` or ``decoder``.

    Raises:
        ValueError: A weight is negative or an option unknown.
    """

    regularisers: ClassVar[tuple[str, ...]] = ()
    beta_mean: ClassVar[dict[str, float]] = dict.fromkeys(PRESETS, 0.0)
    l2_mean: ClassVar[dict[str, float]] = {
        **{"mnist": 1e-7, "cifar10": 1e-6, "celeba": 1e-7},
        "sequence": 1e-6,
    }
    tunable: ClassVar[Mapping[str, Range]] = RANGES

    def __init_subclass__(cls) -> None:
        """Takes the options of absent regularisers from those that are set or tuned."""
        super().__init_subclass__()
        # Without a published weight of the code its bound is no part of the objective.
        parts = (*cls.regularisers, *(["beta"] if any(cls.beta_mean.values()) else []))
        if "tunable" not in vars(cls):
            cls.tunable = {name: own for name, own in RANGES.items() if name in parts}
        absent = [name for name in OPTIONS if name not in cls.regularisers]
        cls.ignored_options = tuple(option for name in absent for option in OPTIONS[name])

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        distortion: str = "space",
        beta: float | None = None,
        l2: float | None = None,
        l2_kernels: str = "all",
        gp: float | None = None,
        penalty: str = "forward",
        flattening: str = "released",
        normalised: str = "both",
    ) -> None:
        super().__init__(backbone, space, preset=preset)
        self.distortion = check_choice("distortion", distortion, ("space", "pixels"))
        if space.form and distortion == "pixels":
            raise ValueError("'distortion' is 'pixels'; sequences have none, expected 'space'.")
        dims, codes = space.averaged(backbone.latent_dim)
        betas = {k: 2 * v * dims / codes for k, v in self.beta_mean.items()}
        self.beta = self.settle("beta", beta, betas)
        self.l2, self.gp, self.spectral = 0.0, None, None
        if "l2" in self.regularisers:
            self.l2 = self.settle("l2", l2, self.l2_mean, dims)
            self.kernels = decoder_kernels(backbone, l2_kernels, preset)
        if "gp" in self.regularisers:
            self.gp = GradientPenalty(penalty, dims, preset, gp)
            self.hyperparameters["gp"] = self.gp.weight
        if "sn" in self.regularisers:
            self.spectral = SpectralNorm(backbone, flattening, normalised)
            # Batch-norm gives back the scale that the normalised kernels lose.
            if not any(isinstance(layer, BATCH_NORM) for layer in backbone.modules()):
                self.warning = GREY

    def encode_raw(self, inputs: Tensor) -> Tensor:
        """Returns codes, through normalised weights where spectral norm is on."""
        if self.spectral is None:
            return self.backbone.encode(inputs)
        return self.spectral.call(self.backbone, inputs, "encode")

    def decode_raw(self, codes: Tensor) -> Tensor:
        """Returns the linear output, through normalised weights where spectral norm is on."""
        if self.spectral is None:
            return self.backbone.decode(codes)
        return self.spectral.call(self.backbone, codes, "decode")

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion``, ``embedding``, ``weights`` and ``gradient``, each (B,)."""
        y, _ = self.space(x)
        z = self.code(y)
        if self.gp is None or self.gp.weight == 0:
            mean, gradient = self.mean(z), None
        else:
            # The penalty decodes as well: one pass gives images and derivative.
            mean, gradient = self.gp(self.mean, self.backbone, z, generator)
        if self.distortion == "pixels":
            terms = {"distortion": squared_error(x, self.space.inverse(mean))}
        else:
            terms = {"distortion": self.space.distortion(y, mean)}
        if self.beta > 0:
            terms["embedding"] = self.beta * 0.5 * z.square().sum(1)
        if self.l2 > 0:
            kernels = [self.backbone.get_parameter(name) for name in self.kernels]
            squares = torch.stack([kernel.square().sum() for kernel in kernels])
            terms["weights"] = (self.l2 * squares.sum()).expand(len(x))
        if gradient is not None:
            terms["gradient"] = gradient
        # After both networks have run, so that they saw the same vectors.
        if self.spectral is not None and self.training:
            self.spectral.step(self.backbone)
        return terms


@OBJECTIVES.register("rae")
class RAE(RegularisedAutoencoder):
    """Squared error and a bounded latent space, no explicit decoder regulariser."""

    summary = "SSE + beta/2 |z|^2"
    spaces = WITH_SEQUENCES
    beta_mean: ClassVar = {"mnist": 5e-4, "cifar10": 1e-2, "celeba": 1e-4, "sequence": 0.5}


@OBJECTIVES.register("rae-l2")
class RAEL2(RegularisedAutoencoder):
    """RAE with weight decay on the decoder's kernels."""

    summary = "RAE + weight decay on the decoder"
    regularisers = ("l2",)
    spaces = WITH_SEQUENCES
    beta_mean: ClassVar = {"mnist": 1e-4, "cifar10": 1e-3, "celeba": 1e-4, "sequence": 0.5}


@OBJECTIVES.register("rae-gp")
class RAEGP(RegularisedAutoencoder):
    """RAE with the squared norm of the decoder's Jacobian."""

    summary = "RAE + squared norm of the decoder's Jacobian"
    regularisers = ("gp",)
    spaces = WITH_SEQUENCES
    beta_mean: ClassVar = {"mnist": 1e-4, "cifar10": 9e-4, "celeba": 1e-4, "sequence": 0.5}


@OBJECTIVES.register("rae-sn")
class RAESN(RegularisedAutoencoder):
    """RAE with spectral normalisation of every layer."""

    summary = "RAE + spectral normalisation"
    regularisers = ("sn",)
    beta_mean: ClassVar = {"mnist": 9e-3, "cifar10": 3e-2, "celeba": 2.4e-3}


@OBJECTIVES.register("ae")
class AE(RegularisedAutoencoder):
    """Plain autoencoder: squared error alone."""

    summary = "SSE alone"
    spaces = WITH_SEQUENCES


@OBJECTIVES.register("ae-l2")
class AEL2(RegularisedAutoencoder):
    """Plain autoencoder with weight decay on the decoder's kernels."""

    summary = "SSE + weight decay on the decoder"
    spaces = WITH_SEQUENCES
    regularisers = ("l2",)
    l2_mean: ClassVar = {"mnist": 1e-7, "cifar10": 1e-6, "celeba": 1e-6, "sequence": 1e-6}


def decoder_kernels(backbone: Backbone, choice: str, preset: str) -> list[str]:
    """Returns the names of the decoder's kernels: never biases, never batch-norm.

    Raises:
        ValueError: The choice is neither ``all`` nor ``released``, or no kernel is left.
    """
    check_choice("l2_kernels", choice, ("all", "released"))
    kinds: tuple[type[nn.Module], ...] = (nn.Linear, nn.ConvTranspose2d, nn.Conv2d)
    if choice == "released" and preset != "celeba":
        kinds = (nn.ConvTranspose2d,)
    names = [
        f"{name}.{kernel}"
        for name, layer in backbone.named_modules()
        if name.startswith(DECODER)
        for kernel in _kernels(layer, kinds, choice)
    ]
    if not names:
        raise ValueError(
            f"'l2_kernels' is '{choice}', which leaves no kernel of this backbone's decoder; "
            "expected 'all'."
        )
    return names


def _kernels(layer: nn.Module, kinds: tuple[type[nn.Module], ...], choice: str) -> tuple[str, ...]:
    if isinstance(layer, kinds):
        return ("weight",)
    # Layers that are not torch's own name their kernels themselves.
    return getattr(layer, "kernels", ()) if choice == "all" else ()

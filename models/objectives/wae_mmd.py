"""Wasserstein autoencoder with the MMD penalty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ..backbones.backbone import Backbone
from ..options import Range
from ..spaces.space import Space
from .objective import OBJECTIVES, SEQUENCE_SPACES, Objective

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Released weights: beside the per-pixel mean for mnist and cifar10, so D times that beside SSE.
MEAN_SCALE_WEIGHT = {"mnist": 0.03, "cifar10": 0.006}
CELEBA_WEIGHT = 100 / 0.05
# Chosen here, beside the sum over a sequence: no weight was published for symbols.
SEQUENCE_WEIGHT = 10.0
INPUT_NOISE = {"mnist": 0.0, "cifar10": 0.0, "celeba": 0.01, "sequence": 0.0}


@OBJECTIVES.register("wae-mmd")
class WAEMMD(Objective):
    """Squared error plus the MMD between the batch's codes and as many prior draws.

    References:
        Wasserstein Auto-Encoders (Tolstikhin et al., 2018), arXiv 1711.01558, with the weights
        of From Variational to Deterministic Autoencoders (Ghosh et al., 2020).

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: Data set whose weight is the default.
        mmd: Weight of the MMD beside the summed squared error.
        input_noise: Standard deviation of the noise on the images that the encoder sees while
            training, clipped at one standard deviation. Its unit is that of y: of grey levels in
            [0, 1] in space ``unit``.
    """

    summary = "SSE + MMD of the codes to N(0, I)"
    prior = "prior"
    spaces = (*Objective.spaces, *SEQUENCE_SPACES)
    tunable: ClassVar[Mapping[str, Range]] = {"mmd": Range(0.1, 1e4, log=True)}

    def __init__(
        self,
        backbone: Backbone,
        space: Space,
        *,
        preset: str = "mnist",
        mmd: float | None = None,
        input_noise: float | None = None,
    ) -> None:
        super().__init__(backbone, space, preset=preset)
        dims, _ = space.averaged(backbone.latent_dim)
        weights = {name: dims * weight for name, weight in MEAN_SCALE_WEIGHT.items()}
        weights |= {"celeba": CELEBA_WEIGHT, "sequence": SEQUENCE_WEIGHT}
        self.mmd = self.settle("mmd", mmd, weights)
        self.input_noise = self.settle("input_noise", input_noise, INPUT_NOISE)

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns ``distortion`` (SSE) and ``divergence`` (weighted MMD of the batch), (B,).

        Raises:
            ValueError: The batch has one image, for which the MMD is undefined.
        """
        if len(x) < 2:
            raise ValueError("'wae-mmd' got a batch of 1; expected at least 2 images.")
        y, _ = self.space(x)
        seen = y
        if self.training and self.input_noise > 0:
            noise = torch.randn(x.shape, generator=generator, device=x.device).clamp(-1, 1)
            seen = y + self.input_noise * noise
        z = self.code(seen)
        prior = torch.randn(z.shape, generator=generator, device=z.device)
        divergence = imq_mmd(z, prior)
        return {
            "distortion": self.space.distortion(y, self.mean(z)),
            "divergence": self.mmd * divergence.expand(len(x)),
        }


def imq_mmd(codes: Tensor, prior: Tensor, *, scales: tuple[float, ...] = SCALES) -> Tensor:
    """Returns the unbiased squared MMD with inverse multiquadratic kernels; may be negative.

    The kernels are c / (c + |a - b|^2) with c = 2 L s for each scale s, summed over scales.

    Args:
        codes: (N, L), N at least 2.
        prior: (M, L), M at least 2.
        scales: The factors s.
    """
    base = 2.0 * codes.shape[1]
    # In a reduced precision the sums over all pairs would lose the small difference sought.
    wide = torch.promote_types(codes.dtype, torch.float32)
    codes, prior = codes.to(wide), prior.to(wide)
    within_codes, within_prior = _squared_distances(codes, codes), _squared_distances(prior, prior)
    across = _squared_distances(codes, prior)
    total = codes.new_zeros(())
    for scale in scales:
        c = scale * base
        total = total + _mean_off_diagonal(c / (c + within_codes))
        total = total + _mean_off_diagonal(c / (c + within_prior))
        total = total - 2 * (c / (c + across)).mean()
    return total


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    # Rounding can make the distance of a point from itself negative.
    return (norms - 2 * a @ b.T).clamp_min(0)


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))

"""Regularised autoencoders with several decoder regularisers at once."""

from __future__ import annotations

from typing import ClassVar

from .objective import OBJECTIVES
from .rae import RAEL2, RAESN, RegularisedAutoencoder


@OBJECTIVES.register("rae-gp-l2")
class RAEGPL2(RegularisedAutoencoder):
    """RAE-GP with weight decay on the decoder's kernels; the code weight is RAE-L2's.

    No weights were published for combinations: each regulariser keeps that of its own variant.
    """

    summary = "RAE-GP + weight decay on the decoder"
    regularisers = ("l2", "gp")
    beta_mean: ClassVar = RAEL2.beta_mean


@OBJECTIVES.register("rae-l2-sn")
class RAEL2SN(RegularisedAutoencoder):
    """RAE-SN with weight decay on the decoder's kernels; the code weight is RAE-SN's."""

    summary = "RAE-SN + weight decay on the decoder"
    regularisers = ("l2", "sn")
    beta_mean: ClassVar = RAESN.beta_mean


@OBJECTIVES.register("rae-sn-gp")
class RAESNGP(RegularisedAutoencoder):
    """RAE-SN with the squared norm of the decoder's Jacobian; the code weight is RAE-SN's."""

    summary = "RAE-SN + squared norm of the decoder's Jacobian"
    regularisers = ("gp", "sn")
    beta_mean: ClassVar = RAESN.beta_mean


@OBJECTIVES.register("rae-l2-sn-gp")
class RAEL2SNGP(RegularisedAutoencoder):
    """All three regularisers; the code weight is RAE-SN's."""

    summary = "RAE-SN + weight decay + squared norm of the decoder's Jacobian"
    regularisers = ("l2", "gp", "sn")
    beta_mean: ClassVar = RAESN.beta_mean

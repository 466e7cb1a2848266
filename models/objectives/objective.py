"""What a training objective is: a module over a backbone that turns a batch into loss terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..backbones.backbone import Backbone
from ..checks import check_at_least
from ..densities.density import Density
from ..gaussian import standard_normal_log_prob
from ..options import Range, option_defaults
from ..registry import Registry
from ..spaces.space import Space
from ..spaces.space import squared_error as squared_error

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective", folder="aebench.models.objectives", group="aebench.models"
)
SEQUENCE_SPACES = ("sequence", "sequence-released")


class Objective(nn.Module, ABC):
    """Base of all objectives.

    The loss is the sum of the terms. It is taken here, so that what is logged cannot disagree
    with what is minimised. A code z0 is what `encode` returns; the decoder's input z1 is the
    same unless the objective has a prior flow. Axes: B batch, C H W image, L latent.

    Args:
        backbone: The shared networks.
        space: The coordinates of the data.
        preset: The data set whose published weights are the defaults: ``mnist``, ``cifar10``
            or ``celeba``.

    Attributes:
        likelihood: ``exact`` where `log_prob` is the log-likelihood, ``bound`` where
            `observation` and `proposal` allow a bound, ``none`` where a density must be fitted.
        prior: Name of the density that the objective samples from by itself, empty if none.
        default_space: The space used when a run names none.
        spaces: The spaces that the objective is defined in.
        trains_space: Whether the space's own parameters are trained. They are where the loss
            counts the space's log-determinant. Beside a squared error they stay as the first
            batch set them: there a trained scale would shrink the data, and the error with it.
        copies: Whether decoding undoes encoding exactly, as without a bottleneck: then a
            reconstruction is its image, and scores of reconstructions do not apply.
        warning: What is known against the scores of a model that is built so; it stands with
            each of them.
        ignored_options: Options of a parent class that this one does not take.
        tunable: The options that `aebench tune` chooses, with their ranges: weights and scales
            of the loss, neither sizes of networks nor what makes another model. Empty where
            there is nothing to tune.
        hyperparameters: The value of each option in force, for the record. It starts as what
            was given, or the default; a constructor that settles an option later (`settle`)
            overwrites its entry.
    """

    summary: ClassVar[str] = ""
    likelihood: ClassVar[Literal["exact", "bound", "none"]] = "none"
    prior: ClassVar[str] = ""
    default_space: ClassVar[str] = "unit"
    spaces: ClassVar[tuple[str, ...]] = ("unit", "logit", "real")
    trains_space: ClassVar[bool] = False
    copies: ClassVar[bool] = False
    warning: str = ""
    ignored_options: ClassVar[tuple[str, ...]] = ()
    tunable: ClassVar[Mapping[str, Range]] = {}
    hyperparameters: dict[str, Any]

    def __new__(cls, *args: Any, **options: Any) -> Self:  # noqa: ANN401
        """Starts the record of options, so that no constructor has to repeat their names.

        Raises:
            TypeError: The class does not take an option of its parent's.
        """
        for name in cls.ignored_options:
            if name in options:
                raise TypeError(f"Objective '{cls.__name__}' has no option '{name}'.")
        # Here and not in `__init__`: only `__new__` sees the options of all constructors at once.
        self = super().__new__(cls)
        self.hyperparameters = {k: options.get(k, v) for k, v in option_defaults(cls).items()}
        return self

    def __init__(self, backbone: Backbone, space: Space, *, preset: str = "mnist") -> None:
        super().__init__()
        self.backbone = backbone
        self.space = space
        self.preset = preset

    @classmethod
    def in_space(cls, space: str) -> type[Objective]:
        """Returns the class that implements this objective in ``space``.

        Raises:
            ValueError: The objective is not defined there.
        """
        if space not in cls.spaces:
            raise ValueError(
                f"'space' is '{space}', in which '{cls.__name__}' is not defined; "
                f"expected one of: {', '.join(cls.spaces)}."
            )
        return cls

    @classmethod
    def ranges(cls, options: Mapping[str, Any]) -> dict[str, Range]:
        """Returns what is left to tune, by name, where some options are given."""
        return {name: own for name, own in cls.tunable.items() if name not in options}

    def settle(
        self, option: str, given: float | None, published: dict[str, float], factor: float = 1
    ) -> float:
        """Returns the value of an option in force, and puts it on the record.

        Args:
            option: Its name.
            given: What the user set, if anything.
            published: For each preset what is in force where the user set nothing.
            factor: What the published values are multiplied by.

        Raises:
            ValueError: Nothing is published for the preset, or the value is negative.
        """
        if given is None and self.preset not in published:
            raise ValueError(
                f"'preset' is '{self.preset}', for which '{option}' has no default; "
                f"give '{option}' itself, or one of the presets: {', '.join(sorted(published))}."
            )
        if given is None:
            given = factor * published[self.preset]
        check_at_least(0, **{option: given})
        self.hyperparameters[option] = given
        return given

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Sets data-dependent parameters (ActNorm) from the first training batch x.

        Called once, before the first step; a loaded checkpoint needs no call.
        """
        self.space.initialise(x)

    @abstractmethod
    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the named terms of the loss, each (B,), in the objective's own scale.

        Args:
            x: Data (B, C, H, W), images in [0, 1].
            generator: Source of all noise.
        """

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the sum of the terms, (B,)."""
        return self.total(self.terms(x, generator))

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Returns the sum of terms already computed, (B,)."""
        return torch.stack(tuple(terms.values())).sum(0)

    def encode_raw(self, inputs: Tensor) -> Tensor:
        """Returns the backbone's codes (B, L) of network inputs."""
        return self.backbone.encode(inputs)

    def decode_raw(self, codes: Tensor) -> Tensor:
        """Returns the backbone's linear output (B, C, H, W) for codes."""
        return self.backbone.decode(codes)

    def code(self, y: Tensor) -> Tensor:
        """Returns the code (B, L) of data in the space's coordinates y."""
        return self.encode_raw(self.space.network_input(y))

    def mean(self, z: Tensor) -> Tensor:
        """Returns the decoder's mean of y, (B, C, H, W)."""
        return self.space.activate(self.decode_raw(z))

    def encode(self, x: Tensor) -> Tensor:
        """Returns deterministic codes (B, L), where the prior, if there is one, is N(0, I)."""
        return self.code(self.space(x)[0])

    def decoder_input(self, z: Tensor) -> Tensor:
        """Returns the decoder's input z1 for codes z0; they differ under a prior flow."""
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Returns mean images (B, C, H, W) in [0, 1] for codes (B, L)."""
        return self.space.image(self.mean(self.decoder_input(z)))

    def sample(
        self, count: int, generator: torch.Generator, density: Density | None = None
    ) -> Tensor:
        """Returns ``count`` decoded samples (count, C, H, W).

        Args:
            count: Number of images.
            generator: Source of all noise, on the CPU.
            density: Where codes come from; the objective's N(0, I) if it has one and this is
                not given.

        Raises:
            ValueError: There is neither a density nor a prior.
        """
        if density is not None:
            codes = density.sample(count, generator)
        elif self.prior == "prior":
            codes = torch.randn(count, self.code_dim, generator=generator)
        else:
            raise ValueError(
                f"Objective '{type(self).__name__}' samples from a fitted density and got none; "
                "expected 'density'."
            )
        return self.decode(codes.to(next(self.parameters())))

    @property
    def code_dim(self) -> int:
        """Size of the codes; the backbone's latent size unless an objective has its own."""
        return self.backbone.latent_dim

    def latent_log_prob(self, z: Tensor) -> Tensor:
        """Returns the log density of decoder inputs z1 (..., L) under the prior, in nats."""
        return standard_normal_log_prob(z)

    def observation(self, z: Tensor) -> Distribution:
        """Returns p(y|z) over (B, C, H, W) for decoder inputs z1 (B, L), where there is one.

        log p(x|z) is its log density at y plus the space's log-determinant.

        Raises:
            TypeError: The objective has no observation model.
        """
        raise TypeError(f"Objective '{type(self).__name__}' has no observation model.")

    def proposal(self, x: Tensor, scale: float = 1.0) -> Distribution:
        """Returns q(z|x) over decoder inputs z1 (B, L), where the objective has one.

        Args:
            x: Data (B, C, H, W), dequantised.
            scale: Factor on the standard deviation of the encoder's noise.

        Raises:
            TypeError: The objective has no stochastic encoder.
        """
        raise TypeError(f"Objective '{type(self).__name__}' has no stochastic encoder.")

    def diagnostics(self, x: Tensor) -> dict[str, Tensor]:
        """Returns scalars by name that are logged beside the terms; none by default."""
        return {}

"""Assembles an objective over a freshly initialised backbone."""

from __future__ import annotations

import math
from typing import Any

from .backbones.backbone import BACKBONES, Backbone
from .objectives.objective import OBJECTIVES, Objective
from .options import option_defaults
from .registry import unknown_name
from .spaces.space import SPACES
from .streams import initialised_from


def build(
    objective: str,
    *,
    backbone: str | Backbone,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    seed: int = 0,
    space: str | None = None,
    preset: str | None = None,
    alpha: float = 1e-6,
    backbone_options: dict[str, Any] | None = None,
    **hyperparameters: Any,  # noqa: ANN401
) -> Objective:
    """Returns an objective over a backbone whose weights depend on nothing but the seed.

    For the same backbone, image shape, latent size and seed every objective gets the same
    modules and the same initial weights, whatever it adds itself.

    Args:
        objective: Registered name, such as ``rae-gp``.
        backbone: Registered name, such as ``aef-small``, or a backbone already built.
        image_shape: (C, H, W).
        latent_dim: Size of the code.
        seed: The run's one seed.
        space: ``unit``, ``logit`` or ``real``; the objective's default when not given.
        preset: Whose published weights are the defaults: ``mnist``, ``cifar10`` or ``celeba``;
            by the image shape when not given.
        alpha: Distance that the logit space keeps from 0 and 1.
        backbone_options: ``width``, ``batch_norm``, ... of the backbone.
        **hyperparameters: Options of the objective.

    Raises:
        UnknownName: A name is not registered.
        ValueError: A size, an option or a hyperparameter does not fit.

    Example:
        >>> model = build("rae-gp", backbone="tiny", image_shape=(1, 28, 28), latent_dim=16)
        >>> model.backbone.structure_hash() == build(
        ...     "vae", backbone="tiny", image_shape=(1, 28, 28), latent_dim=16
        ... ).backbone.structure_hash()
        True
    """
    values = math.prod(image_shape)
    if latent_dim > values:
        raise ValueError(
            f"'latent_dim' is {latent_dim}; expected at most the {values} values of an image."
        )
    named = OBJECTIVES.get(objective)
    kind = named.in_space(space or named.default_space)
    check_options(f"objective '{objective}'", kind, hyperparameters)
    if isinstance(backbone, str):
        backbone = build_backbone(backbone, image_shape, latent_dim, seed, backbone_options or {})
    coordinates = SPACES.get(space or named.default_space)(
        image_shape, alpha=alpha, trainable=kind.trains_space
    )
    with initialised_from(seed, "init/objective"):
        return kind(
            backbone, coordinates, preset=preset or preset_for(image_shape), **hyperparameters
        )


def build_backbone(
    name: str,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    seed: int,
    options: dict[str, Any],
) -> Backbone:
    """Returns a backbone with the seed's initial weights.

    Raises:
        UnknownName: The name is not registered.
        ValueError: An option is unknown or a size does not fit.
    """
    kind = BACKBONES.get(name)
    check_options(f"backbone '{name}'", kind, options)
    with initialised_from(seed, "init/backbone"):
        return kind(image_shape, latent_dim, **options)


def preset_for(image_shape: tuple[int, int, int]) -> str:
    """Returns whose published weights suit an image shape."""
    if image_shape[0] == 1:
        return "mnist"
    return "celeba" if image_shape[1] >= 64 else "cifar10"


def check_options(owner: str, kind: type, options: dict[str, Any]) -> None:
    """Raises ValueError, with the near match, for an option that ``kind`` does not take."""
    known = option_defaults(kind)
    for name in options:
        if name not in known:
            raise ValueError(unknown_name(f"option of {owner}", name, sorted(known)))

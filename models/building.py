"""Assembles an objective over a freshly initialised backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .backbones.backbone import BACKBONES, Backbone
from .objectives.objective import OBJECTIVES, Objective
from .options import option_defaults
from .registry import unknown_name
from .spaces.space import SPACES, Space
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
    form: str = "",
    backbone_options: dict[str, Any] | None = None,
    **hyperparameters: Any,  # noqa: ANN401
) -> Objective:
    """Returns an objective over a backbone whose weights depend on nothing but the seed.

    For the same backbone, image shape, latent size and seed every objective gets the same
    modules and the same initial weights, whatever it adds itself.

    Args:
        objective: Registered name, such as ``rae-gp``.
        backbone: Registered name, such as ``aef-small``, or a backbone already built for this
            image shape and latent size.
        image_shape: (C, H, W), or (1, T, K) for sequences of T steps over K symbols.
        latent_dim: Size of the code.
        seed: The run's one seed.
        space: ``unit``, ``logit``, ``real``, ``sequence``, ...; the objective's default, or
            ``sequence`` where there is a form, when not given.
        preset: Whose published weights are the defaults: ``mnist``, ``cifar10``, ``celeba`` or,
            for sequences and for these alone, ``sequence``; by the data when not given.
        alpha: Distance that the logit space keeps from 0 and 1.
        form: How sequences are written as symbols, such as ``smiles-grammar``; empty for images.
        backbone_options: ``width``, ``batch_norm``, ... of a backbone that is named.
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
    space = space or ("sequence" if form else named.default_space)
    kind = named.in_space(space)
    check_options(f"objective '{objective}'", kind, hyperparameters)
    if isinstance(backbone, str):
        backbone = build_backbone(backbone, image_shape, latent_dim, seed, backbone_options or {})
    else:
        _check_built(backbone, image_shape, latent_dim, backbone_options or {})
    coordinates = build_space(space, image_shape, alpha, kind.trains_space, form)
    preset = preset or ("sequence" if form else preset_for(image_shape))
    if (preset == "sequence") != bool(form):
        meant = f"sequences of form '{form}'" if form else "images"
        raise ValueError(f"'preset' is '{preset}', which has no weights for {meant}.")
    with initialised_from(seed, "init/objective"):
        return kind(backbone, coordinates, preset=preset, **hyperparameters)


def build_space(
    name: str, image_shape: tuple[int, int, int], alpha: float, trainable: bool, form: str
) -> Space:
    """Returns a space of images or, where a form is given, of sequences.

    Raises:
        UnknownName: The space or the form is not registered.
        ValueError: The space is not for such data.
    """
    kind = SPACES.get(name)
    if not form:
        return kind(image_shape, alpha=alpha, trainable=trainable)
    if "form" not in option_defaults(kind):
        raise ValueError(
            f"'space' is '{name}', which takes no sequences; the data are of form '{form}', "
            "expected 'sequence' or 'sequence-released'."
        )
    options: dict[str, Any] = {"form": form}
    return kind(image_shape, alpha=alpha, trainable=trainable, **options)


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


def _check_built(
    backbone: Backbone, image_shape: Sequence[int], latent_dim: int, options: dict[str, Any]
) -> None:
    """Raises ValueError where a backbone already built has other sizes, or is given options."""
    if options:
        raise ValueError(
            f"'backbone_options' is {options} beside a backbone already built; expected none."
        )
    own = (tuple(backbone.image_shape), backbone.latent_dim)
    if own != (tuple(image_shape), latent_dim):
        raise ValueError(
            f"'backbone' was built for 'image_shape' {own[0]} and 'latent_dim' {own[1]}; "
            f"expected {tuple(image_shape)} and {latent_dim}."
        )


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

"""What a suite costs, estimated without training: images, parameters, multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from ..files.storage import canonical_json
from ..suites.config import Config

# A backward pass costs about two forward passes.
PASSES = 3


@dataclass(frozen=True)
class Network:
    """One backbone.

    Attributes:
        parameters: Trainable values.
        operations: Multiply-accumulates of one image through encoder and decoder.
    """

    parameters: int
    operations: int


def trained_images(config: Config) -> int:
    """Returns how many images a run trains on, each counted as often as it is seen."""
    return config.training.steps * config.training.batch_size


def training_cost(config: Config, network: Network) -> int:
    """Returns the multiply-accumulates of a run's training, the backbone's alone."""
    return PASSES * network.operations * trained_images(config)


def network_of(config: Config) -> Network | None:
    """Returns the backbone's size, or none where the image shape is known from data alone.

    Raises:
        UnknownName: A name is not registered.
        ValueError: A size or an option does not fit.
    """
    from ..data.dataset import find_source

    shape = find_source(config.dataset).image_shape
    if shape is None:
        return None
    options = canonical_json(config.backbone_options)
    return _network(config.backbone, shape, config.latent_dim, options)


def cost_line(configs: Sequence[Config]) -> str:
    """Returns the summary of a suite: runs, steps, images trained on, estimated operations.

    Flows, penalties, repeated samples and the evaluation are not counted.
    """
    steps = sum(c.training.steps for c in configs)
    images = sum(map(trained_images, configs))
    line = (
        f"{len(configs)} runs, {steps:,} steps of {_span(c.training.batch_size for c in configs)} "
        f"images, {images:,} images in all"
    )
    networks = [network_of(config) for config in configs]
    known = [(c, n) for c, n in zip(configs, networks, strict=True) if n is not None]
    if known:
        total = sum(training_cost(c, n) for c, n in known)
        line += (
            f", about {total:.1e} multiply-accumulates to train backbones of "
            f"{_span(n.parameters for _, n in known)} parameters"
        )
    if len(known) < len(configs):
        line += f" ({len(configs) - len(known)} runs have a size that only their data tell)"
    return line


def _span(values: Iterable[int]) -> str:
    ordered = sorted(set(values))
    return " to ".join(f"{value:,}" for value in dict.fromkeys((ordered[0], ordered[-1])))


@cache
def _network(name: str, shape: tuple[int, int, int], latent_dim: int, options: str) -> Network:
    import json

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from ...models.backbones.backbone import count_parameters
    from ...models.building import build_backbone

    with torch.device("meta"), torch.no_grad():
        network = build_backbone(name, shape, latent_dim, 0, json.loads(options)).eval()
        with FlopCounterMode(display=False) as counter:
            network.decode(network.encode(torch.empty(1, *shape)))
    return Network(count_parameters(network), counter.get_total_flops() // 2)

"""What a training step computes, and how fast a device multiplies matrices."""

from __future__ import annotations

import time

import torch
from aebench.bench.data.dataset import find_source
from aebench.bench.suites.config import Config
from aebench.bench.training.precision import products_of
from aebench.metrics.devices import products_in
from aebench.models.building import build_backbone
from aebench.models.streams import stream
from torch.utils.flop_counter import FlopCounterMode

# A backward pass costs about two forward passes.
PASSES = 3
SIDE = 8192
REPEATS = 20


def flops_per_step(config: Config) -> float:
    """Returns the floating-point operations of one step, forwards and backwards.

    The backbone's alone: flows, penalties and repeated samples are not counted.
    """
    shape = find_source(config.dataset).image_shape
    if shape is None:
        raise ValueError(f"'{config.dataset}' tells its image shape only when it is read.")
    with torch.device("meta"), torch.no_grad():
        options = dict(config.backbone_options)
        network = build_backbone(config.backbone, shape, config.latent_dim, 0, options).eval()
        with FlopCounterMode(display=False) as counter:
            network.decode(network.encode(torch.empty(1, *shape)))
    return float(PASSES * counter.get_total_flops() * config.training.batch_size)


def matrix_rate(device: str, precision: str, side: int = SIDE) -> float:
    """Returns the measured floating-point operations a second of a large matrix product.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: ``float32``, ``tf32`` or ``bfloat16``.
        side: Rows and columns of both factors.
    """
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    draws = torch.rand(2, side, side, generator=stream(0, "matrix rate", device), device=device)
    first, second = draws.to(kind)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    with products_in(products_of(precision)):
        for _ in range(REPEATS):
            first @ second
        wait()
        started = time.perf_counter()
        for _ in range(REPEATS):
            first @ second
        wait()
    return 2 * side**3 * REPEATS / (time.perf_counter() - started)

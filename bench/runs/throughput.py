"""How fast runs trained: steps and images a second, and on a GPU the share of its matrix rate."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from ..records.results import BadRow, decode_result
from ..suites.config import Config
from .cost import network_of, training_cost

# Two floating-point operations, one product and one sum, are a multiply-accumulate.
FLOPS = 2
SIDE = 8192
REPEATS = 20


def speed_line(trained: Sequence[tuple[Config, Path]], device: str) -> str:
    """Returns how fast runs trained, their validations counted in; empty if none tells.

    Args:
        trained: Configs and folders of the runs.
        device: ``cpu`` or ``cuda``.
    """
    measured = [(config, steps_per_second(folder)) for config, folder in trained]
    known = [(config, rate) for config, rate in measured if rate is not None]
    if not known:
        return ""
    rates = [rate for _, rate in known]
    images = [rate * config.training.batch_size for config, rate in known]
    line = (
        f"trained at {_median(rates)} steps/s, {_median(images)} images/s "
        f"(median of {len(known)} runs, each with its validations)"
    )
    if device != "cuda":
        return line
    precision = known[0][0].training.precision
    ceiling = matrix_rate(device, precision)
    shares = [flops_per_step(config) * rate / ceiling for config, rate in known]
    return (
        f"{line}, {statistics.median(shares):.0%} of the {ceiling / 1e12:.0f} TFLOP/s measured "
        f"here for {precision} matrix products, counting the backbone alone"
    )


def steps_per_second(folder: Path) -> float | None:
    """Returns the steps a second of the run in a folder, None if its rows do not tell."""
    try:
        rows = decode_result((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadRow):
        return None
    if not rows or not rows[0]["train_seconds"]:
        return None
    return float(rows[0]["steps"]) / float(rows[0]["train_seconds"])


def flops_per_step(config: Config) -> float:
    """Returns the floating-point operations of one step, forwards and backwards.

    The backbone's alone; 0 where its size is known from the data alone.
    """
    network = network_of(config)
    if network is None:
        return 0.0
    return FLOPS * training_cost(config, network) / config.training.steps


def matrix_rate(device: str, precision: str, side: int = SIDE) -> float:
    """Returns the measured floating-point operations a second of a large matrix product.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: ``float32``, ``tf32`` or ``bfloat16``.
        side: Rows and columns of both factors.
    """
    import torch

    from ...metrics.products import products_in
    from ...models.streams import stream
    from ..training.precision import products_of

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
    return FLOPS * side**3 * REPEATS / (time.perf_counter() - started)


def _median(values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"

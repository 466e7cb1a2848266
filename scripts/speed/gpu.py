"""Measures the speed of training on one GPU: ``python scripts/speed/gpu.py results/speed``.

Writes ``gpu.json`` there after each part, in under ten minutes: steps a second of each objective,
in each precision, with and without recorded steps, alone and several at once, with their share of
the measured matrix rate; where the time of a step goes; the Fréchet distance beside scipy's. Then
``page.py`` writes the page. The ratio to pythae comes from ``tox -e perf`` on that machine.

``--device cpu --scale smoke --seconds 0.1`` tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from aebench.bench.files.storage import write_atomically
from aebench.bench.records.provenance import commit, device_name, now, versions
from aebench.bench.suites.config import Config, Precision, Training
from aebench.bench.training.engine import EAGER
from aebench.bench.training.precision import computing_in
from aebench.bench.training.trainer import Trainer
from aebench.metrics import frechet_distance_from_moments
from aebench.models.building import build
from rates import flops_per_step, matrix_rate

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

FILE = "gpu.json"
TABLE_1 = ("vae", "cv-vae", "wae-mmd", "2svae", "rae-gp", "rae-l2", "rae-sn", "rae", "ae", "ae-l2")
AEF = ("aef-linear", "aef-center", "aef-corner", "vae")
AT_ONCE = (2, 4, 8)
# Data set with its batch size, space and image shape, for each backbone.
NETWORKS = {
    "rae-32": ("fashion-mnist-32", 100, "unit", (1, 32, 32)),
    "aef-small": ("fashion-mnist", 128, "logit", (1, 28, 28)),
}
SCALES = {
    "full": {"width": 1.0, "images": 50_000, "dims": 2048, "side": 8192},
    "smoke": {"width": 0.0625, "images": 500, "dims": 64, "side": 128},
}
STEPS_BETWEEN_CLOCKS = 20
WARM_UP = 20
Record = dict[str, Any]


class Speed:
    """What is measured, and on what.

    Args:
        device: ``cuda`` or ``cpu``.
        scale: ``full`` or ``smoke``.
        seconds: How long each training is timed.
    """

    def __init__(self, device: str, scale: str, seconds: float) -> None:
        self.device, self.scale, self.seconds = device, scale, seconds
        self.size = SCALES[scale]

    @cached_property
    def ceilings(self) -> dict[str, float]:
        """The measured floating-point operations a second of matrix products, by precision."""
        side = int(self.size["side"])
        return {p: matrix_rate(self.device, p, side) for p in PRECISIONS}

    def step(self, objective: str, network: str, precision: str, *, eager: bool = False) -> Record:
        """Times steps of one training alone."""
        config = self._config(objective, network, precision)
        os.environ[EAGER] = "1" if eager else ""
        trainer = self._trainer(config)
        rate = self._rate(trainer, precision)
        flops = flops_per_step(config) * rate
        return {
            "backbone": network,
            "objective": objective,
            "precision": precision,
            "steps": "one by one" if trainer.engine.replay is None else "replayed",
            "refused": trainer.engine.refused,
            "steps_per_second": rate,
            "images_per_second": rate * config.training.batch_size,
            "tflops": flops / 1e12,
            "share_of_matrix_rate": flops / self.ceilings[precision],
        }

    def several(self, objective: str, network: str, count: int) -> Record:
        """Times several trainings at once, each in a process of its own."""
        command = [sys.executable, __file__, ".", "--worker", objective, network]
        command += ["--device", self.device, "--scale", self.scale]
        command += ["--seconds", str(self.seconds)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers = [subprocess.Popen(command, **pipes) for _ in range(count)]
        for worker in workers:
            _line(worker)
        for worker in workers:  # All are warm: now they start together.
            worker.stdin.write("\n")
            worker.stdin.flush()
        rates = [float(_line(worker)) for worker in workers]
        for worker in workers:
            worker.wait()
        return {
            "backbone": network,
            "objective": objective,
            "processes": count,
            "steps_per_second": sum(rates),
        }

    def work(self, objective: str, network: str) -> None:
        """Is one of several: gets warm, waits for a line, and writes its steps a second."""
        trainer = self._trainer(self._config(objective, network, "float32"))
        with computing_in("float32", trainer.objective.backbone):
            self._take(trainer, WARM_UP)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.readline()
            sys.stdout.write(f"{self._timed(trainer)}\n")

    def profile(self, objective: str, network: str, precision: str) -> list[Record]:
        """Returns the kernels that take most of a step's time."""
        from torch.profiler import ProfilerActivity, profile

        os.environ[EAGER] = "1"
        trainer = self._trainer(self._config(objective, network, precision))
        kinds = [ProfilerActivity.CPU]
        kinds += [ProfilerActivity.CUDA] if self.device == "cuda" else []
        with computing_in(precision, trainer.objective.backbone):
            self._take(trainer, WARM_UP)
            with profile(activities=kinds) as taken:
                self._take(trainer, WARM_UP)
        name = "self_device_time_total" if self.device == "cuda" else "self_cpu_time_total"
        events = sorted(taken.key_averages(), key=lambda e: -getattr(e, name))
        total = sum(getattr(e, name) for e in events) or 1.0
        return [
            {"operation": e.key[:80], "share": getattr(e, name) / total, "calls": e.count}
            for e in events[:12]
        ]

    def frechet(self) -> Record:
        """Times the Fréchet distance on the device and by scipy's matrix square root."""
        from scipy.linalg import sqrtm

        dims = int(self.size["dims"])
        generator = np.random.default_rng(0)
        scales = np.geomspace(1.0, 1e-3, dims)
        moments = []
        for shift in (0.0, 0.1):
            values = generator.normal(size=(2 * dims, dims)) * scales + shift
            moments.append((values.mean(0), np.cov(values, rowvar=False)))
        (mean_real, cov_real), (mean_generated, cov_generated) = moments
        names = ("mean_real", "cov_real", "mean_generated", "cov_generated")
        values = (mean_real, cov_real, mean_generated, cov_generated)
        there = {
            n: torch.as_tensor(v, device=self.device) for n, v in zip(names, values, strict=True)
        }
        frechet_distance_from_moments(**there)
        started = time.perf_counter()
        ours = frechet_distance_from_moments(**there)
        between = time.perf_counter()
        root = sqrtm(cov_real @ cov_generated)
        difference = mean_real - mean_generated
        trace = np.trace(cov_real) + np.trace(cov_generated) - 2 * np.trace(root).real
        theirs = float(difference @ difference + trace)
        ended = time.perf_counter()
        return {
            "dims": dims,
            "ours_seconds": between - started,
            "scipy_seconds": ended - between,
            "ratio": (ended - between) / (between - started),
            "relative_difference": abs(ours - theirs) / abs(theirs),
        }

    def _config(self, objective: str, network: str, precision: str) -> Config:
        dataset, batch, space, _ = NETWORKS[network]
        training = Training(steps=10**9, batch_size=batch, precision=precision)
        options = {"width": self.size["width"]}
        config = Config("speed", self.scale, dataset, network, objective, 16, space=space)
        return replace(config, training=training, backbone_options=options)

    def _trainer(self, config: Config) -> Trainer:
        shape = NETWORKS[config.backbone][3]
        model = build(
            config.objective,
            backbone=config.backbone,
            image_shape=shape,
            latent_dim=config.latent_dim,
            seed=0,
            space=config.space,
            backbone_options=config.backbone_options,
        ).to(self.device)
        generator = torch.Generator().manual_seed(0)
        size = (int(self.size["images"]), *shape)
        images = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                model,
                config.training,
                train=images,
                validation=images[:256],
                seed=0,
                folder=Path(folder),
            )
        trainer._initialise()
        return trainer

    def _rate(self, trainer: Trainer, precision: str) -> float:
        with computing_in(precision, trainer.objective.backbone):
            self._take(trainer, WARM_UP)
            return self._timed(trainer)

    def _timed(self, trainer: Trainer) -> float:
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < self.seconds:
            self._take(trainer, STEPS_BETWEEN_CLOCKS)
            steps += STEPS_BETWEEN_CLOCKS
        return steps / (time.perf_counter() - started)

    def _take(self, trainer: Trainer, steps: int) -> None:
        for _ in range(steps):
            trainer.train_step()
        if self.device == "cuda":
            torch.cuda.synchronize()


def measure(speed: Speed, folder: Path) -> None:
    """Measures everything, the most wanted first, and writes what there is after each part."""
    record: Record = {
        "device": device_name(speed.device),
        "scale": speed.scale,
        "commit": commit(),
        "versions": versions(),
        "date": now(),
        "matrix_tflops": {name: rate / 1e12 for name, rate in speed.ceilings.items()},
        "steps": [],
        "several": [],
    }

    def write() -> None:
        text = json.dumps(record, indent=2, sort_keys=True) + "\n"
        write_atomically(folder / FILE, text)

    for objective in TABLE_1:
        record["steps"].append(speed.step(objective, "rae-32", "bfloat16"))
        write()
    for objective in AEF:
        record["steps"].append(speed.step(objective, "aef-small", "float32"))
        write()
    for count in AT_ONCE:
        record["several"].append(speed.several("aef-linear", "aef-small", count))
        write()
    record["frechet"] = speed.frechet()
    write()
    for eager in (False, True):
        for precision in PRECISIONS:
            record["steps"].append(speed.step("vae", "rae-32", precision, eager=eager))
            write()
    record["profile"] = speed.profile("vae", "rae-32", "bfloat16")
    write()


def _line(worker: subprocess.Popen[str]) -> str:
    line = worker.stdout.readline() if worker.stdout else ""
    if not line:
        raise SystemExit(f"A process of several ended with {worker.wait()} and no answer.")
    return line


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=tuple(SCALES), default="full")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--worker", nargs=2, metavar=("OBJECTIVE", "BACKBONE"))
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --device cpu --scale smoke tries the script out.")
    speed = Speed(given.device, given.scale, given.seconds)
    if given.worker:
        speed.work(*given.worker)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    measure(speed, given.folder)


if __name__ == "__main__":
    main()

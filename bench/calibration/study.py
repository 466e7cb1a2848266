"""Calibration study: how every sample metric responds to known damage of real images."""

from __future__ import annotations

import csv
import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ...metrics.extractor import build_extractor
from ..data.dataset import load_dataset
from ..errors import UserError
from ..evaluation.features import extract
from ..evaluation.metric_lookup import compute_scores, find_metric
from ..files.csv_cells import csv_text
from ..files.storage import canonical_json, write_atomically
from ..records.code import code_digest
from ..records.provenance import commit, now
from .sets import LEVELS, PIXELWISE, Damage, Pools, all_damages

TRAINING = "memorisation"  # the metric that sees training images
UNSCORED = ("coverage_expected",)  # a constant of the counts
OPTIONS = {"runs": 3, "subsets": 10}
FIELDS = (
    *("study", "features", "kind", "severity", "level", "n", "repeat", "metric", "value"),
    *("stderr", "unit", "better", "reason", "seconds", "commit", "date"),
)
KEY = ("features", "kind", "severity", "n", "repeat")
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Size:
    """What is computed at one number of images.

    Attributes:
        n: Images in each set; real and damaged sets are equally large.
        metrics: Names of the metrics.
        repeats: Number of disjoint repeats.
        once: Metrics of the first repeat only.
        severities: The severities that are scored, 0 being the floor.
        kinds: The kinds of damage that are scored.
    """

    n: int
    metrics: tuple[str, ...]
    repeats: int = 1
    once: tuple[str, ...] = ()
    severities: tuple[int, ...] = (0, 1, 2, 3)
    kinds: tuple[str, ...] = tuple(LEVELS)

    def wants(self, damage: Damage) -> bool:
        """Says whether a set is scored at this size."""
        return damage.severity in self.severities and damage.kind in (*self.kinds, "none")


@dataclass(frozen=True)
class Study:
    """Everything that decides the numbers of a study."""

    dataset: str
    extractors: tuple[str, ...]
    sizes: tuple[Size, ...]
    seed: int = 0

    @property
    def digest(self) -> str:
        """12 hex digits of the settings, the damage and the code that computes the scores."""
        names = sorted({name for size in self.sizes for name in size.metrics})
        metrics = [find_metric(name).function.__module__ for name in names]
        own = "aebench.bench.calibration"
        return self.settings(code_digest([f"{own}.sets", *metrics], (own, "aebench.metrics")))

    def settings(self, *code: str) -> str:
        """Returns 12 hex digits of the settings and the damage, and of what else is given."""
        about = canonical_json([asdict(self), LEVELS, OPTIONS, *code])
        return hashlib.sha256(about.encode()).hexdigest()[:12]

    def pools(self) -> Pools:
        """Returns the pools of images, large enough for every set."""
        training = max((s.n * s.repeats for s in self.sizes if TRAINING in s.metrics), default=0)
        largest = max(s.n * s.repeats for s in self.sizes)
        return Pools(load_dataset(self.dataset), largest, training, self.seed)

    def count(self, damage: Damage) -> int:
        """Returns how many images a damaged set needs over all sizes."""
        return max((s.n * s.repeats for s in self.sizes if s.wants(damage)), default=0)


SAMPLE = (
    *("frechet", "kernel", "prd", "precision-recall", "density-coverage"),
    *("clipped-density", "clipped-coverage"),
)
FULL = Study(
    "fashion-mnist",
    ("lite0@64", "pixels"),
    (
        Size(1_000, (*SAMPLE, TRAINING), repeats=3, once=("prd",)),
        Size(3_000, (*SAMPLE, TRAINING)),
        Size(
            10_000,
            ("frechet", "frechet-inf", *SAMPLE[1:]),
            severities=(0, 1),
            kinds=("blur", "noise", "pca", "dropped"),
        ),
    ),
)
SMOKE = Study(
    "fashion-mini",
    ("pixels",),
    (
        Size(100, ("kernel", *SAMPLE[3:], TRAINING), repeats=3, once=(TRAINING,)),
        Size(600, ("kernel",), severities=(0, 1)),
    ),
)


def run(
    study: Study,
    out: Path,
    *,
    extractors: tuple[str, ...] = (),
    cache_dir: Path | None = None,
    progress: Callable[[str], object] = lambda text: None,
) -> list[dict[str, str]]:
    """Computes what is missing in ``results.csv`` and returns its lines.

    Args:
        study: What to compute.
        out: Folder of the results; lines of another study in it are dropped.
        extractors: Which of the study's extractors; all where empty.
        cache_dir: Folder of cached features; by default the user's.
        progress: Called with a line of text for each set done.
    """
    digest = study.digest
    path = out / "results.csv"
    done = {tuple(row[f] for f in KEY) for row in read(path) if row["study"] == digest}
    pools = study.pools()
    for name in extractors or study.extractors:
        extractor = build_extractor(name)
        features: Outputs = {}
        for size, damage in itertools.product(study.sizes, all_damages()):
            repeats = range(size.repeats if size.wants(damage) else 0)
            head = (extractor.identity, damage.kind, str(damage.severity), str(size.n))
            missing = [r for r in repeats if (*head, str(r)) not in done]
            if not missing:
                continue
            # Only now: a study that is done already extracts nothing.
            for pool, images in pools.images.items():
                if pool not in features:
                    features[pool] = extract(images, extractor, cache_dir).numpy()
            changed = features["clean"]
            if damage.kind in PIXELWISE:
                images = pools.damage(damage, study.count(damage))
                changed = extract(images, extractor, cache_dir).numpy()
            for repeat in missing:
                about = {"study": digest, **dict(zip(KEY, (*head, repeat), strict=True))}
                about |= {"level": damage.level, "commit": commit(), "date": now()}
                outputs = _outputs(pools, features, changed, damage, size, repeat)
                _append(path, digest, [about | score for score in _score(size, repeat, outputs)])
                progress(f"{extractor.name} N={size.n} {damage} #{repeat}")
    return [row for row in read(path) if row["study"] == digest]


def _append(path: Path, digest: str, new: list[dict[str, Any]]) -> None:
    """Adds lines to those of the same study; two processes may share the work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Read again under the lock: the other process may have added lines.
    with FileLock(path.with_name(".results.lock")):
        rows = [row for row in read(path) if row["study"] == digest] + new
        write_atomically(path, csv_text([FIELDS, *([row[f] for f in FIELDS] for row in rows)]))


def read(path: Path) -> list[dict[str, str]]:
    """Returns the lines of a results file, none where it is absent.

    Raises:
        UserError: The file is not UTF-8, or a line has other columns than `FIELDS`.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"'{path}' is not a table of results: {error}.") from error
    for at, line in enumerate(lines, 1):
        if tuple(line) != FIELDS or None in line.values():
            raise UserError(f"'{path}', line {at}: expected the columns {', '.join(FIELDS)}.")
    return lines


def _outputs(
    pools: Pools, features: Outputs, changed: np.ndarray, damage: Damage, size: Size, repeat: int
) -> Outputs:
    rows = slice(repeat * size.n, (repeat + 1) * size.n)
    chosen = pools.select(damage, size.n, repeat)
    parts = [features["train"][chosen["train"]], changed[chosen["clean"]]]
    outputs = {"real": features["real"][rows], "generated": np.concatenate(parts)}
    if len(features["train"]) >= rows.stop:
        outputs |= {name: features[name][rows] for name in ("train", "heldout")}
    return outputs


def _score(size: Size, repeat: int, outputs: Outputs) -> Iterator[dict[str, Any]]:
    for name in size.metrics:
        if repeat and name in size.once:
            continue
        # A subset of all rows would be the full-sample value over again: none is drawn.
        subsets = {"subset_size": size.n + 1} if size.n <= 1000 else {}
        start = time.process_time()
        scores = compute_scores(find_metric(name), outputs, {**OPTIONS, **subsets, "seed": repeat})
        seconds = round(time.process_time() - start, 2)
        for score in scores:
            if score.metric not in UNSCORED:
                fields = ("metric", "value", "stderr", "unit", "better", "reason")
                yield {f: getattr(score, f) for f in fields} | {"seconds": seconds}

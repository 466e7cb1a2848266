"""Calibration study: how every sample metric responds to known damage of real images."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ...metrics.extractor import build_extractor
from ..data.dataset import load_dataset
from ..errors import UserError
from ..evaluation.features import extract
from ..evaluation.metric_lookup import compute_scores, find_metric
from ..files.storage import canonical_json, write_atomically
from ..records.code import code_digest
from ..records.provenance import commit, now
from ..records.results import csv_text
from .sets import LEVELS, Damage, Pools, all_damages

if TYPE_CHECKING:
    import numpy as np

    from ...metrics.extractor import Extractor

TRAINING = ("memorisation",)
UNSCORED = ("coverage_expected",)  # a constant of the counts
OPTIONS = {"runs": 3, "subsets": 10}
FIELDS = (
    *("study", "features", "kind", "severity", "level", "n", "repeat", "metric", "value"),
    *("stderr", "unit", "better", "reason", "seconds", "commit", "date"),
)
Outputs = dict[str, "np.ndarray"]


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
        code = code_digest([f"{own}.sets", *metrics], (own, "aebench.metrics"))
        about = canonical_json([asdict(self), LEVELS, OPTIONS, code])
        return hashlib.sha256(about.encode()).hexdigest()[:12]

    @property
    def training(self) -> int:
        """How many training images the memorisation metrics need."""
        counts = [s.n * s.repeats for s in self.sizes if set(TRAINING) & set(s.metrics)]
        return max(counts, default=0)

    def count(self, damage: Damage) -> int:
        """Returns how many images a damaged set needs over all sizes."""
        return max((s.n * s.repeats for s in self.sizes if s.wants(damage)), default=0)


SAMPLE = ("frechet", "kernel", "prd", "precision-recall", "density-coverage")
FULL = Study(
    "fashion-mnist",
    ("lite0@64", "pixels"),
    (
        Size(1_000, (*SAMPLE, *TRAINING), repeats=3, once=("prd",)),
        Size(3_000, (*SAMPLE, *TRAINING)),
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
        Size(100, ("kernel", *SAMPLE[3:], *TRAINING), repeats=3, once=("memorisation",)),
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
    done = {_cell(row) for row in read(path) if row["study"] == digest}
    largest = max(s.n * s.repeats for s in study.sizes)
    pools = Pools(load_dataset(study.dataset), largest, study.training, study.seed)
    for name in extractors or study.extractors:
        extractor = build_extractor(name)
        for size, damage, repeat, outputs in _sets(study, pools, extractor, cache_dir, done):
            new = list(_score(size, repeat, outputs))
            about = {
                "study": digest,
                "features": extractor.identity,
                **{"kind": damage.kind, "severity": damage.severity, "level": damage.level},
                **{"n": size.n, "repeat": repeat, "commit": commit(), "date": now()},
            }
            _append(
                path, digest, [{f: _text((about | row).get(f)) for f in FIELDS} for row in new]
            )
            progress(f"{extractor.name} N={size.n} {damage.kind} {damage.level:g} #{repeat}")
    return [row for row in read(path) if row["study"] == digest]


def _append(path: Path, digest: str, new: list[dict[str, str]]) -> None:
    """Adds lines to those of the same study; two processes may share the work."""
    path.parent.mkdir(parents=True, exist_ok=True)
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


def _sets(
    study: Study,
    pools: Pools,
    extractor: Extractor,
    cache_dir: Path | None,
    done: set[tuple[str, ...]],
) -> Iterator[tuple[Size, Damage, int, Outputs]]:
    """Yields the sets that are not done, small ones first, with their features."""
    features: Outputs = {}
    for size in study.sizes:
        for damage in all_damages():
            repeats = range(size.repeats if size.wants(damage) else 0)
            head = (extractor.identity, damage.kind, str(damage.severity), str(size.n))
            missing = [r for r in repeats if (*head, str(r)) not in done]
            if not missing:
                continue
            for name, images in pools.images.items():
                if name not in features:
                    features[name] = extract(images, extractor, cache_dir)
            changed = features["clean"]
            if damage.pixelwise:
                images = pools.damage(damage, study.count(damage))
                changed = extract(images, extractor, cache_dir)
            for repeat in missing:
                yield (
                    size,
                    damage,
                    repeat,
                    _outputs(pools, features, changed, damage, size, repeat),
                )


def _outputs(
    pools: Pools, features: Outputs, changed: np.ndarray, damage: Damage, size: Size, repeat: int
) -> Outputs:
    import numpy as np

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
        # A subset of all rows is the full-sample value over again.
        subsets = {"subset_size": size.n + 1} if size.n <= 1000 else {}
        start = time.process_time()
        scores = compute_scores(find_metric(name), outputs, {**OPTIONS, **subsets, "seed": repeat})
        seconds = time.process_time() - start
        for score in scores:
            if score.metric in UNSCORED:
                continue
            row = {f: getattr(score, f) for f in ("metric", "value", "stderr", "unit", "better")}
            yield row | {"reason": score.reason, "seconds": round(seconds, 2)}


def _cell(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[f] for f in ("features", "kind", "severity", "n", "repeat"))


def _text(value: object) -> str:
    return "" if value is None else str(value)

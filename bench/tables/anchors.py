"""Published likelihoods of models of which rows of ours have a like estimate."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ...metrics.bits_per_dim import bits_per_dim
from ..comparison.columns import without_floor
from ..comparison.gains import Arrays
from ..comparison.labels import settings_of
from ..comparison.significance import NORMAL_95, half_width, mean, t_interval
from ..records.per_image import dims_of, of_row
from ..records.results import Rows

VALUES = "likelihood_values.csv"
LOOSE = (
    "with so few samples neither is trusted as a likelihood, and an interval is given for this "
    "comparison alone"
)


@dataclass(frozen=True)
class Anchor:
    """A published likelihood, and our rows for the same model and as many samples.

    Ours count whether or not they are trusted as likelihoods: with as few samples the printed
    value is as loose.

    Attributes:
        paper: The paper.
        place: Where in it, or beside it, the value is printed.
        value: As printed.
        images: How many test images it is the mean of.
        conditions: How it was come by, where ours was come by in another way.
        rows: Ours, of one method, a row a seed.
        image_error: Standard error over test images of our mean over seeds, where it is known.
    """

    paper: str
    place: str
    value: float
    images: int
    conditions: str
    rows: Rows
    image_error: float | None

    @property
    def seeds(self) -> dict[int, float]:
        """Our value for each seed."""
        good = self.rows[self.rows["status"] == "ok"]
        return {int(s): float(v) for s, v in zip(good["seed"], good["value"], strict=True)}

    @property
    def ours(self) -> float:
        """Our mean over seeds; nan where none has a value."""
        return mean(self.seeds)

    @property
    def is_loose(self) -> bool:
        """Whether ours is not trusted as a likelihood, and so neither is the printed value."""
        return bool((self.rows["trusted"] == "no").any())

    @property
    def our_conditions(self) -> str:
        """How ours was come by, where the published one was come by in another way."""
        first = self.rows.iloc[0].to_dict()
        training = settings_of(first["settings"]).get("training", {})
        clip = training.get("gradient_clip", 0)
        told = ["samples from a proposal that was chosen on validation images"]
        told += [f"gradients clipped at a norm of {clip:g}"] if clip else []
        told += [f"the split '{first['split']}'", f"weights of the {first['selection']}"]
        return ", ".join(told)

    @property
    def half_width(self) -> float | None:
        """Half-width of the mean's 95 % interval, over seeds and test images."""
        return half_width(self.seeds.values(), self.image_error)

    @property
    def interval(self) -> tuple[float, float] | None:
        """In which one more run of ours lies with 95 %, over seeds and test images.

        None from fewer than two seeds.
        """
        seeds = t_interval(self.seeds.values(), of_next=True)
        if seeds is None:
            return None
        half = math.hypot((seeds[1] - seeds[0]) / 2, NORMAL_95 * (self.image_error or 0.0))
        return self.ours - half, self.ours + half

    @property
    def inside(self) -> bool | None:
        """Whether the printed value lies in that interval; none where there is no interval."""
        ends = self.interval
        return None if ends is None else ends[0] <= self.value <= ends[1]


def anchors(placed: Rows, arrays: Arrays | None = None) -> Iterator[Anchor]:
    """Yields each published likelihood that the rows speak to.

    Args:
        placed: Result rows with their place and method.
        arrays: Log-likelihoods of single images, for the error of estimates that state none.
    """
    path = files("aebench.bench.tables") / "assets" / VALUES
    native = without_floor(placed[placed["model"] == "native"])
    for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        own = native[(native["metric"] == line["metric"]) & (native["space"] == "logit")]
        for name in ("dataset", "objective", "latent_dim", "samples_k"):
            own = own[own[name].astype(str) == line[name]]
        wanted = settings_of(line["variant"])
        alike = [settings_of(text) == wanted for text in own["variant"]]
        own = own[np.array(alike, dtype=bool) & (own["status"] == "ok").to_numpy(bool)]
        for _, same in own.groupby(["method", "n_real"], sort=True):
            value, count = float(line["value"]), int(line["images"])
            error = _image_error(same, arrays or {})
            paper, place, conditions = (line[n] for n in ("paper", "place", "conditions"))
            yield Anchor(paper, place, value, count, conditions, same, error)


def _image_error(rows: Rows, arrays: Arrays) -> float | None:
    """Returns the mean of the rows' errors over images, each stated or from its single images."""
    errors = []
    for row in rows.to_dict("records"):
        dims = dims_of(row)
        kept = of_row({str(name): value for name, value in row.items()}, arrays)
        if not math.isnan(row["stderr"]):
            errors.append(float(row["stderr"]))
        elif kept is not None and len(kept.values) > 1:
            nats = float(np.std(kept.values.astype(float), ddof=1)) / math.sqrt(len(kept.values))
            errors.append(nats * (bits_per_dim(0.0, dims=dims) - bits_per_dim(1.0, dims=dims)))
    return float(np.mean(errors)) if len(errors) == len(rows) else None

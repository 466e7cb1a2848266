"""Published likelihoods of models that rows of ours estimate in the same way."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ..comparison.cells import image_error, seed_values
from ..comparison.columns import without_floor
from ..comparison.labels import settings_of
from ..comparison.significance import NORMAL_95, mean, t_interval
from ..records.results import Rows

VALUES = "likelihood_values.csv"


@dataclass(frozen=True)
class Anchor:
    """A published likelihood, and our rows for the same model and estimator.

    Attributes:
        paper: The paper.
        place: Where in it, or beside it, the value is printed.
        value: As printed.
        images: How many test images it is the mean of.
        rows: Ours, of one method, a row a seed.
    """

    paper: str
    place: str
    value: float
    images: int
    rows: Rows

    @property
    def ours(self) -> float:
        """Our mean over seeds; nan where none has a value."""
        return mean(seed_values(self.rows))

    @property
    def interval(self) -> tuple[float, float] | None:
        """In which one more run of ours lies with 95 %, over seeds and test images.

        None from fewer than two seeds.
        """
        seeds = t_interval(seed_values(self.rows).values(), of_next=True)
        if seeds is None:
            return None
        half = math.hypot((seeds[1] - seeds[0]) / 2, NORMAL_95 * (image_error(self.rows) or 0.0))
        return self.ours - half, self.ours + half

    @property
    def inside(self) -> bool | None:
        """Whether the printed value lies in that interval; none where there is no interval."""
        ends = self.interval
        return None if ends is None else ends[0] <= self.value <= ends[1]


def anchors(placed: Rows) -> Iterator[Anchor]:
    """Yields each published likelihood that the rows speak to.

    Args:
        placed: Result rows with their place and method.
    """
    path = files("aebench.bench.tables") / "assets" / VALUES
    native = without_floor(placed[placed["model"] == "native"])
    for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        own = native[(native["metric"] == line["metric"]) & (native["space"] == "logit")]
        for name in ("dataset", "objective", "latent_dim", "samples_k"):
            own = own[own[name].astype(str) == line[name]]
        wanted = settings_of(line["variant"])
        alike = [settings_of(text) == wanted for text in own["variant"]]
        own = own[np.array(alike, dtype=bool)]
        for _, same in own.groupby(["method", "n_real"], sort=True):
            yield Anchor(
                line["paper"], line["place"], float(line["value"]), int(line["images"]), same
            )

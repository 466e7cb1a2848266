"""Published values beside ours: a difference only where both were measured alike."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..comparison.cells import lost_text, method_order, seed_values
from ..comparison.columns import FLOOR, with_places
from ..comparison.labels import suite_title
from ..comparison.table import Cell, Table, file_name, format_number
from ..errors import UserError
from .deviations import deviations, is_comparable, other_setting

if TYPE_CHECKING:
    import pandas as pd

DATASETS = {"MNIST": "mnist", "CIFAR-10": "cifar10", "CELEBA": "celeba"}
OBJECTIVES = {"WAE": "wae-mmd"}
IMAGES = {
    "FID_reconstruction": "reconstruction",
    "FID_sample": "sample",
    "FID_interpolation": "interpolation",
}
DENSITIES = {"-": "", "N": "gaussian", "GMM": "gmm-10", "prior": "prior"}
AEF_DATASETS = ("mnist", "kmnist", "fashion-mnist", "celebahq-32", "celebahq-64")
VALUES = "paper_values.csv"
ALIKE = ("dataset", "backbone", "latent_dim", "features", "n_real", "n_generated", "method")
NOT_AVAILABLE = "published value not available"
RAE_PROTOCOL = "Inception, 10000 images"


@dataclass(frozen=True)
class Published:
    """One published value.

    Attributes:
        paper: Paper and version.
        item: Table or figure.
        dataset: Our name of the data set.
        objective: Our name of the objective.
        images: What was scored.
        density: Our name of the density.
        value: As printed.
        recalled: Whether it was recalled instead of read; such a value is never differenced.
        source: Where it was read.
    """

    paper: str
    item: str
    dataset: str
    objective: str
    images: str
    density: str
    value: float
    recalled: bool
    source: str


def published_values() -> list[Published]:
    """Returns the Fréchet distances of the RAE paper's Tables 1 and 3."""
    return read_published(Path(str(files("aebench.bench.tables") / "assets" / VALUES)))


def read_published(path: Path) -> list[Published]:
    """Returns the values of Tables 1 and 3 in a table of published values.

    Raises:
        UserError: A line is malformed.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                _published(line)
                for line in csv.DictReader(file)
                if line["table_or_figure"].startswith(("Table 1", "Table 3"))
                and line["metric"] in IMAGES
                and line["dataset"] in DATASETS
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(f"{path} is no table of published values: {error!r:.100}.") from error


def comparison_tables(rows: pd.DataFrame) -> list[Table]:
    """Returns, for each suite and scale, published values beside ours where there are any."""
    tables = []
    suites = list(rows.groupby(["suite", "scale"], sort=True))
    for (suite, scale), part in suites:
        trained = with_places(part[part["objective"] != FLOOR])
        lines = [*_rae_lines(trained), *_aef_lines(trained)]
        if lines:
            name = file_name("comparison", *((str(suite), str(scale)) if len(suites) > 1 else ()))
            title = f"Published values and ours · {suite_title({'suite': suite, 'scale': scale})}"
            header = ("published", "ours", "difference", "inside seed interval", "notes")
            columns = tuple(("", text) for text in header)
            tables.append(Table(name, title, CAPTION, "what", columns, tuple(lines)))
    return tables


CAPTION = (
    "Difference: ours minus published, only where features and counts are the same.",
    "Inside: the published value lies in the 95 % t-interval for one more seed of ours.",
    "Values in brackets were recalled, not read, and are never differenced.",
    "The source of each published value is in the packaged paper_values.csv.",
)


def seed_interval(values: Iterable[float]) -> tuple[float, float] | None:
    """Returns the 95 % t-interval for the value of one more seed, from two seeds on."""
    from scipy.stats import t

    sample = np.array(list(values), dtype=float)
    if sample.size < 2:
        return None
    spread = sample.std(ddof=1) * np.sqrt(1 + 1 / sample.size)
    half = float(t.ppf(0.975, sample.size - 1) * spread)
    return float(sample.mean()) - half, float(sample.mean()) + half


def _published(line: Mapping[str, str]) -> Published:
    objective = OBJECTIVES.get(line["model"], line["model"].lower())
    density = DENSITIES[line["density"]]
    return Published(
        line["paper"],
        line["table_or_figure"],
        DATASETS[line["dataset"]],
        objective,
        IMAGES[line["metric"]],
        "second-stage" if objective == "2svae" and density else density,
        float(line["value"]),
        line["recalled"] == "yes",
        line["source"],
    )


def _rae_lines(rows: pd.DataFrame) -> list[tuple[str, tuple[Cell, ...]]]:
    fd = rows[(rows["metric"] == "fd") & rows["variant"].map(is_comparable).astype(bool)]
    views = fd["dataset"].str.removesuffix("-32")
    lines = []
    for value in published_values():
        own = fd[(views == value.dataset) & (fd["objective"] == value.objective)]
        own = own[(own["images"] == value.images) & (own["density"] == value.density)]
        for _, same in own.groupby(list(ALIKE), dropna=False):
            lines.append((_what(value, same), _cells(value, same)))
    return lines


def _what(value: Published, rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    scored = " ".join(part for part in (value.images, value.density) if part)
    return f"{value.item}: {first['dataset']}, {first['method']}, {scored}"


def _cells(value: Published, rows: pd.DataFrame) -> tuple[Cell, ...]:
    shown = f"{value.value:.2f}"
    seeds = list(seed_values(rows).values())
    lost = lost_text(rows)
    ours = Cell(
        f"{format_number(float(np.mean(seeds)))} ({len(seeds)})" if seeds else lost or "-",
        float(np.mean(seeds)) if seeds else None,
        float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None,
        str(len(seeds)),
    )
    published = Cell(f"({shown})") if value.recalled else Cell(shown, value.value)
    reason = _why_no_difference(value, rows) if seeds else "no value of ours"
    if reason:
        return published, ours, Cell(reason), Cell("-"), Cell(_notes(value, rows))
    difference = float(np.mean(seeds)) - value.value
    interval = seed_interval(seeds)
    inside = "one seed" if interval is None else _yes(interval[0] <= value.value <= interval[1])
    cells = (Cell(f"{difference:+.2f}", difference), Cell(inside), Cell(_notes(value, rows)))
    return published, ours, *cells


def _why_no_difference(value: Published, rows: pd.DataFrame) -> str:
    if value.recalled:
        return "recalled value, not differenced"
    first = rows.iloc[0]
    if other := other_setting(value.dataset, first.to_dict()):
        return other
    extractor = str(first["features"]).partition(":")[0].partition("@")[0]
    counts = {int(n) for n in (first["n_real"], first["n_generated"]) if n == n and n is not None}
    if extractor.startswith("inception") and counts == {10_000}:
        return ""
    images = "/".join(str(n) for n in (first["n_real"], first["n_generated"]))
    return (
        f"other metric identity: {first['features']}, {images} images; published: {RAE_PROTOCOL}"
    )


def _notes(value: Published, rows: pd.DataFrame) -> str:
    first = rows.iloc[0].to_dict()
    return "; ".join(deviations(value.dataset, value.objective, value.density, first))


def _aef_lines(rows: pd.DataFrame) -> list[tuple[str, tuple[Cell, ...]]]:
    own = rows[
        rows["objective"].str.startswith("aef") & rows["metric"].isin(["bits_per_dim", "fd"])
    ]
    own = own[own["images"].isin(["test", "sample"]) & own["dataset"].isin(AEF_DATASETS)]
    lines: list[tuple[str, tuple[Cell, ...]]] = []
    for method in method_order(own):
        keys = ["dataset", "latent_dim", "metric", "density"]
        for key, same in own[own["method"] == method].groupby(keys, sort=True):
            seeds = list(seed_values(same).values())
            mean = float(np.mean(seeds)) if seeds else None
            text = f"{format_number(mean)} ({len(seeds)})" if mean is not None else "-"
            what = f"AEF: {key[0]}, {method}, d = {key[1]}, {key[2]} {key[3]}".rstrip()
            cells = (Cell(NOT_AVAILABLE), Cell(text, mean, None, str(len(seeds))))
            lines.append((what, (*cells, Cell("-"), Cell("-"), Cell(""))))
    return lines


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"

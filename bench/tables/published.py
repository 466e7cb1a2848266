"""Published values beside ours: a difference only where both were measured alike."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from ..comparison.cells import (
    OVER_IMAGES,
    OVER_SEEDS,
    method_order,
)
from ..comparison.columns import difference_text, with_places, without_floor
from ..comparison.footnotes import UNTRUSTED
from ..comparison.gains import Arrays
from ..comparison.likelihoods import bound_sign
from ..comparison.numbers import estimate_text
from ..comparison.parts import suite_parts
from ..comparison.ranges import ANYTHING, limits_of
from ..comparison.scored import (
    image_error,
    lost_text,
    scores_in,
    seed_values,
    warnings_of,
)
from ..comparison.significance import t_interval
from ..comparison.steps import longest
from ..comparison.table import (
    Cell,
    Table,
    file_name,
    seeds_cell,
    text_table,
)
from ..errors import UserError
from ..records.results import Rows
from .anchors import LOOSE, Anchor, anchors
from .anchors import VALUES as LIKELIHOODS
from .deviations import deviations, is_comparable, other_setting, other_training

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
ALIKE = (
    *("dataset", "split", "backbone", "latent_dim", "features", "n_real", "n_generated"),
    "method",
)
ESTIMATE = ("kind", "model", "samples_k", "metric", "density")
NOT_AVAILABLE = "published value not available"
RAE_PROTOCOL = "Inception, 10000 images"
Line = tuple[str | Cell, ...]


@dataclass(frozen=True)
class Published:
    """One published value.

    Attributes:
        item: Table or figure.
        dataset: Our name of the data set.
        objective: Our name of the objective.
        images: What was scored.
        density: Our name of the density.
        value: As printed.
        recalled: Whether it was recalled instead of read; such a value is never differenced.
    """

    item: str
    dataset: str
    objective: str
    images: str
    density: str
    value: float
    recalled: bool


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


def published_tables(rows: Rows, arrays: Arrays) -> Iterator[Table]:
    """Yields, for each suite and scale, published values beside ours where there are any.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    for part in suite_parts(longest(rows)):
        trained = with_places(without_floor(part.rows))
        likelihoods = _anchor_lines(trained, arrays)
        lines = [*_rae_lines(trained), *likelihoods, *_aef_lines(trained)]
        if lines:
            name = file_name("comparison", part.suffix)
            title = f"Published values and ours · {part.title}"
            yield text_table(name, title, HEADER, lines, CAPTION)


HEADER = ("what", "published", "ours", "difference", "inside seed interval", "notes")
CAPTION = (
    f"Ours: {OVER_SEEDS[0].lower()}{OVER_SEEDS[1:]}",
    OVER_IMAGES,
    "Difference: ours minus published, only where features, counts, the network and the share of "
    "the published training are the same.",
    "Inside: the published value lies in the 95 % t-interval for one more seed of ours, for "
    "likelihoods joined with the error over test images.",
    "Values in brackets were recalled, not read, and are never differenced.",
    f"The source of each published value is in the packaged {VALUES} and {LIKELIHOODS}.",
)


def _published(line: Mapping[str, str]) -> Published:
    objective = OBJECTIVES.get(line["model"], line["model"].lower())
    density = DENSITIES[line["density"]]
    return Published(
        line["table_or_figure"],
        DATASETS[line["dataset"]],
        objective,
        IMAGES[line["metric"]],
        "second-stage" if objective == "2svae" and density else density,
        float(line["value"]),
        line["recalled"] == "yes",
    )


def _rae_lines(rows: Rows) -> Iterator[Line]:
    fd = rows[(rows["metric"] == "fd") & rows["variant"].map(is_comparable).astype(bool)]
    places = [fd["dataset"].str.removesuffix("-32"), fd["objective"], fd["images"], fd["density"]]
    found = dict(list(fd.groupby(places)))
    for value in published_values():
        place = (value.dataset, value.objective, value.images, value.density)
        if place not in found:
            continue
        for _, same in found[place].groupby(list(ALIKE), dropna=False):
            yield _line(value, same)


def _line(value: Published, rows: Rows) -> Line:
    first = rows.iloc[0].to_dict()
    shown = f"{value.value:.2f}"
    published = Cell(f"({shown})") if value.recalled else Cell(shown, value.value)
    ours = _ours(rows)
    difference, inside = Cell(_why_no_difference(value, rows)), "-"
    if ours.value is None:
        difference = Cell("no value of ours")
    elif not difference.text:
        gap = ours.value - value.value
        difference = Cell(f"{gap:+.2f}", gap)
        interval = t_interval(seed_values(scores_in(rows)).values(), of_next=True)
        covers = interval is not None and interval[0] <= value.value <= interval[1]
        inside = "one seed" if interval is None else "yes" if covers else "no"
    notes = "; ".join(deviations(value.dataset, value.objective, value.density, rows))
    scored = " ".join(filter(None, (value.images, value.density)))
    what = f"{value.item}: {first['dataset']}, {first['method']}, {scored}"
    return what, published, ours, difference, inside, notes


def _ours(rows: Rows) -> Cell:
    """Returns the cell of our own mean, its interval and its count of seeds."""
    scores = scores_in(rows)
    limits = (
        limits_of(scores[0].unit, scores[0].metric, scores[0].latent_dim) if scores else ANYTHING
    )
    cell = seeds_cell(seed_values(scores), 0, "", "", image_error(scores), limits)
    if cell.value is None:
        return Cell(lost_text(scores) or "-", seeds=cell.seeds)
    sign = bound_sign(rows.iloc[0].to_dict()) if rows["kind"].iloc[0] else ""
    return replace(cell, text=sign + cell.text, warnings=warnings_of(scores))


def _why_no_difference(value: Published, rows: Rows) -> str:
    first = rows.iloc[0].to_dict()
    if value.recalled:
        return "recalled value, not differenced"
    if other := other_setting(value.dataset, first):
        return other
    extractor = str(first["features"]).partition(":")[0].partition("@")[0]
    counts = {int(n) for n in (first["n_real"], first["n_generated"]) if n == n and n is not None}
    if extractor.startswith("inception") and counts == {10_000}:
        return other_training(value.dataset, rows)
    images = "/".join(str(n) for n in (first["n_real"], first["n_generated"]))
    return (
        f"other metric identity: {first['features']}, {images} images; published: {RAE_PROTOCOL}"
    )


def _anchor_lines(rows: Rows, arrays: Arrays) -> Iterator[Line]:
    for anchor in anchors(rows, arrays):
        first = anchor.rows.iloc[0].to_dict()
        names = (first["dataset"], first["method"], f"d = {first['latent_dim']}")
        what = f"{anchor.place}: {', '.join(names)}, {first['metric']}, K = {first['samples_k']}"
        gap = anchor.ours - anchor.value
        text = f"≤ {estimate_text(anchor.ours, anchor.half_width)}"
        count = str(len(anchor.seeds))
        # An untrusted estimate has an interval and a difference here: its dagger denies both.
        warnings = (w for w in warnings_of(scores_in(anchor.rows)) if w != UNTRUSTED)
        ours = Cell(
            *(f"{text} ({count})", anchor.ours, anchor.half_width, count),
            warnings=tuple(warnings),
        )
        difference = Cell(f"{gap:+.3f}", gap)
        inside = {None: "one seed", True: "yes", False: "no"}[anchor.inside]
        notes = "; ".join(_anchor_notes(anchor, int(first["n_real"])))
        yield what, Cell(str(anchor.value), anchor.value), ours, difference, inside, notes


def _anchor_notes(anchor: Anchor, images: int) -> Iterator[str]:
    if images != anchor.images:
        yield f"published: {anchor.images:,} images, ours {images:,}"
    yield f"published: {anchor.conditions}"
    yield f"ours: {anchor.our_conditions}"
    if anchor.is_loose:
        yield LOOSE
    if anchor.image_error is None and anchor.half_width is not None:
        yield "single images were not kept: ± and interval are over seeds alone"


def _aef_lines(rows: Rows) -> Iterator[Line]:
    own = rows[rows["objective"].str.startswith("aef") & rows["dataset"].isin(AEF_DATASETS)]
    own = own[own["images"].isin(["test", "sample"]) & own["metric"].isin(["bits_per_dim", "fd"])]
    for method in method_order(own):
        keys = ["dataset", "latent_dim", "metric", "density"]
        for key, scored in own[own["method"] == method].groupby(keys, sort=True):
            what = f"AEF: {key[0]}, {method}, d = {key[1]}, {key[2]} {key[3]}".rstrip()
            for told, same in _alike(scored):
                name = ", ".join(filter(None, (what, told)))
                yield name, NOT_AVAILABLE, _ours(same), "-", "-", ""


def _alike(rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Yields the rows that were scored alike, and in what they differ from the others."""
    keys = [*ALIKE, *ESTIMATE]
    ordered = rows.sort_values(keys)
    texts = difference_text(ordered[keys].drop_duplicates())
    groups = ordered.groupby(keys, dropna=False, sort=False)
    for told, (_, same) in zip(texts.values(), groups, strict=True):
        yield told, same

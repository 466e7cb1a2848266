"""How plots name methods, in which order and with which look they draw them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..comparison.cells import is_trusted, method_order, usable
from ..comparison.columns import (
    method_labels,
    with_places,
    without_floor,
    without_setting,
)
from ..comparison.labels import metric_short, part_title, settings_of, variant_of
from ..comparison.likelihoods import SIGNS, likelihood_sign
from ..comparison.steps import longest
from ..comparison.table import file_name
from ..errors import number_of
from ..files.storage import canonical_json
from ..records.results import Rows
from .canvas import LINES, MARKERS, look_of


def parts_of(rows: Rows, *prefix: str) -> Iterator[tuple[str, str, Rows]]:
    """Yields file name part, title and rows by suite, scale, data set, backbone and size.

    Args:
        rows: Result rows; those of references and of shorter trainings are left out.
        prefix: What the file name part begins with.
    """
    trained = without_floor(longest(rows))
    names = ["suite", "scale", "dataset", "backbone", "latent_dim"]
    several = [name for name in names if trained[name].nunique() > 1]
    for key, own in trained.groupby(names, sort=True):
        first = dict(zip(names, key, strict=True))
        stem = file_name(*prefix, *(str(first[name]) for name in several))
        yield stem, part_title(first), shortened(with_places(own))


def shortened(rows: Rows, without: str = "") -> Rows:
    """Returns rows whose variant and method name only settings that an objective varies.

    Tables name all settings; in a plot those that all runs of an objective share take room.

    Args:
        rows: Rows with the columns of ``with_places``, all of one plot.
        without: A setting that methods are not told apart by.
    """
    if without:
        rows = without_setting(rows, without)[1]
    pairs = [(o, settings_of(v)) for o, v in zip(rows["objective"], rows["variant"], strict=True)]
    values: dict[tuple[str, str], Counter[str]] = {}
    for objective, own in pairs:
        for key, value in own.items():
            values.setdefault((objective, key), Counter())[canonical_json(value)] += 1
    counts = Counter(rows["objective"])
    shared = {key for key, found in values.items() if [*found.values()] == [counts[key[0]]]}
    kept = [{k: v for k, v in own.items() if (o, k) not in shared} for o, own in pairs]
    rows = rows.assign(variant=[variant_of(own) for own in kept])
    return rows.assign(method=method_labels(rows))


def looks_of(rows: Rows) -> dict[str, dict[str, Any]]:
    """Returns the look of each method: its objective's, other marker and line for each variant."""
    objectives = dict(zip(rows["method"], rows["objective"], strict=True))
    looks: dict[str, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    for method in method_order(rows):
        objective = objectives[method]
        look = look_of(objective)
        if seen[objective] and look["marker"]:
            at = (MARKERS.index(look["marker"]) + seen[objective]) % len(MARKERS)
            line = LINES[(LINES.index(look["linestyle"]) + seen[objective]) % len(LINES)]
            look |= {"marker": MARKERS[at], "linestyle": line}
        looks[method] = look
        seen[objective] += 1
    return looks


def signed(name: str, scores: Rows) -> str:
    """Returns a line's label with the sign of its likelihoods, such as ``vae, bits/dim ≤``.

    Args:
        name: The label.
        scores: What is drawn of the line; without likelihoods the label stays.
    """
    likelihoods = usable(scores[scores["kind"] != ""])
    signs = dict.fromkeys(map(likelihood_sign, likelihoods.to_dict("records")))
    return f"{name}, {metric_short('bits_per_dim')} {' / '.join(signs)}" if signs else name


def likelihood_notes(scores: Rows) -> str:
    """Returns what a caption says of the likelihoods among scores, empty where there are none."""
    if not (scores["kind"] != "").any():
        return ""
    count = int(((scores["status"] == "ok") & ~is_trusted(scores)).sum())
    are = "is" if count == 1 else "are"
    left = f" {number_of(count, 'estimate')} {are} not trusted and not drawn." if count else ""
    return f" {metric_short('bits_per_dim')}: {SIGNS}{left}"


def first_runs(rows: Rows) -> Iterator[tuple[str, list[str]]]:
    """Yields each method, in the papers' order, with its runs of the lowest seed."""
    for method in method_order(rows):
        own = rows[rows["method"] == method]
        first = own[own["seed"] == own["seed"].min()]
        yield method, list(dict.fromkeys(first["run"]))


def one_run_each(rows: Rows) -> Iterator[Mapping[Any, Any]]:
    """Yields for each method its first row of the lowest seed, in the papers' order."""
    for method in method_order(rows):
        own = rows[rows["method"] == method].sort_values("seed", kind="stable")
        yield own.iloc[0].to_dict()

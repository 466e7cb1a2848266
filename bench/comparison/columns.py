"""Which rows may share a column: the metric's identity and the backbone's hash decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files.storage import canonical_json
from ..records.migration import SETTINGS
from ..records.recipe import Settings, recipe_notes, recipe_of, without_name
from ..records.results import Rows
from .labels import is_reference as is_reference
from .labels import settings_of, variant_of, variant_text
from .labels import without_floor as without_floor
from .lost import spread_lost

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("split", "image_shape", "features", "n_real", "n_generated", "measure")
# What makes two rows the same method, in every table, board, comparison and check: all settings
# of training and evaluation but the seed, and the images' size, which the settings do not say.
METHOD = ("recipe", "image_shape")
# What makes two rows the same score of the same method: they differ in the seed alone.
SCORE_KEY = (
    *(*METHOD, "density", "images", "metric", "kind", "model", "samples_k", "n_real"),
    *("n_generated", "features"),
)
# Scores that say how well a bound was estimated: heavy-tailed, and no property of the model.
DIAGNOSTICS = ("ess_", "log_prob_", "proposal_")
# Rows that differ in one of these never share a column.
IN_ONE_COLUMN = ("dataset", "split", "image_shape", "backbone_hash", "latent_dim")
# What the name of a row's method depends on.
NAMING = (*IN_ONE_COLUMN, "objective", "variant", "selection", "space", "recipe", "settings")


@dataclass(frozen=True)
class Column:
    """One column of comparable scores.

    Attributes:
        group: The data set, with whatever sets this column apart from others like it.
        place: What was scored: ``Rec``, ``N``, ``GMM-10``, ``Interp``, ``bits/dim``, ...
        rows: The rows that may stand in it, references included.
    """

    group: str
    place: str
    rows: Rows


def with_places(rows: Rows) -> Rows:
    """Returns the rows with the columns ``place``, ``measure`` and ``method`` added.

    ``measure`` is the space that a likelihood was trained in, empty for other scores. Unit and
    logit rows are both densities of 8-bit pixels, but of unlike noise: the one cannot follow
    dark and bright pixels as the other does, and whoever reads them as one column compares noise.
    """
    rows = spread_lost(rows)
    pairs = zip(rows["images"].tolist(), rows["density"].tolist(), strict=True)
    rows["place"] = [_place(images, density) for images, density in pairs]
    rows["measure"] = rows["space"].where(rows["kind"] != "", "")
    rows["method"] = method_labels(rows)
    return rows


def distinct(rows: Rows, names: Iterable[str]) -> tuple[list[int], Rows]:
    """Returns, of columns of the rows, each different line once, and for each row its line.

    What is computed from these columns alone is computed once for each line.
    """
    columns = list(names)
    keys = list(zip(*(rows[name].tolist() for name in columns), strict=True))
    # The last of each: what later rows say of a recipe counts.
    last = {key: at for at, key in enumerate(keys)}
    order = sorted(last.values())
    line = {keys[at]: number for number, at in enumerate(order)}
    return [line[key] for key in keys], rows[columns].iloc[order].reset_index(drop=True)


def method_labels(rows: Rows) -> list[str]:
    """Returns a row label for each row: the objective and whatever else tells methods apart.

    Where they would share a column, rows have one label if and only if they have one recipe.
    """
    lines, unique = distinct(rows, NAMING)
    labels = _labels(unique)
    return [labels[line] for line in lines]


def _labels(rows: Rows) -> list[str]:
    varied = {"selection": rows.groupby("objective")["selection"].transform("nunique") > 1}
    # Where rows have several spaces, a method without its space would be read as like the others.
    trained = ~is_reference(rows)
    varied = {"space": trained & (rows.loc[trained, "space"].nunique() > 1)} | varied
    texts = {variant: variant_text(variant) for variant in rows["variant"].unique()}
    notes = [[texts[variant]] for variant in rows["variant"]]
    for name, is_told in varied.items():
        for own_notes, value, told in zip(notes, rows[name], is_told, strict=True):
            own_notes.extend([value] if told else [])
    labels = map(_label, rows["objective"], notes)
    alike = rows.assign(label=list(labels)).groupby([*IN_ONE_COLUMN, "label"], dropna=False)
    recipes, texts_of = rows["recipe"].tolist(), rows["settings"].tolist()
    for places in alike.indices.values():
        own = [recipes[at] for at in places]
        if len(set(own)) > 1:
            settings = dict(zip(own, (texts_of[at] for at in places), strict=True))
            named = recipe_notes({recipe: settings_of(text) for recipe, text in settings.items()})
            for at, recipe in zip(places, own, strict=True):
                notes[at].append(named[recipe])
    return list(map(_label, rows["objective"], notes))


def _label(objective: str, notes: Iterable[str]) -> str:
    found = "; ".join(filter(None, notes))
    return f"{objective} ({found})" if found else objective


def columns_of(rows: Rows) -> tuple[list[Column], list[str]]:
    """Splits the rows of one metric into columns that mix neither identity nor backbone.

    Args:
        rows: Rows of one metric, with the columns of ``with_places``.

    Returns:
        The columns, and a note for each split that names the difference.
    """
    columns: list[Column] = []
    notes: list[str] = []
    for dataset, part in rows.groupby("dataset", sort=True):
        for suffix, backbone_rows in _split_backbones(without_floor(part), str(dataset), notes):
            for place in sort_places(backbone_rows["place"]):
                own = backbone_rows[backbone_rows["place"] == place]
                for detail, same in _split_identities(own, f"{dataset}, {place}", notes):
                    group = f"{dataset}{suffix}{detail}"
                    columns.append(Column(group, place, join(references_beside(part, same), same)))
    return columns, notes


def comparable(rows: Rows) -> pd.Series[bool]:
    """Returns which rows have a better and a worse and are no diagnostics."""
    return rows["better"].isin(["lower", "higher"]) & ~rows["metric"].str.startswith(DIAGNOSTICS)


def sort_places(places: Iterable[str]) -> list[str]:
    """Returns the places in the order of Table 1: reconstructions, N, mixtures, the rest."""

    def rank(place: str) -> tuple[int, str]:
        if place.startswith("GMM"):
            return 2, f"{len(place):03d}{place}"
        known = {"Rec": 0, "N": 1, "Interp": 4, "bits/dim": 5}
        return known.get(place.partition(",")[0], 3), place

    return sorted(set(places), key=rank)


def without_setting(rows: Rows, name: str) -> tuple[list[Any], Rows]:
    """Takes one setting out of the rows' variants.

    Returns:
        The setting of each row, ``None`` where its variant does not name it, and the rows with
        the variants, recipes and methods that remain.
    """
    lines, unique = distinct(rows, dict.fromkeys(("settings", *SETTINGS)))
    settings = [settings_of(text) for text in unique["variant"]]
    values = [own.pop(name, None) for own in settings]
    variants = [variant_of(own) for own in settings]
    less = [
        _settings_without(name, row) for row in unique.assign(variant=variants).to_dict("records")
    ]
    changed = {
        "variant": variants,
        "recipe": [recipe_of(own) for own in less],
        "settings": [canonical_json(own) for own in less],
    }
    rest = rows.assign(**{key: [own[line] for line in lines] for key, own in changed.items()})
    return [values[line] for line in lines], rest.assign(method=method_labels(rest))


def _settings_without(name: str, row: Mapping[Any, Any]) -> Settings:
    """Returns what a row's recipe stands for without one setting; its columns' if not known."""
    known = settings_of(row["settings"])
    return without_name(known, name) if "options" in known else {n: row[n] for n in SETTINGS}


def join(first: Rows, second: Rows) -> Rows:
    """Returns the lines of both, in that order."""
    import pandas as pd

    return pd.concat([first, second], ignore_index=True) if len(first) else second


def difference_text(identities: Rows) -> dict[int, str]:
    """Returns for each line the fields in which the lines differ, with that line's values."""
    differing = [name for name in identities if identities[name].nunique(dropna=False) > 1]
    return {
        at: ", ".join(f"{name}={identities[name].iloc[at]}" for name in differing)
        for at in range(len(identities))
    }


def _place(images: str, density: str) -> str:
    if images == "reconstruction":
        return "Rec"
    if images == "interpolation":
        return "Interp" if not density else f"Interp {density}"
    if density.startswith("gmm-"):
        return density.upper()
    return density or images or "test"


def _split_backbones(rows: Rows, dataset: str, notes: list[str]) -> list[tuple[str, Rows]]:
    hashes = [h for h in dict.fromkeys(rows["backbone_hash"]) if h]
    if len(hashes) < 2:
        return [("", rows)]
    parts = []
    for structure in hashes:
        own = rows[rows["backbone_hash"].isin([structure, ""])]
        first = rows[rows["backbone_hash"] == structure].iloc[0]
        name = f"{first['backbone']} #{structure[:6]}"
        parts.append((f", {name}", own))
        notes.append(
            f"{dataset}: backbone '{first['backbone']}', d = {first['latent_dim']}, hash "
            f"{structure[:12]}, {first['parameters_backbone']} parameters, has its own columns."
        )
    return parts


def _split_identities(rows: Rows, where: str, notes: list[str]) -> list[tuple[str, Rows]]:
    keys = rows[list(IDENTITY)].astype(object).where(rows[list(IDENTITY)].notna(), "-")
    # A score that does not apply was not computed under a protocol: it makes no column.
    computed = rows["status"] != "not applicable"
    unique = keys[computed if computed.any() else slice(None)].drop_duplicates()
    if len(unique) == 1:
        return [("", rows)]
    unique = unique.reset_index(drop=True)
    texts = difference_text(unique)
    matches = [(keys == unique.iloc[at]).all(axis=1) for at in range(len(unique))]
    stray = ~np.logical_or.reduce(matches)
    parts = [(f" [{texts[at]}]", rows[same | stray]) for at, same in enumerate(matches)]
    notes.append(
        f"{where}: scores under different protocols have separate columns: "
        + " | ".join(texts.values())
        + "."
    )
    return parts


def references_beside(rows: Rows, column: Rows) -> Rows:
    """Returns the references that were scored as the rows of a column were."""
    found = rows[is_reference(rows)]
    for name in ("metric", "split", "image_shape", "features", "n_real", "n_generated"):
        found = found[found[name].isin(column[name].unique())]
    return found.assign(place=column["place"].iloc[0])
